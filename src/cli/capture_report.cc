#include "cli/capture_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/render.h"
#include "engine/stored_check.h"
#include "store/vault_words.h"

namespace exclave::cli {
namespace {

// The durable line names what was reached, and who is behind.
std::string where_it_is(const engine::CaptureReport& report) {
  std::string complete;
  for (const spread::VaultProgress& vault : report.vaults) {
    if (vault.head == report.entries) append_item(complete, vault.vault);
  }
  return "durable; received whole by " + complete;
}

std::vector<std::string> problems_in_words(const std::vector<engine::CaptureProblem>& problems, std::uint64_t count) {
  constexpr std::size_t kShown = 20;
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < std::min(problems.size(), kShown); ++i)
    lines.push_back("  " + printable(problems[i].path) + ": " + problems[i].why);
  if (count > kShown)
    lines.push_back("  and " + std::to_string(count - std::min<std::uint64_t>(count, kShown)) +
                    " more (--json lists them)");
  return lines;
}

std::optional<format::StreamId> stream_of(const engine::CaptureReport& report) {
  for (const spread::VaultProgress& vault : report.vaults) {
    if (vault.receipt.has_value()) return vault.receipt->receipt.stream;
  }
  return std::nullopt;
}

// What this snapshot shares with earlier ones was not sent again: is it still there?
Result<engine::StoredCheck> check_stored(AgentHome& home, const engine::CaptureReport& report) {
  engine::StoredMemory memory;
  memory.kept = TRY(repo::receipts_in(home.table()));
  memory.relied = TRY(repo::relied_in(home.table()));
  memory.just_sent = stream_of(report);
  return engine::check_stored(home.pinned(), home.era().era.number, memory, home.vaults().all());
}

void add_remarks(const Result<engine::StoredCheck>& stored, const policy::Policy& policy,
                 std::vector<std::string>& lines) {
  if (!stored.ok()) {
    lines.push_back("the snapshot is durable, but whether the vaults still hold what it refers to was not checked: " +
                    stored.error().message());
    return;
  }
  for (const std::string& vault : stored.value().lacking) {
    lines.push_back("vault " + vault +
                    " lacks objects of earlier captures: it cannot restore this era alone until it is repaired");
  }
  if (stored.value().endangered > 0) lines.push_back(endangered_in_words(stored.value(), policy));
  if (stored.value().has_nearly_all_streams()) lines.push_back(streams_in_words(stored.value()));
}

// What somebody has to know of a durable capture besides what it reached, a line each.
std::vector<std::string> remarks_on(const engine::CaptureReport& report, const Result<engine::StoredCheck>& stored,
                                    const policy::Policy& policy) {
  std::vector<std::string> lines;
  for (const spread::VaultProgress& vault : report.vaults) {
    if (vault.head >= report.entries) continue;
    lines.push_back(
        "vault " + vault.vault + " is behind: " +
        (vault.failure.has_value() ? store::said_by(vault.vault, *vault.failure) : "it was still receiving"));
  }
  add_remarks(stored, policy, lines);
  lines.insert(lines.end(), report.notes.begin(), report.notes.end());
  for (const std::string& what : report.not_kept) lines.push_back("the snapshot is durable, but " + what);
  if (report.totals.unreadable == 0) return lines;
  lines.push_back(std::to_string(report.totals.unreadable) + " entries could not be captured whole:");
  for (std::string& line : problems_in_words(report.problems, report.totals.unreadable))
    lines.push_back(std::move(line));
  return lines;
}

void set_stored(const Result<engine::StoredCheck>& stored, config::Json& json) {
  if (!stored.ok()) {
    json.set("stored_not_checked", stored.error().message());
    return;
  }
  config::Json lacking = config::Json::array();
  for (const std::string& vault : stored.value().lacking) lacking.push(vault);
  json.set("lacking", std::move(lacking)).set("endangered", stored.value().endangered);
}

}  // namespace

config::Json capture_json(const engine::CaptureReport& report) {
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("snapshot", report.snapshot.hex())
      .set("number", report.number)
      .set("files", report.totals.files)
      .set("directories", report.totals.directories)
      .set("others", report.totals.others)
      .set("bytes", report.totals.bytes)
      .set("unchanged_files", report.unchanged_files)
      .set("read_bytes", report.read_bytes)
      .set("stored_bytes", report.packs.object_bytes)
      .set("unreadable", report.totals.unreadable)
      .set("excluded", report.excluded)
      .set("seconds", in_seconds(report.duration));
  config::Json vaults = config::Json::array();
  for (const spread::VaultProgress& vault : report.vaults) {
    config::Json entry = config::Json::object();
    entry.set("vault", vault.vault).set("head", vault.head).set("complete", vault.head == report.entries);
    if (vault.failure.has_value()) entry.set("error", vault.failure->message());
    vaults.push(std::move(entry));
  }
  json.set("entries", report.entries).set("vaults", std::move(vaults));
  config::Json notes = config::Json::array();
  for (const std::string& note : report.notes) notes.push(note);
  json.set("notes", std::move(notes));
  config::Json not_kept = config::Json::array();
  for (const std::string& what : report.not_kept) not_kept.push(what);
  json.set("not_kept", std::move(not_kept));
  config::Json problems = config::Json::array();
  for (const engine::CaptureProblem& problem : report.problems)
    problems.push(config::Json::object().set("path", problem.path).set("why", problem.why));
  json.set("problems", std::move(problems));
  return json;
}

void show_problems(const Context& context, const std::vector<engine::CaptureProblem>& problems, std::uint64_t count) {
  for (const std::string& line : problems_in_words(problems, count)) context.note(line);
}

std::string endangered_in_words(const engine::StoredCheck& stored, const policy::Policy& policy) {
  return std::to_string(stored.endangered) +
         " objects of earlier captures, to which this era refers, are held by fewer than " +
         std::to_string(policy.quorum.k) +
         " vaults now, though that many had confirmed them, or as many as the policy asked for then: repair the "
         "vaults that lack them (exclave repair); what no vault has any more is stored anew only in the next era "
         "(exclave agent recover)";
}

std::string endangered_log_in_words(const engine::StoredCheck& stored, const policy::Policy& policy) {
  std::string showing;
  std::string lacking;
  for (const std::string& vault : stored.showing_segments) append_item(showing, vault);
  for (const std::string& vault : stored.lacking_segments) append_item(lacking, vault);
  return std::to_string(stored.endangered_segments) + " segments of the databases' log that " + showing +
         " shows are held by fewer than " + std::to_string(policy.quorum.k) +
         " vaults now, and home has them no more; lacking at " + lacking + ": repair these (exclave repair)";
}

std::string streams_in_words(const engine::StoredCheck& stored) {
  return "this registry has opened " + std::to_string(stored.streams) + " streams of the " +
         std::to_string(store::kMostStreams) +
         " that a vault takes from it in its life; each capture opens one, and each start of the agent: capture less "
         "often, "
         "and have the next policy name a new registry before the last one is opened: nothing can be captured from "
         "then on";
}

Result<ExitCode> finish_capture(const Context& context, AgentHome& home, const engine::CaptureReport& report,
                                const engine::StageTimes& times, const CaptureEnding& ending) {
  const Status erased = home.erase_ended_periods(context);
  std::string text = fmt::format("snapshot {} (number {}): {} files, {}; {} new objects' bytes in {} ({}/s)\n",
                                 short_hex(report.snapshot.view()), report.number, report.totals.files,
                                 human_bytes(report.totals.bytes), human_bytes(report.packs.object_bytes),
                                 human_duration(report.duration),
                                 human_bytes(static_cast<std::uint64_t>(static_cast<double>(report.totals.bytes) /
                                                                        std::max(1e-9, in_seconds(report.duration)))));
  if (report.unchanged_files > 0)
    text += fmt::format("{} files unchanged, {} read\n", report.unchanged_files, human_bytes(report.read_bytes));
  text += where_it_is(report) + "\n" + ending.text;
  const Result<engine::StoredCheck> stored = check_stored(home, report);
  config::Json json = capture_json(report);
  set_stored(stored, json);
  if (!erased.ok()) json.set("keys_not_erased", erased.error().message());
  for (const auto& [key, value] : ending.json.members()) json.set(key, value);
  if (ending.stages) {
    text += render_stages(times, report.totals.bytes, false);
    json.set("stages", stages_json(times));
  }
  context.print(text, json);
  for (const std::string& line : remarks_on(report, stored, home.policy())) context.note(line);
  if (!erased.ok()) {
    context.note("the snapshot is durable, but keys of ended periods are still here: " + erased.error().message());
  }
  if (report.is_partial() || !erased.ok() || !stored.ok() || stored.value().endangered > 0) return kPartial;
  return ending.wait_all && (!report.vaults_behind().empty() || !stored.value().lacking.empty()) ? kPartial : kOk;
}

Status log_capture(const Context& context, AgentHome& home, const engine::CaptureReport& report,
                   std::string_view what) {
  const Status erased = home.erase_ended_periods(context);
  env::Log& log = context.env.log;
  log.write(env::LogLevel::Info, std::string(what) + " is durable");
  for (const std::string& line : remarks_on(report, check_stored(home, report), home.policy()))
    log.write(env::LogLevel::Warning, std::string(what) + ": " + line);
  return erased;
}

}  // namespace exclave::cli
