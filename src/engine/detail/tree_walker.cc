#include "engine/detail/tree_walker.h"

#include <algorithm>

#include "base/text.h"
#include "format/listing.h"

namespace exclave::engine {
namespace {

std::vector<std::string> sorted_descending(std::vector<env::DirectoryEntry> entries) {
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (env::DirectoryEntry& entry : entries) names.push_back(std::move(entry.name));
  std::sort(names.begin(), names.end(), std::greater<>());
  // Network file systems, and directories that change meanwhile, list a name twice.
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

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
  level.names = sorted_descending(entries.take());
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

WalkItem TreeWalker::start_at_root(const env::FileInfo& info, std::vector<env::DirectoryEntry> entries) {
  root_device_ = info.device;
  Level level;
  level.device = info.device;
  level.inode = info.inode;
  level.names = sorted_descending(std::move(entries));
  levels_.push_back(std::move(level));
  WalkItem item;
  item.info = info;
  item.self = root_.get();
  return item;
}

// NTFS, CIFS and FUSE know names of up to 765 bytes.
std::optional<WalkItem> TreeWalker::unlistable(WalkItem item) {
  if (excludes_.excludes(item.path, false)) {
    ++excluded_;
    return std::nullopt;
  }
  item.problem = Error(Code::Unsupported, "is left out: its name has " + std::to_string(item.name().size()) +
                                              " bytes, and a listing holds names of at most " +
                                              std::to_string(format::kMaxNameBytes));
  item.is_entry = false;
  return item;
}

std::optional<WalkItem> TreeWalker::visit_next(env::Directory& directory) {
  Level& top = levels_.back();
  WalkItem item;
  item.path = env::join_path(top.path, top.names.back());
  top.names.pop_back();
  item.parent = &directory;
  if (!format::is_safe_path(item.path)) return unlistable(std::move(item));
  auto info = directory.stat(item.name());
  // Gone since the directory was read: as if it had never been there.
  if (!info.ok() && info.error().code() == Code::NotFound) return std::nullopt;
  if (info.ok()) item.info = info.value();
  const bool is_directory = info.ok() && item.info.type == env::FileType::Directory;
  if (excludes_.excludes(item.path, is_directory)) {
    ++excluded_;
    return std::nullopt;
  }
  if (!info.ok()) {
    item.problem = info.take_error();
    return item;
  }
  if (!is_directory || (border_ == FileSystemBorder::Stay && item.info.device != root_device_)) return item;
  if (item.path.size() + 1 + format::kMaxNameBytes > format::kMaxPathBytes) {
    item.problem = Error(Code::Exhausted, "is nested too deeply: what is in it has no path that a listing can hold");
    return item;
  }
  auto opened = directory.open_directory(item.name());
  if (!opened.ok() && opened.error().code() == Code::NotFound) return std::nullopt;
  if (!opened.ok()) {
    item.problem = opened.take_error();
    return item;
  }
  env::Directory* self = opened.value().get();
  item.problem = enter(opened.take(), item.info, item.path);
  if (!item.problem.has_value()) item.self = self;
  item.parent = nullptr;  // entering may just have closed it
  return item;
}

Result<std::optional<WalkItem>> TreeWalker::next() {
  if (!started_) {
    started_ = true;
    const env::FileInfo info = TRY(root_->info());
    return std::optional(start_at_root(info, TRY(root_->entries())));
  }
  while (!levels_.empty()) {
    Level& top = levels_.back();
    if (top.names.empty()) {
      levels_.pop_back();
      continue;
    }
    const bool is_root_level = levels_.size() == 1;
    Status reopened = is_root_level || top.directory != nullptr ? Status() : reopen_top();
    if (!reopened.ok()) {
      // What was still to come in this directory cannot be reached: say so once, for the directory.
      WalkItem item;
      item.path = top.path;
      item.problem = reopened.take_error();
      item.is_entry = false;
      levels_.pop_back();
      return std::optional(std::move(item));
    }
    auto item = visit_next(is_root_level ? *root_ : *top.directory);
    if (item.has_value()) return item;
  }
  return std::optional<WalkItem>();
}

}  // namespace exclave::engine
