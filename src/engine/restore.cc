#include "engine/restore.h"

#include "base/text.h"
#include "engine/detail/directory_finisher.h"
#include "engine/detail/progress_pace.h"
#include "engine/detail/restore_marker.h"
#include "engine/detail/restore_planner.h"

namespace exclave::engine {
namespace {

std::string listed(const RestoreFindings::List& list) {
  std::string lines;
  for (const CaptureProblem& each : list.first) {
    lines += "\n  " + (each.path.empty() ? "." : printable(each.path)) + ": " + each.why;
  }
  if (list.count > list.first.size()) lines += "\n  and " + std::to_string(list.count - list.first.size()) + " more";
  return lines;
}

// The end of a restore that could not be whole: what is missing, why, and what else was noted.
Error incomplete(const RestoreFindings& findings, const std::string& target) {
  const RestoreFindings::List left_out = findings.left_out();
  std::string message = "target '" + printable(target) + "': all is restored but " + std::to_string(left_out.count) +
                        (left_out.count == 1 ? " file" : " files") + " whose bytes no vault gives whole" +
                        listed(left_out);
  const RestoreFindings::List problems = findings.problems();
  if (problems.count > 0) message += "\nand these have problems of another kind" + listed(problems);
  return Error(findings.may_be_had_later() ? Code::Unavailable : Code::Corrupt, std::move(message))
      .hint(
          "run it again with this target when more vaults answer, or take these files from an older snapshot: "
          "exclave snapshots");
}

Result<std::string> target_of(const RestoreOptions& options) {
  std::string target = options.target;
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  if (target.empty()) return Error(Code::InvalidInput, "no target directory was given");
  return target;
}

// The kernel forgets pages that it could not write: files with the right size and time may be empty on the disk.
Status sync_or_distrust(RestoreMarker& marker) {
  Status synced = marker.root()->sync_all();
  if (synced.ok()) return synced;
  Status distrusted = marker.distrust();
  if (distrusted.ok()) return synced;
  return Error(synced.error().code(), synced.error().message() + "; and " + distrusted.error().message())
      .hint("restore into a fresh directory: what is in this one cannot be trusted");
}

Status finish_directories(const SnapshotContent& content, const RestoreOptions& options, const RestorePlanner& planner,
                          DirectoryFinisher& finisher) {
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));
  const auto finish = [&](const format::ListingEntry& directory) {
    return planner.is_refused(directory.path) ? Status() : finisher.add(directory);
  };
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    return selection.pass(std::move(entry), finish, [&](const format::ListingEntry& chosen) {
      return chosen.type == format::EntryType::Directory ? finish(chosen) : Status();
    });
  }));
  return finisher.finish();
}

Result<RestoreReport> restore_into_target(env::Env& env, const SnapshotContent& content,
                                          const format::ObjectName& snapshot, const RestoreOptions& options,
                                          StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = env.clock.monotonic();
  const std::string target = TRY(target_of(options));
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));

  // 1. A fresh target, or one to go on with.
  ClaimedTarget root = options.claimed != nullptr ? options.claimed : TRY(claim_target(env.files, target));
  RestoreMarker marker = TRY(RestoreMarker::open(env.files, snapshot, target, std::move(root), selection.paths()));
  TargetTree tree({marker.root(), marker.found() == RestoreMarker::Found::Nothing});

  // 2. Names at once, contents through the pipeline.
  RestoreReport report;
  RestoreFindings findings;
  AttributeSetter attributes(findings, options.owner);
  LinkedNames links;
  CaptureProgress progress;
  progress.expected_files = content.record().totals.files;
  progress.expected_bytes = content.record().totals.bytes;
  ProgressPace pace;
  const auto go_on = [&](std::uint64_t files, std::uint64_t written_bytes) -> Status {
    if (stop.stop_requested())
      return Error(Code::Cancelled, "restore into '" + printable(target) + "' was interrupted")
          .hint("run it again to go on");
    if (!on_progress || !pace.is_due(files, written_bytes)) return {};
    progress.files = files;
    progress.bytes = written_bytes;
    on_progress(progress);
    return {};
  };
  // Between two runs of one large file, bytes alone tell.
  const auto go_on_within = [&](std::uint64_t written_bytes) { return go_on(progress.files, written_bytes); };
  ChunkWriter writer(env, content, attributes, findings, links, times, go_on_within);
  RestorePlanner planner(env.files, {content, writer, attributes, findings, tree, selection, links}, marker.found(),
                         report);
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    TRY(planner.add(std::move(entry)));
    return go_on(report.totals.files, writer.written_bytes());
  }));
  TRY(planner.flush());
  TRY(writer.finish());
  TRY(links.remove_left_out(content, tree, findings));
  if (!selection.is_everything() && report.totals.files + report.totals.directories + report.totals.others == 0) {
    return Error(Code::NotFound, "nothing in the snapshot matches '" + printable(options.paths.front()) + "'")
        .hint("look first: exclave ls");
  }

  // 3. Directories, deepest first; then durability, and the marker goes.
  DirectoryFinisher finisher(attributes, findings, tree.root());
  TRY(finish_directories(content, options, planner, finisher));
  report.ownership_restored = !attributes.skipped_owner();
  report.written_bytes = writer.written_bytes();
  RestoreFindings::List problems = findings.problems();
  report.problem_count = problems.count;
  report.problems = std::move(problems.first);
  const env::Instant before_sync = env.clock.monotonic();
  report.duration = before_sync - start;
  if (options.syncing == Syncing::Sync) {
    TRY(sync_or_distrust(marker));
    report.sync_duration = env.clock.monotonic() - before_sync;
  }
  if (findings.left_out().count > 0) return incomplete(findings, target);  // the marker stays: it can be gone on with
  if (options.ending == Ending::Finish) TRY(marker.finish());
  return report;
}

}  // namespace

Result<RestoreReport> restore_snapshot(env::Env& env, const SnapshotContent& content,
                                       const format::ObjectName& snapshot, const RestoreOptions& options,
                                       StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  auto restored = restore_into_target(env, content, snapshot, options, times, on_progress, std::move(stop));
  if (restored.ok() || restored.error().code() != Code::Exhausted) return restored;
  return restored.take_error().hint("make room, and run it again with this target: it goes on where it was");
}

}  // namespace exclave::engine
