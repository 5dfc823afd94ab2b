#include "base/text.h"
#include "cli/commands.h"
#include "cli/database_restore.h"
#include "cli/render.h"
#include "cli/restore_report.h"
#include "cli/speeds.h"
#include "repo/chunk_source.h"

namespace exclave::cli {
namespace {

// The snapshot that was chosen, and, if the operator named none, the older bases of its dataset.
// One that cannot be opened is lost: it may be the one that serves.
NextBase bases_of(ReleasedSnapshot& released, const RestoreSettings& settings) {
  const std::size_t left = settings.snapshot == "latest" ? released.older.size() : 0;
  return [&released, left, first = true, at = std::size_t{0}]() mutable -> std::optional<engine::DatasetSnapshot> {
    engine::DatasetSnapshot newest = engine::describe(released.snapshot, released.content->record());
    if (std::exchange(first, false)) return newest;
    while (at < left) {
      const engine::FoundSnapshot& found = released.older[at++];
      auto record = repo::open_snapshot(*released.opener, found.object);
      if (!record.ok()) released.holdings.lost.push_back({found, record.take_error()});
      if (!record.ok() || record.value().dataset != newest.dataset || !record.value().base.has_value()) continue;
      return engine::describe(found, record.value());
    }
    return std::nullopt;
  };
}

}  // namespace

Result<ExitCode> restore_database(const Context& context, SiteFolder& site, ReleasedSnapshot released,
                                  const RestoreSettings& settings) {
  if (!settings.paths.empty())
    return Error(Code::InvalidInput, "a database is restored whole").hint("leave the paths out");
  const engine::RecoveryGoal goal = TRY(parse_goal(settings.to));

  // 1. The log first: without it the base is of no use, and its end says what the restore will be worth.
  const RestoreTarget target = TRY(engine::of_targets_disk(claim_restore_target(context.env.files, settings.target)));
  const std::string log_directory = settings.wal.empty() ? settings.target + ".wal" : settings.wal;
  TRY(check_lies_beside(context.env.files, target, log_directory));
  const FoundLog found =
      TRY(find_log(context, site, released, settings, goal, bases_of(released, settings), log_directory));

  // 2. The base.
  if (found.base.found.object.name != released.snapshot.object.name)
    TRY(open_another(context, released, found.base.found));
  engine::RestoreOptions options;
  options.target = target.path;
  options.owner = target.owner;
  options.claimed = target.claimed;
  options.ending = engine::Ending::StayMarked;
  if (settings.no_sync) options.syncing = engine::Syncing::LeaveToKernel;
  engine::StageTimes times;
  ProgressLine progress(context, "restore");
  const engine::RestoreReport report =
      TRY(engine::restore_snapshot(context.env, *released.content, released.snapshot.object.name, options, times,
                                   progress.callback(), context.stop));

  // 3. Set up so that its server recovers to exactly that end.
  auto ready = make_ready(context, found, target, report);
  if (!ready.ok()) return distrusting(context, {target.path}, ready.take_error());
  const auto recoveries = hand_over(context, {{&found, &target}});
  if (!recoveries.ok()) return distrusting(context, {target.path}, recoveries.error());
  const Status allowed = engine::allow_recovery(recoveries.value());
  note_restore(context, site, found, report);
  config::Json json = restore_json(report, released);
  add_database(json, found);
  add_outcome(json, allowed);
  context.print(
      restore_text(report, released, settings.target) + database_text(found, ready.value(), settings.target, allowed),
      json);
  show_database_notes(context, found, ready.value(), target);
  show_restore_problems(context, report);
  const bool is_partial = report.is_partial() || found.may_lack_the_last;
  return end_of_restore(context, allowed, is_partial ? IsPartial::Yes : IsPartial::No);
}

}  // namespace exclave::cli
