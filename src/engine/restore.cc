#include "engine/restore.h"

#include "base/text.h"
#include "engine/detail/directory_finisher.h"
#include "engine/detail/restore_planner.h"

namespace exclave::engine {
namespace {

using Found = RestorePlanner::Found;

constexpr std::string_view kMarkerSuffix = ".exclave-restore";
// In the marker instead of a boot's id: some of what is there may not have survived the power loss, nobody knows which.
constexpr std::string_view kNoBoot = "-";

std::string boot_id(env::FileSystem& files) {
  const auto id = files.read_file("/proc/sys/kernel/random/boot_id", 4096);
  return id.ok() ? std::string(as_text(id.value()).substr(0, 36)) : std::string();
}

// Target and marker: fresh, or an unfinished restore of the same snapshot.
Result<Found> prepare_target(env::FileSystem& files, const format::ObjectName& snapshot, const std::string& target,
                             const std::string& marker) {
  const std::string boot = boot_id(files);
  const auto mark_with = [&](std::string_view boot_or_none) {
    const std::string mark = snapshot.hex() + " " + std::string(boot_or_none) + "\n";
    return env::replace_file_durably(files, marker, as_bytes(mark), 0600);
  };
  const auto present = files.stat(target);
  if (!present.ok() && present.error().code() != Code::NotFound) return present.error();
  if (!present.ok()) TRY(files.make_directories(target, 0700));
  if (present.ok() && present.value().type != env::FileType::Directory) {
    return Error(Code::Precondition, "target '" + printable(target) + "' is not a directory")
        .hint("name a directory that does not exist yet");
  }
  if (!present.ok() || TRY(files.list(target)).empty()) {
    TRY(mark_with(boot));
    return Found::Nothing;
  }
  const auto mark = files.read_file(marker, 4096);
  if (!mark.ok()) {
    return Error(Code::Precondition, "target '" + printable(target) + "' is not empty")
        .hint("restore into a fresh directory");
  }
  if (!as_text(mark.value()).starts_with(snapshot.hex())) {
    return Error(Code::Precondition,
                 "target '" + printable(target) + "' holds an unfinished restore of another snapshot")
        .hint("finish that one, or restore into a fresh directory");
  }
  if (!boot.empty() && as_text(mark.value()) == snapshot.hex() + " " + boot + "\n") return Found::Finished;
  // From now on, also if this run is interrupted: it replaces what is there one by one.
  TRY(mark_with(kNoBoot));
  return Found::Unreliable;
}

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
  return Error(Code::Corrupt, std::move(message))
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

Status finish_directories(const SnapshotContent& content, const RestoreOptions& options, DirectoryFinisher& finisher) {
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    const bool is_directory = entry.type == format::EntryType::Directory;
    if (!is_directory || !selection.chooses(entry.path, true)) return {};
    return finisher.add(entry);
  }));
  return finisher.finish();
}

}  // namespace

Result<RestoreReport> restore_snapshot(env::Env& env, const SnapshotContent& content,
                                       const format::ObjectName& snapshot, const RestoreOptions& options,
                                       StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = env.clock.monotonic();
  const std::string target = TRY(target_of(options));
  RestoreSelection selection = TRY(RestoreSelection::parse(options.paths));

  // 1. A fresh target, or one to go on with.
  const std::string marker = target + std::string(kMarkerSuffix);
  const Found found = TRY(prepare_target(env.files, snapshot, target, marker));
  TargetTree tree({std::shared_ptr<env::Directory>(TRY(env.files.open_directory(target))), found == Found::Nothing});

  // 2. Names at once, contents through the pipeline.
  RestoreReport report;
  RestoreFindings findings;
  AttributeSetter attributes(findings);
  LinkedNames links;
  ChunkWriter writer(env, content, attributes, findings, links, times);
  RestorePlanner planner(env.files, {content, writer, attributes, findings, tree, selection, links}, found, report);
  CaptureProgress progress;
  progress.expected_files = content.record().totals.files;
  progress.expected_bytes = content.record().totals.bytes;
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    if (stop.stop_requested())
      return Error(Code::Cancelled, "restore into '" + printable(target) + "' was interrupted")
          .hint("run it again to go on");
    TRY(planner.add(std::move(entry)));
    progress.files = report.totals.files;
    progress.bytes = writer.written_bytes();
    if (on_progress && report.totals.files % 256 == 0) on_progress(progress);
    return {};
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
  TRY(finish_directories(content, options, finisher));
  report.ownership_restored = !attributes.skipped_owner();
  report.written_bytes = writer.written_bytes();
  report.problem_count = findings.problems().count;
  report.problems = findings.problems().first;
  const env::Instant before_sync = env.clock.monotonic();
  report.duration = before_sync - start;
  if (options.syncing == Syncing::Sync) {
    TRY(env.files.sync_all(target));
    report.sync_duration = env.clock.monotonic() - before_sync;
  }
  if (findings.left_out().count > 0) return incomplete(findings, target);  // the marker stays: it can be gone on with
  ignore(env.files.remove_file(marker), "a left-over marker only allows to run the same restore again");
  return report;
}

}  // namespace exclave::engine
