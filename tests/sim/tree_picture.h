// Tree picture: a tree of files as it was at one moment, in memory: to compare with what is restored much later.
// Hides: how a tree is walked and how differences are worded. Names, types, modes, owners, times, contents, links and
// extended attributes are compared; the root's own attributes too, under the name ".".
// Errors: those of the file system that is looked at.
// Threads: values; take by whoever may use that file system.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "env/env.h"

namespace exclave::realm_tests {

class TreePicture {
 public:
  static Result<TreePicture> take(env::FileSystem& files, const std::string& root) {
    TreePicture picture;
    const auto directory = TRY(files.open_directory(root));
    Item item = item_of(TRY(directory->info()));
    item.xattrs = TRY(directory->own_xattrs());
    picture.items_.emplace(".", std::move(item));
    TRY(picture.add_below("", *directory));
    return picture;
  }
  // One file, of which only the content is known beforehand.
  static TreePicture of_stream(const std::string& name, Bytes content) {
    TreePicture picture;
    picture.is_stream_ = true;
    Item item;
    item.type = env::FileType::Regular;
    item.size = content.size();
    item.content = std::move(content);
    picture.items_.emplace(name, std::move(item));
    return picture;
  }

  // What `found` has otherwise; names in `excepted` are not looked at (and may have been links to others).
  std::vector<std::string> differences(const TreePicture& found, const std::set<std::string>& excepted) const {
    std::vector<std::string> differences;
    for (const auto& [path, item] : items_) {
      if (excepted.contains(path)) continue;
      const auto other = found.items_.find(path);
      if (other == found.items_.end()) {
        differences.push_back("'" + path + "' is missing");
      } else if (const std::string what = difference(item, other->second, excepted.empty()); !what.empty()) {
        differences.push_back("'" + path + "': " + what);
      }
    }
    for (const auto& [path, item] : found.items_) {
      if (is_stream_ && path == ".") continue;
      if (!excepted.contains(path) && !items_.contains(path)) differences.push_back("'" + path + "' was not there");
    }
    return differences;
  }
  // Files of an unfinished restore that look finished (size and time are right) and are not.
  std::vector<std::string> false_pretences(const TreePicture& found) const {
    std::vector<std::string> pretences;
    for (const auto& [path, item] : found.items_) {
      const auto wanted = items_.find(path);
      if (item.type != env::FileType::Regular || wanted == items_.end() || is_stream_) continue;
      const bool looks_finished = item.size == wanted->second.size && item.modified_ns == wanted->second.modified_ns;
      if (looks_finished && item.content != wanted->second.content) pretences.push_back(path);
    }
    return pretences;
  }

 private:
  struct Item {
    env::FileType type = env::FileType::Regular;
    std::uint32_t mode = 0;
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    std::int64_t modified_ns = 0;
    std::uint64_t size = 0;
    std::uint64_t links = 0;
    Bytes content;
    std::string target;
    std::vector<env::Xattr> xattrs;
  };
  static Item item_of(const env::FileInfo& info) {
    Item item;
    item.type = info.type;
    item.mode = info.mode;
    item.user = info.user;
    item.group = info.group;
    item.modified_ns = info.modified.nanoseconds;
    if (info.type == env::FileType::Regular) {
      item.size = info.size;
      item.links = info.link_count;
    }
    return item;
  }

  std::string difference(const Item& a, const Item& b, bool with_links) const {
    if (a.type != b.type) return "another type";
    if (a.size != b.size) return "size " + std::to_string(a.size) + " became " + std::to_string(b.size);
    if (a.content != b.content) return "other content";
    if (is_stream_) return "";
    if (a.mode != b.mode) return "mode " + std::to_string(a.mode) + " became " + std::to_string(b.mode);
    if (a.user != b.user || a.group != b.group) return "another owner";
    if (a.modified_ns != b.modified_ns) return "another time";
    if (with_links && a.links != b.links)
      return "links " + std::to_string(a.links) + " became " + std::to_string(b.links);
    if (a.target != b.target) return "another target";
    if (a.xattrs != b.xattrs) return "other attributes";
    return "";
  }

  Status add_below(const std::string& path, env::Directory& directory) {
    for (const env::DirectoryEntry& entry : TRY(directory.entries())) {
      const std::string full = env::join_path(path, entry.name);
      Item item = item_of(TRY(directory.stat(entry.name)));
      item.xattrs = TRY(directory.xattrs(entry.name));
      const env::FileType type = item.type;
      if (type == env::FileType::Symlink) item.target = TRY(directory.read_link(entry.name));
      if (type == env::FileType::Regular) {
        item.content.resize(static_cast<std::size_t>(item.size));
        const auto file = TRY(directory.open_file(entry.name));
        std::size_t got = 0;
        while (got < item.content.size()) {
          const std::size_t now = TRY(file->read_at(got, MutableByteView(item.content).subspan(got)));
          if (now == 0) return Error(Code::Corrupt, full + " ends early");
          got += now;
        }
      }
      items_.emplace(full, std::move(item));
      if (type == env::FileType::Directory) TRY(add_below(full, *TRY(directory.open_directory(entry.name))));
    }
    return {};
  }

  bool is_stream_ = false;
  std::map<std::string, Item> items_;
};

}  // namespace exclave::realm_tests
