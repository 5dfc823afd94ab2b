#include <fmt/format.h>

#include <algorithm>

#include "agent/agent.h"
#include "agent/stream_memory.h"
#include "base/text.h"
#include "cli/agent_home.h"
#include "cli/capture_report.h"
#include "cli/commands.h"
#include "cli/remedy.h"
#include "cli/render.h"
#include "custody/ceremony.h"
#include "engine/snapshot_finder.h"

namespace exclave::cli {
namespace {

// A database has the name from its first log on; its first base may come later.
Status check_is_no_database(const Context& context, const AgentHome& home, const std::string& dataset) {
  const agent::StreamMemory memory(context.env.files, agent::database_directory(home.directory(), dataset), dataset);
  if (!TRY(memory.knows_system())) return {};
  return Error(Code::InvalidInput, "dataset '" + printable(dataset) + "' is of a database, whose log the agent streams")
      .hint(
          "give this one another name; if the database is protected no longer, and never again under this one, remove "
          "'" +
          printable(memory.system_path()) + "'");
}

}  // namespace

Result<ExitCode> run(const Context& context, const BackupSettings& settings) {
  if (!settings.database.empty()) return backup_database(context, settings);
  if (settings.source.empty()) {
    return Error(Code::InvalidInput, "nothing to capture was named")
        .hint("name a directory, or a database of agent.toml: --database NAME");
  }
  const auto source = context.env.files.stat(settings.source);
  if (!source.ok() && source.error().code() == Code::NotFound) {
    return Error(source.error()).in("source").hint("name the directory that is to be captured; nothing was changed");
  }
  if (source.ok() && source.value().type == env::FileType::Regular) {
    return Error(Code::InvalidInput, "source '" + printable(settings.source) + "' is not a directory")
        .hint("name its directory, or send one file's bytes: exclave ingest --home DIRECTORY NAME < FILE");
  }
  const auto home = TRY(AgentHome::open(context, settings.home));
  TRY(check_is_no_database(context, *home, settings.dataset));
  engine::TreeCaptureOptions options;
  options.dataset = settings.dataset;
  options.source = settings.source;
  options.excludes = settings.excludes;
  if (settings.one_file_system) options.border = engine::FileSystemBorder::Stay;
  if (settings.verify_content) options.rereading = engine::Rereading::Everything;
  if (settings.moved) options.other_root = engine::OtherRoot::Accept;
  if (settings.wait_all) options.behind = engine::Behind::WaitForAll;

  engine::CaptureContext capture = home->capture_context(context);
  engine::StageTimes times;
  std::optional<format::SnapshotTotals> expected = engine::last_totals(capture, settings.dataset);
  // A look ahead: what a dry run is, and what the progress bar of a first capture needs to know how far it is.
  if (settings.dry_run || (context.wants_progress() && !expected.has_value())) {
    ProgressLine looking(context, "looking");
    engine::TreeCaptureOptions look = options;
    look.mode = engine::CaptureMode::DryRun;
    const engine::CaptureReport seen =
        TRY(engine::capture_tree(capture, look, times, looking.callback(), context.stop));
    if (settings.dry_run) {
      const std::string text = fmt::format(
          "dry run: {} files, {} directories, {} others, {}; {} would be read, {} entries are excluded, {} cannot be "
          "read\n",
          seen.totals.files, seen.totals.directories, seen.totals.others, human_bytes(seen.totals.bytes),
          human_bytes(seen.read_bytes), seen.excluded, seen.totals.unreadable);
      context.print(text, capture_json(seen));
      show_problems(context, seen.problems, seen.totals.unreadable);
      return seen.is_partial() ? kPartial : kOk;
    }
    expected = seen.totals;
  }
  if (expected.has_value()) {
    options.expected_files = expected->files;
    options.expected_bytes = expected->bytes;
  }
  engine::StageTimes real_times;
  ProgressLine progress(context, "backup");
  auto captured = engine::capture_tree(capture, options, real_times, progress.callback(), context.stop);
  if (!captured.ok() && captured.error().code() == Code::Exhausted) {
    return with_remedy(captured.take_error(), "make room, and run it again: what the vaults have is not sent again");
  }
  const engine::CaptureReport report = TRY(std::move(captured));
  return finish_capture(context, *home, report, real_times, {settings.stages, settings.wait_all});
}

Result<ExitCode> run(const Context& context, const IngestSettings& settings) {
  const auto home = TRY(AgentHome::open(context, settings.home));
  TRY(check_is_no_database(context, *home, settings.dataset));
  engine::ByteStreamOptions options;
  options.dataset = settings.dataset;
  options.source = "standard input";
  if (settings.wait_all) options.behind = engine::Behind::WaitForAll;
  std::unique_ptr<env::RunningCommand> command;
  if (!settings.command.empty()) {
    options.source = settings.command.front();  // its arguments may hold a password, which would be kept for years
    command = TRY(context.env.processes.start(settings.command));
  }
  const engine::ReadStream read = [&](MutableByteView out) {
    return command != nullptr ? command->read_output(out, context.stop)
                              : context.terminal.read_input(out, context.stop);
  };
  const engine::EndedCleanly ended = [&]() -> Status {
    if (command == nullptr) return {};
    const int status = TRY(command->wait());
    if (status == 0) return {};
    return Error(Code::Cancelled, "the command ended with status " + std::to_string(status) +
                                      ", so its output did not become a snapshot");
  };
  engine::StageTimes times;
  ProgressLine progress(context, "ingest");
  auto report = engine::capture_stream(home->capture_context(context), options, read, ended, times, progress.callback(),
                                       context.stop);
  if (!report.ok() && report.error().code() == Code::Cancelled && !context.stop.stop_requested()) {
    return Error(Code::Precondition, report.error().message())
        .hint("look at the command's own messages, and run it again");
  }
  return finish_capture(context, *home, TRY(std::move(report)), times, {false, settings.wait_all});
}

Result<ExitCode> run(const Context& context, const RecoverSettings& settings) {
  env::FileSystem& files = context.env.files;
  const custody::AgentKeys keys =
      TRY(with_remedy(custody::read_agent_keys(files, settings.keys),
                      "give the era-N.keys that lies with the registry's operator; nothing was changed"));
  const Acts acts = TRY(load_acts(context, settings.home));
  const auto writer = TRY(read_role_key(files, settings.home, "writer.key", custody::SigningUse::Writer));
  const auto lock = TRY(lock_agent_directory(files, settings.home));
  // The daemon would stream on under keys that the next one of it does not find any more.
  const auto journals = lock_journals(files, settings.home);
  if (!journals.ok() && journals.error().code() == Code::Conflict) {
    return Error(Code::Conflict, "an agent runs in '" + printable(settings.home) + "', under the keys of its era")
        .hint("end it first, and start it again afterwards; nothing was changed");
  }
  if (!journals.ok()) return journals.error();
  const policy::Registry* const named = acts.policy().registry(keys.registry);
  if (keys.realm != acts.policy().realm || named == nullptr) {
    return Error(Code::Denied, "the keys in '" + printable(settings.keys) + "' belong to another realm")
        .hint("give the era-N.keys that lies with this registry's operator; nothing was changed");
  }
  // Another registry's keys would be the newest here: this agent could not write with them, nor go back to its own.
  const policy::Registry* const registry = TRY(registry_of_writer(acts, writer, settings.home));
  if (named->id != registry->id) {
    return Error(Code::Denied, "the keys in '" + printable(settings.keys) + "' are of registry " + named->name +
                                   ", and the agent in '" + printable(settings.home) + "' writes registry " +
                                   registry->name)
        .hint("bring the keys that lie with the operator of " + registry->name + "; nothing was changed");
  }
  const auto present = newest_agent_keys(files, settings.home);
  if (present.ok() && present.value().era >= keys.era) {
    return Error(Code::Precondition, "the agent is in era " + std::to_string(present.value().era.value()) +
                                         " already; these keys are of era " + std::to_string(keys.era.value()))
        .hint("bring the keys of a later era");
  }
  const policy::SignedEra* const era = TRY(acts.era(*registry, keys.era));
  TRY(custody::check_agent_keys(keys, era->era, settings.keys));
  TRY(custody::write_agent_keys(files, env::join_path(settings.home, era_keys_name(keys.era)), keys));
  TRY(remove_older_agent_keys(files, settings.home, keys.era));
  const std::string text = "registry " + registry->name + " goes on in era " + std::to_string(keys.era.value()) +
                           ": the next backup is a full one\n";
  config::Json json = config::Json::object();
  json.set("ok", true).set("registry", registry->name).set("era", keys.era.value());
  context.print(text, json);
  return kOk;
}

}  // namespace exclave::cli
