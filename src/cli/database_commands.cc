#include <fmt/format.h>

#include <algorithm>

#include "agent/agent.h"
#include "agent/cut_taker.h"
#include "agent/stream_memory.h"
#include "base/text.h"
#include "cli/agent_home.h"
#include "cli/agent_status.h"
#include "cli/capture_report.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/speeds.h"
#include "config/json.h"
#include "config/section.h"
#include "engine/database_capture.h"
#include "engine/dataset_kind.h"
#include "engine/log_terms.h"
#include "engine/wal_directory.h"

namespace exclave::cli {
namespace {

constexpr std::chrono::seconds kCommandTime(30);
constexpr std::chrono::seconds kLogTime(60);  // how long a base backup waits for its log to be durable
constexpr std::chrono::milliseconds kLook(200);

Result<agent::AgentConfig> read_config(const Context& context, const std::string& home, const std::string& path) {
  const std::string file = path.empty() ? env::join_path(home, "agent.toml") : path;
  auto text = context.env.files.read_file(file, config::kMaxConfigBytes);
  if (!text.ok() && text.error().code() == Code::NotFound) {
    return std::move(text.take_error())
        .hint("name the databases there: [[database]] with dataset and connection; see docs/operations/databases.md");
  }
  return agent::parse_agent_config(TRY(std::move(text)), file);
}

// Before anything of a server is remembered under a name that a tree has: then neither could be captured. What cannot be read
// here keeps no log at home.
Status check_names(const Context& context, const AgentHome& home, const agent::AgentConfig& config) {
  const auto memory = home.look(context);
  if (!memory.ok()) return {};
  for (const agent::DatabaseConfig& each : config.databases)
    TRY(engine::check_kind(memory.value().snapshots, each.stream.dataset, format::DatasetKind::Database));
  return {};
}

pg::Until until(const Context& context, std::chrono::nanoseconds time) {
  return {context.env.clock.monotonic() + time, context.stop};
}

// For people; the connection's text may hold a password.
std::string source_of(const pg::ServerFacts& facts) {
  return "PostgreSQL " + std::to_string(facts.version.major.value()) + "." + std::to_string(facts.version.minor) +
         ", system " + pg::to_text(facts.system);
}

// A base is usable once the log up to its end is durable.
bool wait_for_log(const Context& context, const std::string& home, const std::string& dataset, pg::Lsn end) {
  const env::Instant deadline = context.env.clock.monotonic() + kLogTime;
  while (!context.stop.stop_requested() && context.env.clock.monotonic() < deadline) {
    const auto durable = durable_position(read_agent_status(context, home), dataset);
    if (!durable.has_value()) return false;  // no daemon: nothing to wait for
    if (*durable >= end) return true;
    if (!context.env.clock.sleep_until(context.env.clock.monotonic() + kLook).ok()) return false;
  }
  return false;
}

Result<engine::DatabaseCaptureReport> capture(const Context& context, AgentHome& home,
                                              const agent::DatabaseConfig& config,
                                              engine::DatabaseCaptureOptions options, engine::StageTimes& times,
                                              const engine::OnProgress& on_progress) {
  env::Clock& clock = context.env.clock;
  pg::Endpoint endpoint = config.stream.endpoint;
  endpoint.application_name = "exclave_base";  // not the name that commits wait for
  const pg::ServerFacts facts = TRY(pg::read_server_facts(clock, endpoint, "", until(context, kCommandTime)));
  TRY(pg::check_server_facts(facts, std::nullopt));
  const std::string& dataset = config.stream.dataset;
  const agent::StreamMemory memory(context.env.files, agent::database_directory(home.directory(), dataset), dataset);
  TRY(memory.check_known_system(facts.system));  // the base of another server fits no log of this dataset
  auto connection = TRY(pg::ReplicationConnection::open(clock, endpoint, until(context, kCommandTime)));
  options.dataset = dataset;
  options.source = source_of(facts);
  return engine::capture_database(home.capture_context(context), connection, facts, options, times, on_progress,
                                  context.stop);
}

}  // namespace

Result<ExitCode> backup_database(const Context& context, const BackupSettings& settings) {
  const auto home = TRY(AgentHome::open(context, settings.home));
  const agent::AgentConfig config = TRY(read_config(context, settings.home, ""));
  const agent::DatabaseConfig* const database = TRY(config.database(settings.database));
  engine::DatabaseCaptureOptions options;
  if (settings.keep_bad_pages) options.bad_pages = engine::BadPages::KeepWithAlarm;
  if (settings.wait_all) options.behind = engine::Behind::WaitForAll;
  engine::StageTimes times;
  ProgressLine progress(context, "base backup");
  const engine::DatabaseCaptureReport report =
      TRY(capture(context, *home, *database, options, times, progress.callback()));
  note_base(context, settings.home, settings.database, report);
  const pg::Lsn end(report.base.end.value());
  const bool usable = wait_for_log(context, settings.home, settings.database, end);
  CaptureEnding ending;
  ending.stages = settings.stages;
  ending.wait_all = settings.wait_all;
  ending.text = fmt::format("base backup of {}: consistent from {} on; ", database->stream.dataset, pg::to_text(end)) +
                (usable ? "the log up to there is durable\n" : "NOT usable yet\n");
  ending.json.set("start", pg::to_text(engine::lsn(report.base.start)))
      .set("end", pg::to_text(end))
      .set("usable", usable);
  const ExitCode code = TRY(finish_capture(context, *home, report.capture, times, ending));
  for (const std::string& page : report.bad_pages) context.note("kept all the same: " + printable(page));
  if (!usable && context.stop.stop_requested()) {
    context.note("interrupted while it waited for the log: whether the base is usable by now, exclave status tells");
    return kInterrupted;
  }
  if (!usable) {
    context.note("the log up to " + pg::to_text(end) +
                 " is not known to be durable: the base is of no use without it; run the agent: exclave agent run");
  }
  return usable && report.bad_pages.empty() ? code : (code == kOk ? kPartial : code);
}

Result<ExitCode> run(const Context& context, const AgentRunSettings& settings) {
  const auto home = TRY(AgentHome::open(context, settings.home, HomeUse::Journals));
  const agent::AgentConfig config = TRY(read_config(context, settings.home, settings.config));
  TRY(check_names(context, *home, config));
  const auto transport = wire::make_tls_transport(tls::Identity::from_key(home->writer()));
  const agent::AgentPlace place{context.env,          *transport,        home->policy(),
                                home->registry(),     home->era().era,   home->writer(),
                                home->vaults().all(), home->keys_path(), settings.home};
  context.env.log.write(env::LogLevel::Info, "agent of registry " + home->registry().name + " protects " +
                                                 std::to_string(config.databases.size()) + " databases");
  const agent::TakeBase take_base = [&](const agent::DatabaseConfig& database) -> Status {
    const auto captures = TRY(AgentHome::open(context, settings.home));
    engine::StageTimes times;
    const engine::DatabaseCaptureReport report = TRY(capture(context, *captures, database, {}, times, {}));
    note_base(context, settings.home, database.stream.dataset, report);
    return log_capture(context, *captures, report.capture,
                       "base backup " + short_hex(report.capture.snapshot.view()) + " of " + database.stream.dataset);
  };
  TRY(agent::run_agent(
      place, config, take_base, [&] { home->vaults().shutdown(); }, context.stop));
  context.env.log.write(env::LogLevel::Info, "agent of registry " + home->registry().name + " has ended");
  return kOk;
}

Result<ExitCode> run(const Context& context, const CutSettings& settings) {
  env::FileSystem& files = context.env.files;
  const agent::AgentConfig config = TRY(read_config(context, settings.home, ""));
  const auto group = std::find_if(config.groups.begin(), config.groups.end(),
                                  [&](const agent::GroupConfig& each) { return each.name == settings.group; });
  if (group == config.groups.end())
    return Error(Code::InvalidInput, "agent.toml has no group '" + printable(settings.group) + "'");
  if (read_agent_status(context, settings.home).is_null())
    return Error(Code::Precondition, "the agent does not run").hint("start it: exclave agent run");
  const std::int64_t asked_ns = context.env.clock.now().nanoseconds;
  TRY(env::replace_file_durably(files, agent::cut_request_path(settings.home, settings.group), {}, env::kPrivateFile));
  const env::Instant deadline = context.env.clock.monotonic() + kCommandTime;
  while (context.env.clock.monotonic() < deadline && !context.stop.stop_requested()) {
    TRY(context.env.clock.sleep_until(context.env.clock.monotonic() + kLook));
    const auto text = files.read_file(agent::cut_status_path(settings.home, settings.group), config::kMaxConfigBytes);
    if (!text.ok()) continue;
    const config::Json json = TRY(config::parse_json(as_text(text.value())));
    if (json["at_ns"].i64() < asked_ns) continue;
    config::Json answer = json;
    answer.set("ok", json["trouble"].string().empty());
    const std::string trouble = json["trouble"].string();
    if (json["cut"].is_null() || json["taken_ns"].i64() < asked_ns)
      return Error(Code::Conflict, trouble)
          .hint("commits went on; see to what it names, then try again: exclave status tells what the agent sees");
    context.print("cut " + json["cut"].string().substr(0, 12) + " over " +
                      std::to_string(json["members"].elements().size()) + " databases, held for " +
                      std::to_string(json["held_us"].u64()) + " us\n",
                  answer);
    if (!trouble.empty()) context.note(trouble);
    return trouble.empty() ? kOk : kPartial;
  }
  return Error(Code::Unavailable, "the agent took no cut in time").hint("look at it: exclave status --home DIRECTORY");
}

Result<ExitCode> run(const Context& context, const WalFetchSettings& settings) {
  const auto fetched = engine::fetch_wal(context.env.files, settings.directory, settings.name, settings.target);
  if (!fetched.ok()) {
    show_error(context, fetched.error());
    return kWalTrouble;
  }
  note_replay(context.env, settings.directory, settings.name, fetched.value());
  return fetched.value() == engine::FetchOutcome::HandedOver ? kOk : kWalAbsent;
}

}  // namespace exclave::cli
