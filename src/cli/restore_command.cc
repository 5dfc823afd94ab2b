#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/site_folder.h"
#include "engine/restore.h"

namespace exclave::cli {
namespace {

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

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

}  // namespace

Result<ExitCode> run(const Context& context, const RestoreSettings& settings) {
  if (!settings.place.home.empty()) {
    return Error(Code::Denied, "the agent cannot read back what it deposited: it holds no opening keys")
        .hint("restore at a site, with the officials' approvals: exclave release request --site DIRECTORY");
  }
  const auto site = TRY(SiteFolder::open(context, settings.place));
  OpenedSnapshot opened = TRY(open_release(context, *site, settings.open, settings.snapshot));
  spread::CopiesReader reader(context.env.threads, context.env.clock, site->vaults().all());
  repo::ObjectOpener opener(site->policy().realm, std::move(opened.release.keys), reader);
  const auto content =
      TRY(engine::SnapshotContent::open(opener, opened.snapshot.object, opened.holdings.objects, reader));
  for (const std::string& note : content->notes()) context.note(note);

  engine::RestoreOptions options;
  options.target = settings.target;
  options.paths = settings.paths;
  if (settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore");
  const engine::RestoreReport report = TRY(engine::restore_snapshot(
      context.env, opener, *content, opened.snapshot.object.name, options, times, progress.callback(), context.stop));

  const auto incidents = reader.incidents();
  std::string text = fmt::format(
      "restored snapshot {} ({}) into {}: {} files, {} directories, {} others, {} in {} ({}/s), synced in {}\n",
      short_hex(opened.snapshot.object.name.view()), local_time(content->record().started_ns / 1'000'000'000),
      settings.target, report.totals.files, report.totals.directories, report.totals.others,
      human_bytes(report.totals.bytes), human_duration(report.duration),
      human_bytes(static_cast<std::uint64_t>(static_cast<double>(report.written_bytes) /
                                             std::max(1e-9, seconds(report.duration)))),
      human_duration(report.sync_duration));
  if (report.kept_files > 0) text += std::to_string(report.kept_files) + " files were finished by an earlier run\n";
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("snapshot", opened.snapshot.object.name.hex())
      .set("files", report.totals.files)
      .set("directories", report.totals.directories)
      .set("others", report.totals.others)
      .set("bytes", report.totals.bytes)
      .set("kept_files", report.kept_files)
      .set("seconds", seconds(report.duration))
      .set("sync_seconds", seconds(report.sync_duration))
      .set("ownership_restored", report.ownership_restored)
      .set("problem_count", report.problem_count)
      .set("incidents", incidents_json(incidents));
  config::Json vaults = config::Json::array();
  for (const spread::VaultReadStatistics& vault : reader.statistics()) {
    if (vault.reads > 0)
      text += fmt::format("  from vault {}: {} in {} reads, {} failed\n", vault.vault, human_bytes(vault.bytes),
                          vault.reads, vault.failures);
    vaults.push(config::Json::object()
                    .set("vault", vault.vault)
                    .set("bytes", vault.bytes)
                    .set("reads", vault.reads)
                    .set("failures", vault.failures));
  }
  json.set("vaults", std::move(vaults));
  config::Json approved = config::Json::array();
  for (const std::string& official : opened.release.approved_by) approved.push(official);
  json.set("approved_by", std::move(approved));
  std::string last_vault;
  std::size_t shown = 0;
  for (const spread::ReadIncident& incident : incidents) {
    if (++shown > 8) break;
    text += "  went round: object " + short_hex(incident.object.view()) + " at vault " + incident.vault + ": " +
            incident.error.message() + "\n";
  }
  if (incidents.size() > 8)
    text += "  and " + std::to_string(incidents.size() - 8) + " more reads went round a failure\n";
  if (settings.stages) {
    text += render_stages(times, report.totals.bytes, true);
    json.set("stages", stages_json(times));
  }
  config::Json problems = config::Json::array();
  for (const auto& problem : report.problems)
    problems.push(config::Json::object().set("path", problem.path).set("why", problem.why));
  json.set("problems", std::move(problems));
  context.print(text, json);
  if (!report.ownership_restored)
    context.note("owners were not restored, and set-id bits were left off: run as root to restore them");
  for (std::size_t i = 0; i < std::min<std::size_t>(report.problems.size(), 20); ++i)
    context.note("  " + printable(report.problems[i].path) + ": " + report.problems[i].why);
  return report.is_partial() ? kPartial : kOk;
}

}  // namespace exclave::cli
