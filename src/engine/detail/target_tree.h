// TargetTree: the directory a restore writes into, entered step by step in walk order.
// Hides: which target directories are open, and how one deep down is reached again.
//
// I1  Every step opens one component without following links: a link planted in the way is an error, never a detour.
//     Nothing but a directory changes on the way.
// I2  What is made inherits no ACL: directories that were there lose theirs when they are entered. The root must have none.
// Threads: one; the handles it gives out may be used by others.
// Errors: Corrupt (an entry whose directory was not listed before), Precondition (I1: something that is no directory has
// the name), InvalidInput (only: the file system refuses the name), the others of the file system.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "env/file_system.h"

namespace exclave::engine {

class TargetTree {
 public:
  struct Place {
    std::shared_ptr<env::Directory> directory;
    bool is_new = false;  // it was empty when this run came: nothing is in it that this run did not make
  };
  // `root` is the open target directory.
  explicit TargetTree(Place root) : root_(std::move(root)) {}

  // The directory that holds `path`. Precondition: paths come in walk order.
  Result<Place> parent_of(std::string_view path);
  // Creates (or enters, if it exists) directory `path`.
  Status make_directory(std::string_view path);
  // Any directory, by steps from the root; for hard links' first names.
  Result<std::shared_ptr<env::Directory>> reach(std::string_view path) const;
  const std::shared_ptr<env::Directory>& root() const { return root_.directory; }

 private:
  struct Level {
    std::string path;
    Place place;  // without a directory while closed
  };
  Place root_;
  std::vector<Level> levels_;
};

// "" for the target itself.
std::string_view directory_of(std::string_view path);

}  // namespace exclave::engine
