// MarkFile: the file beside a target that says what is unfinished there, reached through the directory that holds it.
// Hides: its name and form, how it is replaced in one step, who can have written it.
//
//   TARGET.exclave-restore := snapshot " " trusted " " inode " " device " " created " " boot "\n" (path NUL)*
//     snapshot   in hex
//     trusted    id of the boot whose finished files are trusted, or "-": none is
//     inode, device, created   of the target directory, in decimal; created in nanoseconds, "-" if nobody tells
//     boot       id of the boot in which this was written, or "-" if nobody tells
//     path       what was chosen; none: everything
//
// I1  What is read can have been written by nobody but this user: a regular file of theirs with one name, which others
//     may not write. Whoever owns the directory in which the target lies could put another one there.
// I2  Nothing here follows a link below the directory that was opened first; and it is there that what was done is
//     durable, whatever has that directory's path by then.
// Survives power loss: what write and remove did, when they return ok. A kill may leave a draft beside it, which the
// next write replaces.
// Threads: one.
// Errors: Precondition (I1), those of the file system.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "env/file_system.h"

namespace exclave::engine {

struct Mark {
  std::string snapshot;
  std::string trusted;
  std::string inode;
  std::string device;
  std::string created;
  std::string boot;
  std::string paths;  // as in the file

  static constexpr std::string_view kNone = "-";

  // Parts that are missing are empty: nothing equals them.
  static Mark parse(std::string_view text);
  std::string text() const;
  // Whether `here`, the mark that would be written now, is of the same directory. Where no time of creation is told,
  // only the device and the inode say so, and these only until the machine is restarted.
  bool is_of_directory_of(const Mark& here) const;
};

class MarkFile {
 public:
  static std::string path_for(const std::string& target);
  static Result<MarkFile> beside(env::FileSystem& files, const std::string& target);

  // nullopt: there is none. Precondition: I1.
  Result<std::optional<Mark>> read() const;
  // The same, of a target that is not empty: Precondition also where there is none.
  Result<Mark> read_of_unfinished() const;
  // DURABLE. In one step.
  Status write(const Mark& mark) const;
  // DURABLE. Fine if there is none.
  Status remove() const;

  // "the mark of an unfinished restore 'target.exclave-restore'"
  std::string in_words() const;
  // What to tell where all is restored, and removing the mark failed.
  std::string in_words_of_left(const Error& why) const;
  // The refusal of a target that is not empty, and of which the mark says nothing; `why` in the hint.
  Error not_trusted(const std::string& why) const;

 private:
  MarkFile(env::FileSystem& files, std::string target, std::unique_ptr<env::Directory> above)
      : files_(&files), target_(std::move(target)), above_(std::move(above)) {}
  std::string path() const { return path_for(target_); }
  Status sync_names() const;

  env::FileSystem* files_;
  std::string target_;
  std::unique_ptr<env::Directory> above_;
};

}  // namespace exclave::engine
