#include "engine/tree_walker.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::engine {

Result<TreeWalker> TreeWalker::open(env::FileSystem& files, std::string_view root, ExcludeList excludes,
                                    FileSystemBorder border) {
  return TreeWalker(TRY(files.open_directory(root)), std::move(excludes), border);
}

std::optional<Error> TreeWalker::enter(std::unique_ptr<env::Directory> directory, const env::FileInfo& info,
                                       std::string path) {
  auto entries = directory->entries();
  if (!entries.ok()) return entries.take_error();
  Level level;
  level.device = info.device;
  level.inode = info.inode;
  level.names.reserve(entries.value().size());
  for (env::DirectoryEntry& entry : entries.value()) level.names.push_back(std::move(entry.name));
  std::sort(level.names.begin(), level.names.end(), std::greater<>());
  level.directory = std::move(directory);
  level.path = std::move(path);
  levels_.push_back(std::move(level));
  if (levels_.size() > kOpenLevels) levels_[levels_.size() - 1 - kOpenLevels].directory.reset();
  return std::nullopt;
}

// Opens the top level again, and with it the levels just above: going up a deep tree costs one descent per kOpenLevels.
Status TreeWalker::reopen_top() {
  const std::size_t first_kept = levels_.size() > kOpenLevels ? levels_.size() - kOpenLevels : 0;
  std::unique_ptr<env::Directory> parent;
  for (std::size_t i = 1; i < levels_.size(); ++i) {
    Level& level = levels_[i];
    env::Directory& above = i == 1 ? *root_ : levels_[i - 1].directory != nullptr ? *levels_[i - 1].directory : *parent;
    auto opened = TRY(above.open_directory(env::base_name(level.path)));
    const env::FileInfo info = TRY(opened->info());
    if (info.device != level.device || info.inode != level.inode) {
      return Error(Code::Conflict, "directory '" + printable(level.path) + "' was replaced while it was walked");
    }
    if (i >= first_kept) {
      level.directory = std::move(opened);
    } else {
      parent = std::move(opened);
    }
  }
  return {};
}

Result<std::optional<WalkItem>> TreeWalker::next() {
  if (!started_) {
    started_ = true;
    WalkItem item;
    item.info = TRY(root_->info());
    root_device_ = item.info.device;
    // A second handle, so that the root stays open for reopening whatever happens to the stack.
    item.self = root_.get();
    auto entries = root_->entries();
    if (!entries.ok()) return entries.take_error();
    Level level;
    level.device = item.info.device;
    level.inode = item.info.inode;
    for (env::DirectoryEntry& entry : entries.value()) level.names.push_back(std::move(entry.name));
    std::sort(level.names.begin(), level.names.end(), std::greater<>());
    levels_.push_back(std::move(level));
    return std::optional(std::move(item));
  }
  while (!levels_.empty()) {
    Level& top = levels_.back();
    if (top.names.empty()) {
      levels_.pop_back();
      continue;
    }
    const bool is_root_level = levels_.size() == 1;
    if (!is_root_level && top.directory == nullptr) {
      Status reopened = reopen_top();
      if (!reopened.ok()) {
        // What was still to come in this directory cannot be reached: say so once, for the directory.
        WalkItem item;
        item.path = top.path;
        item.problem = reopened.take_error();
        item.late = true;
        levels_.pop_back();
        return std::optional(std::move(item));
      }
    }
    env::Directory& directory = is_root_level ? *root_ : *top.directory;
    WalkItem item;
    item.path = env::join_path(top.path, top.names.back());
    top.names.pop_back();
    item.parent = &directory;
    auto info = directory.stat(item.name());
    if (!info.ok()) {
      // Gone since the directory was read: as if it had never been there.
      if (info.error().code() == Code::NotFound) continue;
      if (excludes_.excludes(item.path, false)) {
        ++excluded_;
        continue;
      }
      item.problem = info.take_error();
      return std::optional(std::move(item));
    }
    item.info = info.value();
    const bool is_directory = item.info.type == env::FileType::Directory;
    if (excludes_.excludes(item.path, is_directory)) {
      ++excluded_;
      continue;
    }
    if (is_directory && (border_ == FileSystemBorder::Cross || item.info.device == root_device_)) {
      auto opened = directory.open_directory(item.name());
      if (!opened.ok()) {
        item.problem = opened.take_error();
        return std::optional(std::move(item));
      }
      env::Directory* self = opened.value().get();
      item.problem = enter(opened.take(), item.info, item.path);
      if (!item.problem.has_value()) item.self = self;
      // `top` may have moved, and its directory may just have been closed.
      item.parent = nullptr;
    }
    return std::optional(std::move(item));
  }
  return std::optional<WalkItem>();
}

}  // namespace exclave::engine
