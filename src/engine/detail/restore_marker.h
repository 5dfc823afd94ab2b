// RestoreMarker: the right to restore into a target, and the file beside it that says what is unfinished there.
// Hides: the marker's name and form, which boot of the machine wrote what is in the target, who else is at it.
//
//   TARGET.exclave-restore := snapshot in hex " " boot id or "-" " " inode " " device "\n" (path NUL)*
//                             of the target directory, in decimal                no path: everything
//
// I1  A target that is neither empty nor marked for this snapshot is refused, and left alone. A mark counts only if
//     nobody else can have made it: a regular file of this user with one name, which others may not write, and which
//     names this very directory; and if the directory belongs to this user, or to whom the restore gives it.
// I2  What an earlier run finished is trusted only if the machine has not been restarted since, and the target took all
//     that was written, and synced it: "-" instead of the boot's id says that some of it may be lost, nobody knows
//     which.
// I3  One restore at a time: whoever opens this has claimed the target, which is locked while this lives.
// I4  After open the target is closed to others, has no ACL, and hands none down to what is made in it.
// I5  What is unfinished in a target is the sum of what the runs into it were asked for: one that was asked for less
//     does not finish what another one began.
// Survives power loss: the marker, from open on; when it is gone, it may come back, which only allows to run the same
// restore again.
// Threads: one.
// Errors: Precondition (I1); those of the file system.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

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
  static std::string path_for(const std::string& target);

  Found found() const { return found_; }
  // The target, open and locked since before anything was written: its sync_all tells of every write that got lost.
  const ClaimedTarget& root() const { return root_; }

  // A write or sync failed: whatever is in the target, the next run writes it again.
  Status distrust();
  // What `paths` choose is restored. The marker goes, unless an earlier run wanted more than this one.
  Status finish();

 private:
  static constexpr std::string_view kNoBoot = "-";

  using Paths = std::set<std::string>;  // of a selection; empty: everything

  RestoreMarker(env::FileSystem& files, std::string path, const format::ObjectName& snapshot, const Paths& paths)
      : files_(&files), path_(std::move(path)), snapshot_(snapshot), paths_(paths), unfinished_(paths) {}
  Status write(std::string_view boot);
  void add_unfinished(std::string_view marked_paths);
  Status find(const std::string& target, const std::string& boot, const OwnerOfTarget& owner);

  env::FileSystem* files_;
  std::string path_;
  format::ObjectName snapshot_;
  ClaimedTarget root_;
  Paths paths_;        // of this run
  Paths unfinished_;   // of this run and those before
  std::string boot_;   // as the marker has it
  std::string place_;  // which directory it is of, as the marker has it
  Found found_ = Found::Nothing;
};

}  // namespace exclave::engine
