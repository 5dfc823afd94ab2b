#include "cli/capture_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/render.h"
#include "engine/snapshot_finder.h"
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
  config::Json problems = config::Json::array();
  for (const engine::CaptureProblem& problem : report.problems)
    problems.push(config::Json::object().set("path", problem.path).set("why", problem.why));
  json.set("problems", std::move(problems));
  return json;
}

void show_problems(const Context& context, const std::vector<engine::CaptureProblem>& problems, std::uint64_t count) {
  constexpr std::size_t kShown = 20;
  for (std::size_t i = 0; i < std::min(problems.size(), kShown); ++i) {
    context.note("  " + printable(problems[i].path) + ": " + problems[i].why);
  }
  if (count > kShown)
    context.note("  and " + std::to_string(count - std::min<std::uint64_t>(count, kShown)) +
                 " more (--json lists them)");
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
  config::Json json = capture_json(report);
  for (const auto& [key, value] : ending.json.members()) json.set(key, value);
  if (ending.stages) {
    text += render_stages(times, report.totals.bytes, false);
    json.set("stages", stages_json(times));
  }
  context.print(text, json);
  const auto behind = report.vaults_behind();
  for (const spread::VaultProgress& vault : report.vaults) {
    if (vault.head < report.entries) {
      context.note(
          "vault " + vault.vault + " is behind: " +
          (vault.failure.has_value() ? store::said_by(vault.vault, *vault.failure) : "it was still receiving"));
    }
  }
  const std::vector<std::string> missing =
      engine::vaults_missing_entries(home.pinned(), home.era().era.number, home.vaults().all());
  for (const std::string& vault : missing) {
    context.note("vault " + vault +
                 " lacks objects of earlier captures: it cannot restore this era alone until it is repaired");
  }
  for (const std::string& note : report.notes) context.note(note);
  for (const std::string& what : report.not_kept) context.note("the snapshot is durable, but " + what);
  if (!erased.ok()) {
    context.note("the snapshot is durable, but keys of ended periods are still here: " + erased.error().message());
  }
  if (report.totals.unreadable > 0) {
    context.note(std::to_string(report.totals.unreadable) + " entries could not be captured whole:");
    show_problems(context, report.problems, report.totals.unreadable);
  }
  if (report.is_partial() || !erased.ok()) return kPartial;
  return ending.wait_all && (!behind.empty() || !missing.empty()) ? kPartial : kOk;
}

}  // namespace exclave::cli
