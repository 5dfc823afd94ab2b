#include "engine/restore.h"

#include "base/text.h"
#include "engine/detail/directory_finisher.h"
#include "engine/detail/directory_itself.h"
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
  std::string target(env::without_slashes(options.target));
  if (target.empty()) return Error(Code::InvalidInput, "no target directory was given");
  return target;
}

// Files with the right size and time may be empty on the disk.
Error distrusted(RestoreMarker& marker, Error why) {
  Status distrusted = marker.distrust();
  Error error = of_targets_disk(std::move(why));
  if (distrusted.ok()) return error;
  return Error(error.code(), error.message() + "; and " + distrusted.error().message())
      .hint("restore into a fresh directory: what is in this one cannot be trusted");
}

// The kernel forgets pages that it could not write.
Status sync_or_distrust(RestoreMarker& marker) {
  Status synced = marker.root()->sync_all();
  return synced.ok() ? std::move(synced) : Status(distrusted(marker, synced.take_error()));
}

// To whom the restore gives the target in the end.
Result<std::uint32_t> owner_of_target(const SnapshotContent& content, const RestoreOptions& options) {
  if (options.owner.has_value()) return options.owner->first;
  std::optional<std::uint32_t> owner;
  Status read = content.for_each_entry([&](const format::ListingEntry& root) -> Status {
    owner = root.owner.user;
    return Error(Code::Cancelled, "the first entry is enough");
  });
  if (owner.has_value()) return *owner;
  if (!read.ok()) return read.take_error();
  return Error(Code::Corrupt, "listing: it is empty");
}

Status finish_directories(const SnapshotContent& content, const RestoreOptions& options, const RestorePlanner& planner,
                          DirectoryFinisher& finisher, RestoreFindings& findings) {
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));
  const auto finish = [&](const format::ListingEntry& directory) {
    return planner.is_refused(directory.path) ? Status() : findings.of_target(finisher.add(directory));
  };
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    return selection.pass(std::move(entry), finish, [&](const format::ListingEntry& chosen) {
      return chosen.type == format::EntryType::Directory ? finish(chosen) : Status();
    });
  }));
  return findings.of_target(finisher.finish());
}

// What is there, and what is not as it was.
void add_findings(const RestoreFindings& findings, RestoreReport& report) {
  const RestoreFindings::Absent absent = findings.absent();
  report.totals.files -= absent.files;
  report.totals.bytes -= absent.bytes;
  RestoreFindings::List problems = findings.problems();
  report.problem_count = problems.count;
  report.problems = std::move(problems.first);
  report.first_content_problem = findings.first_content_problem();
}

// All that is done in the target, but for its end.
class TargetFiller {
 public:
  TargetFiller(env::Env& env, const SnapshotContent& content, const RestoreOptions& options, RestoreMarker& marker,
               RestoreSelection& selection, RestoreFindings& findings)
      : env_(env),
        content_(content),
        options_(options),
        marker_(marker),
        selection_(selection),
        findings_(findings),
        attributes_(findings, options.owner),
        tree_({marker.root(), marker.found() == RestoreMarker::Found::Nothing}) {}

  Result<RestoreReport> fill(StageTimes& times, const OnProgress& on_progress, const std::stop_token& stop) {
    RestoreReport report;
    // 1. Names at once, contents through the pipeline.
    const auto go_on = [&](std::uint64_t files, std::uint64_t written_bytes) -> Status {
      return tell_progress(files, written_bytes, on_progress, stop);
    };
    // Between two runs of one large file, bytes alone tell.
    const auto go_on_within = [&](std::uint64_t written_bytes) { return go_on(progress_.files, written_bytes); };
    ChunkWriter writer(env_, content_, attributes_, findings_, links_, times, go_on_within);
    RestorePlanner planner(env_.files, {content_, writer, attributes_, findings_, tree_, selection_, links_},
                           marker_.found(), report);
    progress_.expected_files = content_.record().totals.files;
    progress_.expected_bytes = content_.record().totals.bytes;
    TRY(content_.for_each_entry([&](format::ListingEntry entry) -> Status {
      TRY(planner.add(std::move(entry)));
      return go_on(report.totals.files, writer.written_bytes());
    }));
    TRY(planner.flush());
    TRY(writer.finish());
    TRY(links_.remove_left_out(content_, tree_, findings_));
    const bool is_nothing = report.totals.files + report.totals.directories + report.totals.others == 0;
    if (!selection_.is_everything() && is_nothing && findings_.problems().count == 0) {
      return Error(Code::NotFound, "nothing in the snapshot matches '" + printable(options_.paths.front()) + "'")
          .hint("look first: exclave ls");
    }

    // 2. Directories, deepest first.
    DirectoryFinisher finisher(attributes_, findings_, tree_.root());
    TRY(finish_directories(content_, options_, planner, finisher, findings_));
    report.ownership_restored = !attributes_.skipped_owner();
    report.written_bytes = writer.written_bytes();
    add_findings(findings_, report);
    return report;
  }

 private:
  Status tell_progress(std::uint64_t files, std::uint64_t written_bytes, const OnProgress& on_progress,
                       const std::stop_token& stop) {
    if (stop.stop_requested())
      return Error(Code::Cancelled, "restore into '" + printable(options_.target) + "' was interrupted")
          .hint("run it again to go on");
    if (!on_progress || !pace_.is_due(files, written_bytes)) return {};
    progress_.files = files;
    progress_.bytes = written_bytes;
    on_progress(progress_);
    return {};
  }

  env::Env& env_;
  const SnapshotContent& content_;
  const RestoreOptions& options_;
  RestoreMarker& marker_;
  RestoreSelection& selection_;
  RestoreFindings& findings_;
  AttributeSetter attributes_;
  TargetTree tree_;
  LinkedNames links_;
  CaptureProgress progress_;
  ProgressPace pace_;
};

Result<RestoreMarker> open_target(env::FileSystem& files, const SnapshotContent& content,
                                  const format::ObjectName& snapshot, const RestoreOptions& options,
                                  const std::string& target, const RestoreSelection& selection) {
  ClaimedTarget root = options.claimed != nullptr ? options.claimed : TRY(of_targets_disk(claim_target(files, target)));
  bool have_vaults_failed = false;
  const auto owner = [&] {
    auto found = owner_of_target(content, options);
    have_vaults_failed = !found.ok();
    return found;
  };
  auto marker = RestoreMarker::open(files, snapshot, target, std::move(root), selection.paths(), owner);
  return have_vaults_failed ? std::move(marker) : of_targets_disk(std::move(marker));
}

Result<RestoreReport> restore_into_target(env::Env& env, const SnapshotContent& content,
                                          const format::ObjectName& snapshot, const RestoreOptions& options,
                                          StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = env.clock.monotonic();
  const std::string target = TRY(target_of(options));
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));

  // A fresh target, or one to go on with.
  RestoreMarker marker = TRY(open_target(env.files, content, snapshot, options, target, selection));
  RestoreFindings findings;
  auto filled = TargetFiller(env, content, options, marker, selection, findings).fill(times, on_progress, stop);
  if (!filled.ok()) return findings.has_target_failed() ? distrusted(marker, filled.take_error()) : filled.take_error();
  RestoreReport report = filled.take();

  // Durability, and the marker goes.
  const env::Instant before_sync = env.clock.monotonic();
  report.duration = before_sync - start;
  if (options.syncing == Syncing::Sync) {
    TRY(sync_or_distrust(marker));
    report.sync_duration = env.clock.monotonic() - before_sync;
  }
  if (findings.left_out().count > 0) return incomplete(findings, target);  // the marker stays: it can be gone on with
  if (options.ending == Ending::Finish) {
    if (auto left = TRY(of_targets_disk(marker.finish()))) {
      report.problems.insert(report.problems.begin(), CaptureProblem{"", std::move(*left)});
      ++report.problem_count;
    }
  }
  return report;
}

}  // namespace

Error of_targets_disk(Error why) {
  switch (why.code()) {
    case Code::Denied:
    case Code::Corrupt:
    case Code::Unavailable:
    case Code::OutcomeUnknown:
      break;
    case Code::InvalidInput:
    case Code::NotFound:
    case Code::AlreadyExists:
    case Code::Conflict:
    case Code::Precondition:
    case Code::Exhausted:
    case Code::Unsupported:
    case Code::Cancelled:
    case Code::Bug:
      return why;
  }
  const std::string hint =
      why.hint_text().empty() ? "look at the target's disk and at its rights, and run it again" : why.hint_text();
  return Error(Code::Precondition, why.message()).hint(hint);
}

Result<RestoreReport> restore_snapshot(env::Env& env, const SnapshotContent& content,
                                       const format::ObjectName& snapshot, const RestoreOptions& options,
                                       StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  auto restored = restore_into_target(env, content, snapshot, options, times, on_progress, std::move(stop));
  if (restored.ok() || restored.error().code() != Code::Exhausted) return restored;
  return restored.take_error().hint("make room, and run it again with this target: it goes on where it was");
}

}  // namespace exclave::engine
