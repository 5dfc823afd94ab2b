// TreeWalker: visits a tree in walk order (depth first, names bytewise) with few open descriptors and bounded memory.
// Hides: which directories are open. Depth costs no descriptors: beyond kOpenLevels ancestors are closed and, on the
// way back, opened again from the root, checked to be the same directory.
//
// Memory: the names of the directories on the way down, nothing else.
// I1  Every entry is delivered once, or reported as a problem; nothing is left out silently. Entries come strictly in
//     walk order, whatever a file system lists: a name that it lists twice is one.
// I2  No symbolic link is followed, but the root itself may be one.
// Threads: one.
// Errors: those of the root only; problems below are delivered as items.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/exclude.h"
#include "env/file_system.h"

namespace exclave::engine {

inline constexpr std::size_t kOpenLevels = 32;

struct WalkItem {
  std::string path;  // relative to the root; "" for the root itself
  env::FileInfo info;
  std::optional<Error> problem;  // it could not be looked at, or (a directory) not be read; info may then be partial
  // False: a problem to report, and no entry. Either it was delivered before, and what it still held could not be
  // reached; or its name is one that no listing can hold.
  bool is_entry = true;
  // Opens, reads links and xattrs of this entry by its name(); null for the root. Valid until the next call of next().
  env::Directory* parent = nullptr;
  env::Directory* self = nullptr;  // for a directory that could be opened

  std::string_view name() const { return env::base_name(path); }
};

class TreeWalker {
 public:
  static Result<TreeWalker> open(env::FileSystem& files, std::string_view root, ExcludeList excludes,
                                 FileSystemBorder border);
  // nullopt at the end.
  Result<std::optional<WalkItem>> next();
  std::uint64_t excluded() const { return excluded_; }

 private:
  struct Level {
    std::unique_ptr<env::Directory> directory;  // null while closed
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::string path;
    std::vector<std::string> names;  // sorted descending: the next one is at the back
  };
  TreeWalker(std::unique_ptr<env::Directory> root, ExcludeList excludes, FileSystemBorder border)
      : root_(std::move(root)), excludes_(std::move(excludes)), border_(border) {}
  WalkItem start_at_root(const env::FileInfo& info, std::vector<env::DirectoryEntry> entries);
  // The next entry of the top level; nullopt if it was left out or is gone.
  std::optional<WalkItem> visit_next(env::Directory& directory);
  // nullopt if it was left out on purpose.
  std::optional<WalkItem> unlistable(WalkItem item);
  Status reopen_top();
  // Puts a directory on the stack; a problem if it cannot be read.
  std::optional<Error> enter(std::unique_ptr<env::Directory> directory, const env::FileInfo& info, std::string path);

  std::unique_ptr<env::Directory> root_;
  ExcludeList excludes_;
  FileSystemBorder border_;
  std::uint64_t root_device_ = 0;
  std::vector<Level> levels_;
  bool started_ = false;
  std::uint64_t excluded_ = 0;
};

}  // namespace exclave::engine
