// RestoreMarker: the right to restore into a target, and the file beside it that says what is unfinished there.
// Hides: the marker's name and form, which boot of the machine wrote what is in the target, who else is at it.
//
//   TARGET.exclave-restore := snapshot in hex " " boot id or "-" "\n"
//
// I1  A target that is neither empty nor marked for this snapshot is refused, and left alone.
// I2  What an earlier run finished is trusted only if the machine has not been restarted since, and no sync failed: "-"
//     instead of the boot's id says that some of it may be lost, nobody knows which.
// I3  One restore at a time: the target itself is locked while this lives.
// I4  After open the target is closed to others, has no ACL, and hands none down to what is made in it.
// Survives power loss: the marker, from open on; it is gone after remove, or comes back, which only allows to run the
// same restore again.
// Threads: one.
// Errors: Precondition (I1), Conflict (I3); those of the file system.
#pragma once

#include <memory>
#include <string>

#include "env/file_system.h"
#include "format/ids.h"

namespace exclave::engine {

class RestoreMarker {
 public:
  // What is in the target when the restore begins.
  enum class Found {
    Nothing,
    Finished,    // by an interrupted run: files with the right size and time
    Unreliable,  // the machine was restarted since, or a sync failed: written again
  };
  // Makes the target if it is missing. `files` outlives this.
  static Result<RestoreMarker> open(env::FileSystem& files, const format::ObjectName& snapshot,
                                    const std::string& target);

  Found found() const { return found_; }
  // The target, open and locked since before anything was written: its sync_all tells of every write that got lost.
  const std::shared_ptr<env::Directory>& root() const { return root_; }

  // A sync failed: whatever is in the target, the next run writes it again.
  Status distrust() { return write(kNoBoot); }
  // All is restored.
  void remove();

 private:
  static constexpr std::string_view kNoBoot = "-";

  RestoreMarker(env::FileSystem& files, std::string path, const format::ObjectName& snapshot)
      : files_(&files), path_(std::move(path)), snapshot_(snapshot) {}
  Status write(std::string_view boot) const;
  Status find(const std::string& target, const std::string& boot);

  env::FileSystem* files_;
  std::string path_;
  format::ObjectName snapshot_;
  std::shared_ptr<env::Directory> root_;  // shared_ptr: with all who write into the target
  Found found_ = Found::Nothing;
};

}  // namespace exclave::engine
