// RestoreMarker: the right to restore into a target, and the mark beside it that says what is unfinished there
// (detail/mark_file.h).
// Hides: which boot of the machine wrote what is in the target, who else is at it, whether the mark is of it at all.
//
// I1  A target that is neither empty nor marked for this snapshot is refused, and left alone. A mark counts only if
//     nobody else can have made it, and if it names this very directory: by inode and time of creation, which no other
//     directory has, on this disk or on one that is mounted in its place; where the file system tells no such time, by
//     device and inode, and only until the machine is restarted. And only if the directory belongs to this user, or to
//     whom the restore gives it.
// I2  What an earlier run finished is trusted only if the machine has not been restarted since, and the target took all
//     that was written, and synced it: "-" instead of the boot's id says that some of it may be lost, nobody knows
//     which. Whoever goes on syncs first (claim_target): the kernel tells of a loss once, and then drops it.
// I3  One restore at a time: whoever opens this has claimed the target, which is locked while this lives.
// I4  After open the target is closed to others, has no ACL, and hands none down to what is made in it.
// I5  What is unfinished in a target is the sum of what the runs into it were asked for: one that was asked for less
//     does not finish what another one began.
// Survives power loss: the mark, from open on; and that it is gone, from finish on.
// Threads: one.
// Errors: Precondition (I1); those of the file system.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/detail/mark_file.h"
#include "engine/restore.h"
#include "env/file_system.h"
#include "format/ids.h"

namespace exclave::engine {

class RestoreMarker {
 public:
  // What is in the target when the restore begins.
  enum class Found {
    Nothing,
    Finished,    // by an interrupted run: files with the right size and time
    Unreliable,  // the machine was restarted since, or a write or sync failed: written again
  };
  // Asked only if the directory is somebody else's: to whom this restore gives it.
  using OwnerOfTarget = std::function<Result<std::uint32_t>()>;
  // `root`: the target, claimed (restore.h). `files` outlives this.
  static Result<RestoreMarker> open(env::FileSystem& files, const format::ObjectName& snapshot,
                                    const std::string& target, ClaimedTarget root,
                                    const std::vector<std::string>& paths, const OwnerOfTarget& owner);

  Found found() const { return found_; }
  // The target, open and locked since before anything was written: its sync_all tells of every write that got lost.
  const ClaimedTarget& root() const { return root_; }

  // A write or sync failed: whatever is in the target, the next run writes it again.
  Status distrust();
  // What `paths` choose is restored. The mark goes, unless an earlier run wanted more than this one. Where it cannot be
  // removed for good, that is the answer: a person has to do it.
  Result<std::optional<std::string>> finish();

 private:
  using Paths = std::set<std::string>;  // of a selection; empty: everything

  RestoreMarker(MarkFile file, ClaimedTarget root, const Paths& paths)
      : file_(std::move(file)), root_(std::move(root)), paths_(paths), unfinished_(paths) {}
  Status write();
  void add_unfinished(std::string_view marked_paths);
  Status find(env::FileSystem& files, const std::string& target, const OwnerOfTarget& owner);

  MarkFile file_;
  ClaimedTarget root_;
  Mark mark_;         // as it is, or is to be written; but for the paths
  Paths paths_;       // of this run
  Paths unfinished_;  // of this run and those before
  Found found_ = Found::Nothing;
};

}  // namespace exclave::engine
