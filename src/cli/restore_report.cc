#include "cli/restore_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/render.h"
#include "store/vault_words.h"

namespace exclave::cli {
namespace {

config::Json incidents_json(const std::vector<spread::ReadIncident>& incidents) {
  config::Json list = config::Json::array();
  for (const spread::ReadIncident& incident : incidents) {
    list.push(config::Json::object()
                  .set("vault", incident.vault)
                  .set("object", incident.object.hex())
                  .set("error", incident.error.message()));
  }
  return list;
}

constexpr std::size_t kShownIncidents = 8;
constexpr std::size_t kShownProblems = 20;

}  // namespace

config::Json restored_json(const engine::RestoreReport& report, const engine::FoundSnapshot& snapshot) {
  config::Json problems = config::Json::array();
  for (const engine::CaptureProblem& problem : report.problems) {
    problems.push(config::Json::object().set("path", problem.path).set("why", problem.why));
  }
  config::Json json = config::Json::object();
  json.set("snapshot", snapshot.object.name.hex())
      .set("files", report.totals.files)
      .set("directories", report.totals.directories)
      .set("others", report.totals.others)
      .set("bytes", report.totals.bytes)
      .set("kept_files", report.kept_files)
      .set("seconds", in_seconds(report.duration))
      .set("sync_seconds", in_seconds(report.sync_duration))
      .set("ownership_restored", report.ownership_restored)
      .set("problem_count", report.problem_count)
      .set("problems", std::move(problems));
  return json;
}

void add_reads(config::Json& json, const ReleasedRegistry& released) {
  config::Json vaults = config::Json::array();
  for (const spread::VaultReadStatistics& vault : released.reader->statistics()) {
    config::Json entry = config::Json::object();
    entry.set("vault", vault.vault).set("bytes", vault.bytes).set("reads", vault.reads).set("failures", vault.failures);
    vaults.push(std::move(entry));
  }
  config::Json approved = config::Json::array();
  for (const std::string& official : released.approved_by) approved.push(official);
  json.set("incidents", incidents_json(released.reader->incidents()))
      .set("vaults", std::move(vaults))
      .set("approved_by", std::move(approved));
}

config::Json restore_json(const engine::RestoreReport& report, const ReleasedSnapshot& released) {
  config::Json json = restored_json(report, released.snapshot);
  json.set("ok", true).set("later_not_released", released.later_not_released);
  add_reads(json, released);
  return json;
}

std::string restored_text(const engine::RestoreReport& report, const engine::FoundSnapshot& snapshot,
                          env::Timestamp began, const std::string& target) {
  const double rate = static_cast<double>(report.written_bytes) / std::max(1e-9, in_seconds(report.duration));
  std::string text = fmt::format(
      "restored snapshot {} ({}) into {}: {} files, {} directories, {} others, {} in {} ({}/s), synced in {}\n",
      short_hex(snapshot.object.name.view()), local_time(began.seconds()), target, report.totals.files,
      report.totals.directories, report.totals.others, human_bytes(report.totals.bytes),
      human_duration(report.duration), human_bytes(static_cast<std::uint64_t>(rate)),
      human_duration(report.sync_duration));
  if (report.kept_files > 0) text += std::to_string(report.kept_files) + " files were finished by an earlier run\n";
  return text;
}

std::string reads_text(const ReleasedRegistry& released) {
  std::string text;
  for (const spread::VaultReadStatistics& vault : released.reader->statistics()) {
    if (vault.reads == 0) continue;
    text += fmt::format("  from vault {}: {} in {} reads, {} failed\n", vault.vault, human_bytes(vault.bytes),
                        vault.reads, vault.failures);
  }
  const auto incidents = released.reader->incidents();
  for (std::size_t i = 0; i < std::min(incidents.size(), kShownIncidents); ++i) {
    text += "  went round: object " + short_hex(incidents[i].object.view()) + " at vault " +
            store::in_list(incidents[i].vault, incidents[i].error) + "\n";
  }
  if (incidents.size() > kShownIncidents) {
    text += "  and " + std::to_string(incidents.size() - kShownIncidents) + " more reads went round a failure\n";
  }
  return text;
}

std::string restore_text(const engine::RestoreReport& report, const ReleasedSnapshot& released,
                         const std::string& target) {
  const env::Timestamp began{released.content->record().started_ns};
  return restored_text(report, released.snapshot, began, target) + reads_text(released);
}

void show_restore_problems(const Context& context, const engine::RestoreReport& report) {
  if (!report.ownership_restored) {
    context.note("owners were not restored, and set-id bits were left off: run as root to restore them");
  }
  const std::size_t shown = std::min(report.problems.size(), kShownProblems);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string& path = report.problems[i].path;
    context.note("  " + (path.empty() ? "." : printable(path)) + ": " + report.problems[i].why);
  }
  if (report.problem_count > shown) {
    context.note("  and " + std::to_string(report.problem_count - shown) + " more problems; --json lists the first " +
                 std::to_string(engine::kMaxListedProblems));
  }
}

void note_finishing(const Context& context, const std::string& target, const engine::FoundSnapshot& unfinished,
                    const engine::FoundSnapshot& later) {
  context.note("target '" + printable(target) + "' holds an unfinished restore of snapshot " +
               short_hex(unfinished.object.name.view()) + ", which is finished; a later one is " +
               short_hex(later.object.name.view()));
  context.note("  hint: for the later one restore into a fresh directory");
}

}  // namespace exclave::cli
