// Restore: writes a snapshot, or a part of it, into a fresh directory. Every byte comes authenticated from the vaults.
// Hides: batching, parallel reads, the order in which names, data and attributes are written.
//
//   listing -> directories and names -> chunks, sorted by pack -> read, open, decompress, check, write -> attributes
//           -> directories' attributes, deepest first -> sync
//
// I1  Nothing is written outside the target: names are checked, directories are opened step by step, no link is
//     followed.
// I2  No byte reaches a file before its segment's tag and its chunk's id were checked.
// I3  The target must be empty or missing, or hold an unfinished restore of the same snapshot: then finished files stay.
//     A file is finished when its modification time is set, which happens last; and if it belongs to this user, or to
//     whom the restore gives it, and has one name, unless it is to have several. After a power loss, or a write or sync that
//     failed, nothing is trusted; nor is a mark that somebody else can have made, or made for another directory. One
//     restore at a time (claim_target).
//     Until its end nobody else can look into it, and no default ACL above it reaches what is restored.
//     Directories above a chosen part are restored with it, without what else is in them.
// I4  What could not be restored as it was is in the report; nothing is skipped silently.
//     A name or a size that the target's file system refuses costs that file, or what is in that directory, only; a
//     hard link that it refuses becomes a file of its own.
// I5  A file that needs bytes which no vault gives whole (damaged where a vault answers, missing in all of them, or
//     perhaps at one that does not answer) is left out: it has no name in the target, each of its names is in the final
//     error with the reason, and all else is restored. The target can be gone on with.
// Memory: the batch (about 64 MiB), 64 bytes for every chunk of the snapshot's indexes (all of the era up to it), one
// path per hard-linked file, and one entry of the listing: about 40 bytes for each slice of the largest file.
// Errors: Precondition (target: what is in it, or its disk), Conflict (another restore is at work in it), Denied, Unavailable (no vault answers; or I5, at the end, if one that does
// not answer may have what is missing), Exhausted (target full), Cancelled: run it again to go on. Corrupt: I5, at the
// end; or at once, if the listing itself is damaged.
// NotFound (nothing was chosen; the listing's pack is lost).
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/capture.h"
#include "engine/snapshot_content.h"
#include "engine/stage_times.h"

namespace exclave::engine {

enum class Syncing { Sync, LeaveToKernel };

// What becomes of I3's mark when all files are there.
enum class Ending {
  Finish,     // it goes
  StayMarked  // something is still to be done with the target (unmark_targets): until then the restore can be gone on with
};

// A target of which nobody else restores anything while this lives: open, and locked. shared_ptr: with all who write into
// the target.
using ClaimedTarget = std::shared_ptr<env::Directory>;
// InvalidInput: it does not name a directory ("", ".", "..", "/"): the marker, and a database's log, lie beside it.
Status check_target(std::string_view target);
// Makes it if it is missing, and directories above it with `mode_above`: env::kPassableDirectory for a target that another
// user is to reach. What an earlier run left in it is synced: where that fails, it is distrusted, and the error returned.
// Precondition: it is no directory, or neither empty nor marked, and is left alone; Conflict: another restore is at work
// in it. Those of check_target.
Result<ClaimedTarget> claim_target(env::FileSystem& files, const std::string& target,
                                   std::uint32_t mode_above = env::kPrivateDirectory);
// The same, whatever is in it; that is not synced.
Result<ClaimedTarget> lock_target(env::FileSystem& files, const std::string& target,
                                  std::uint32_t mode_above = env::kPrivateDirectory);
// DURABLE. A sync of the target's file system failed before its mark was gone: what is in it is written again by whoever
// goes on. Fine if there is no mark.
Status distrust_target(env::FileSystem& files, const std::string& target);
// What the file system of a target said, as somebody learns it who could take it for a vault's word, or for a refused key.
Error of_targets_disk(Error why);
// The same of what a call on a target answered: a Status, or a Result.
template <typename Answer>
Answer of_targets_disk(Answer answer) {
  if (answer.ok()) return answer;
  return of_targets_disk(answer.take_error());
}
// Of which snapshot the target holds an unfinished restore, in hex; nullopt: of none that could be gone on with.
std::optional<std::string> unfinished_in(env::FileSystem& files, const std::string& target);
// DURABLE. After Ending::StayMarked: what is in the targets will not be gone on with any more. A mark that is gone already
// is fine. Where it fails, all are marked again, as far as the disk allows.
Status unmark_targets(env::FileSystem& files, const std::vector<std::string>& targets);
// DURABLE. After Ending::StayMarked, what Ending::Finish would have done: a mark that could not be removed is a problem.
std::optional<CaptureProblem> finish_target(env::FileSystem& files, const std::string& target);

struct RestoreOptions {
  std::string target;
  std::vector<std::string> paths;  // relative paths or patterns (exclude.h); empty: everything
  Syncing syncing = Syncing::Sync;
  // Of everything, instead of who owned it at home. Then no device nodes are made, and set-id bits and the capabilities
  // of programs are left off: each is a problem of its entry.
  std::optional<env::FileOwner> owner;
  ClaimedTarget claimed{};         // the target, if it was claimed before
  Ending ending = Ending::Finish;  // StayMarked: only with `paths` empty
};

// Also a mark that could not be removed is a problem: of the target itself, whose path is "".
struct RestoreReport {
  format::SnapshotTotals totals;  // what was restored, and is there
  std::uint64_t kept_files = 0;   // finished by an earlier run
  std::uint64_t written_bytes = 0;
  bool ownership_restored = true;  // false: not root
  std::vector<CaptureProblem> problems;
  std::uint64_t problem_count = 0;
  // The first of them that is not of attributes alone: something is not there, or not with all its content.
  std::optional<CaptureProblem> first_content_problem;
  std::chrono::nanoseconds duration{};  // without the final sync
  std::chrono::nanoseconds sync_duration{};

  bool is_partial() const { return problem_count > 0; }
};

Result<RestoreReport> restore_snapshot(env::Env& env, const SnapshotContent& content,
                                       const format::ObjectName& snapshot, const RestoreOptions& options,
                                       StageTimes& times, const OnProgress& on_progress, std::stop_token stop);

}  // namespace exclave::engine
