#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/restore_report.h"
#include "cli/site_folder.h"
#include "engine/restore.h"

namespace exclave::cli {
namespace {

// Whether "latest" is perhaps not the latest there is: so few vaults answered that a later snapshot, which as many
// vaults hold as a durable one needs, may lie in others only.
bool may_lack_the_latest(const ReleasedSnapshot& released, const RestoreSettings& settings) {
  return settings.snapshot == "latest" && !released.holdings.is_whole;
}

// With the snapshot, and those older than it, of which the target holds a part.
Status go_on_with_unfinished(const Context& context, const RestoreSettings& settings, ReleasedSnapshot& released) {
  if (settings.snapshot != "latest") return {};
  const auto unfinished = engine::unfinished_in(context.env.files, settings.target);
  if (!unfinished.has_value()) return {};
  const engine::FoundSnapshot latest = released.snapshot;
  const std::string dataset = released.content->record().dataset;
  const auto older =
      std::find_if(released.older.begin(), released.older.end(),
                   [&](const engine::FoundSnapshot& other) { return other.object.name.hex() == *unfinished; });
  if (older == released.older.end()) return {};  // the latest itself, or one that the restore refuses
  TRY(open_another(context, released, *older));
  if (released.content->record().dataset != dataset) return open_another(context, released, latest);
  released.older.erase(released.older.begin(), older + 1);
  if (settings.to == "latest") note_finishing(context, settings.target, released.snapshot, latest);
  return {};
}

}  // namespace

Result<ExitCode> run(const Context& context, const RestoreSettings& given) {
  RestoreSettings settings = given;
  // A database's log lies beside the target, and so does the mark of what is unfinished.
  settings.target = std::string(env::without_slashes(settings.target));
  TRY(engine::check_target(settings.target));
  if (!settings.place.home.empty()) {
    return Error(Code::Denied, "the agent cannot read back what it deposited: it holds no opening keys")
        .hint("restore at a site, with the officials' approvals: exclave release request --site DIRECTORY");
  }
  if (settings.all) return restore_all(context, settings);
  if (settings.releases.size() > 1) {
    return Error(Code::InvalidInput, "several releases are given, and one dataset is restored")
        .hint("bring the registries of all to one point: --all; or restore with one --release after the other");
  }
  if (!settings.releases.empty()) settings.open.release = settings.releases.front();
  const auto site = TRY(SiteFolder::open(context, settings.place));
  ReleasedSnapshot released = TRY(open_released(context, *site, settings.open, settings.snapshot));

  TRY(go_on_with_unfinished(context, settings, released));
  if (released.content->record().kind == format::DatasetKind::Database)
    return restore_database(context, *site, std::move(released), settings);

  if (settings.to != "latest" || !settings.wal.empty() || settings.accept_unproven_end) {
    return Error(Code::InvalidInput, "dataset " + printable(released.content->record().dataset) +
                                         " is no database: --to, --wal and --accept-unproven-end are for a log")
        .hint("choose one of its snapshots: --snapshot ID; or bring all datasets to one point: --all");
  }
  engine::RestoreOptions options;
  options.target = settings.target;
  options.paths = settings.paths;
  if (settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore");
  const engine::RestoreReport report =
      TRY(engine::restore_snapshot(context.env, *released.content, released.snapshot.object.name, options, times,
                                   progress.callback(), context.stop));

  std::string text = restore_text(report, released, settings.target);
  config::Json json = restore_json(report, released);
  const bool is_uncertain = may_lack_the_latest(released, settings);
  json.set("later_may_exist", is_uncertain);
  if (settings.stages) {
    text += render_stages(times, report.totals.bytes, true);
    json.set("stages", stages_json(times));
  }
  context.print(text, json);
  show_restore_problems(context, report);
  if (is_uncertain) {
    const std::size_t vaults = site->policy().vaults.size();
    const std::size_t silent = vaults - std::min(released.holdings.answering.size(), vaults);
    context.note("a later snapshot may exist: " + std::to_string(silent) + " of " + std::to_string(vaults) +
                 " vaults do not answer");
    context.note("  hint: bring them back, and look: exclave snapshots --site DIRECTORY");
  }
  return report.is_partial() || is_uncertain ? kPartial : kOk;
}

}  // namespace exclave::cli
