#include "sim/detail/volume.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "env/file_system.h"

namespace exclave::sim::detail {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr int kMaxSymlinks = 40;

Error error_at(Code code, std::string_view path, std::string_view what) {
  return Error(code, printable(path) + ": " + std::string(what));
}

void touch(Node& node, env::Timestamp now) {
  node.attributes.modified = now;
  node.attributes_dirty = true;
  node.changed = now;
}

// Calls `visit` once for each node below and including `root`, parents first, in order of names.
template <typename Visit>
void for_each_node(const NodePtr& root, const Visit& visit) {
  std::set<const Node*> seen;  // only asked whether a node is in it: no order by address gets out
  std::vector<NodePtr> todo{root};
  while (!todo.empty()) {
    const NodePtr node = todo.back();
    todo.pop_back();
    if (!seen.insert(node.get()).second) continue;
    visit(*node);
    for (const auto& [name, child] : node->names.now()) todo.push_back(child);
  }
}

}  // namespace

Status check_name(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return Error(Code::InvalidInput, "'" + printable(name) + "' is not a name");
  }
  if (name.size() > kMaxName) return Error(Code::InvalidInput, "a name is longer than 255 bytes");
  return {};
}

Volume::Volume() : root_(make_node(env::FileType::Directory, 0755, {})) {}

NodePtr Volume::make_node(env::FileType type, std::uint32_t mode, env::Timestamp now) {
  auto node = std::make_shared<Node>();
  node->type = type;
  node->inode = next_inode_++;
  node->attributes.mode = mode & 07777;
  node->attributes.modified = now;
  node->attributes_on_disk = node->attributes;
  node->created = now;
  node->changed = now;
  node->link_count = type == env::FileType::Directory ? 2 : 0;
  return node;
}

Result<Volume::Walk> Volume::walk(std::string_view path, FinalSymlink final) const {
  if (path.empty()) return Error(Code::NotFound, "the path is empty");
  if (path.find('\0') != std::string_view::npos) return error_at(Code::InvalidInput, path, "holds a NUL");
  Walk walk;
  std::deque<std::string> todo;
  for (const std::string_view part : split(path, '/')) todo.emplace_back(part);
  int symlinks = 0;
  while (!todo.empty()) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    const NodePtr& here = walk.empty() ? root_ : walk.back().second;
    if (part.empty() && walk.empty()) continue;
    if (here->type != env::FileType::Directory) return error_at(Code::InvalidInput, path, "is not a directory");
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!walk.empty()) walk.pop_back();
      continue;
    }
    if (part.size() > kMaxName) return error_at(Code::InvalidInput, path, "a name is longer than 255 bytes");
    NodePtr child = here->names.find(part);
    if (child == nullptr) return error_at(Code::NotFound, path, "no such file or directory");
    if (child->type == env::FileType::Symlink && (!todo.empty() || final == FinalSymlink::Follow)) {
      if (++symlinks > kMaxSymlinks) return error_at(Code::InvalidInput, path, "too many symbolic links");
      if (child->target.starts_with('/')) walk.clear();
      const auto parts = split(child->target, '/');
      for (auto it = parts.rbegin(); it != parts.rend(); ++it) todo.emplace_front(*it);
      continue;
    }
    walk.emplace_back(part, std::move(child));
  }
  return walk;
}

Result<NodePtr> Volume::find(std::string_view path, FinalSymlink final) const {
  const Walk found = TRY(walk(path, final));
  return found.empty() ? root_ : found.back().second;
}

Result<NodePtr> Volume::find_directory(std::string_view path) const {
  NodePtr node = TRY(find(path, FinalSymlink::Follow));
  if (node->type != env::FileType::Directory) return error_at(Code::InvalidInput, path, "is not a directory");
  return node;
}

Result<Volume::Place> Volume::find_place(std::string_view path) const {
  path = env::without_slashes(path);
  const std::string_view name = env::base_name(path);
  TRY(check_name(name).in([&] { return printable(path); }));
  return Place{.directory = TRY(find_directory(env::parent_path(path))), .name = std::string(name)};
}

Result<std::string> Volume::canonical(std::string_view path) const {
  std::string text;
  for (const auto& [name, node] : TRY(walk(path, FinalSymlink::Follow))) text += "/" + name;
  return text.empty() ? "/" : text;
}

Status Volume::link(Node& directory, std::string_view name, const NodePtr& node, env::Timestamp now) {
  TRY(check_name(name));
  if (directory.link_count == 0) return error_at(Code::NotFound, name, "its directory was removed");
  if (directory.names.find(name) != nullptr) return error_at(Code::AlreadyExists, name, "exists");
  directory.names.set(name, node);
  touch(directory, now);
  node->changed = now;
  if (node->type == env::FileType::Directory) {
    ++directory.link_count;
  } else if (++node->link_count == 1) {
    used_bytes_ += node->content.allocated_bytes();
  }
  return {};
}

Status Volume::unlink(Node& directory, std::string_view name, env::Timestamp now) {
  TRY(check_name(name));
  const NodePtr node = directory.names.find(name);
  if (node == nullptr) return error_at(Code::NotFound, name, "no such file or directory");
  if (node->type == env::FileType::Directory) {
    if (!node->names.now().empty()) return error_at(Code::InvalidInput, name, "directory is not empty");
    node->link_count = 0;
    --directory.link_count;
  } else if (--node->link_count == 0) {
    used_bytes_ -= node->content.allocated_bytes();
  }
  node->changed = now;
  directory.names.erase(name);
  touch(directory, now);
  return {};
}

Status Volume::rename(Node& directory, std::string_view from, std::string_view to, env::Timestamp now) {
  TRY(check_name(to));
  if (directory.names.find(from) == nullptr) return error_at(Code::NotFound, from, "no such file or directory");
  const NodePtr replaced = directory.names.find(to);
  if (replaced != nullptr && replaced->type == env::FileType::Directory) {
    return error_at(Code::InvalidInput, to, "is a directory");
  }
  if (replaced != nullptr && --replaced->link_count == 0) used_bytes_ -= replaced->content.allocated_bytes();
  directory.names.rename(from, to);
  touch(directory, now);
  return {};
}

Status Volume::write(Node& file, std::uint64_t offset, ByteView data, env::Timestamp now) {
  constexpr std::uint64_t kMaxOffset = std::uint64_t{1} << 62;
  if (offset > kMaxOffset || data.size() > kMaxOffset - offset) return Error(Code::InvalidInput, "offset is too large");
  if (!data.empty()) touch(file, now);
  while (!data.empty()) {
    if (file.link_count > 0 && !file.content.has_page_at(offset)) {
      if (used_bytes_ + kPageBytes > capacity_bytes_) return Error(Code::Exhausted, "no space left on the disk");
      used_bytes_ += kPageBytes;
    }
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), kPageBytes - offset % kPageBytes));
    file.content.write_in_page(offset, data.first(count));
    data = data.subspan(count);
    offset += count;
  }
  return {};
}

Status Volume::resize(Node& file, std::uint64_t size, env::Timestamp now) {
  if (size > std::uint64_t{1} << 62) return Error(Code::InvalidInput, "size is too large");
  const std::uint64_t before = file.content.allocated_bytes();
  file.content.resize(size);
  if (file.link_count > 0) used_bytes_ -= before - file.content.allocated_bytes();
  touch(file, now);
  return {};
}

void Volume::sync_all() {
  for_each_node(root_, [](Node& node) { node.sync(); });
}

void Volume::fail_sync_all(Rng& rng) {
  for_each_node(root_, [&](Node& node) { node.content.fail_sync(rng); });
}

void Volume::power_loss(Rng& rng, std::uint32_t keep_percent) {
  for_each_node(root_, [&](Node& node) {
    if (node.type == env::FileType::Regular) node.content.power_loss(rng, keep_percent);
    if (node.type == env::FileType::Directory) node.names.power_loss(rng, keep_percent);
    if (node.attributes_dirty && rng.percent(keep_percent)) node.attributes_on_disk = node.attributes;
    node.attributes = node.attributes_on_disk;
    node.attributes_dirty = false;
    node.failed_syncs = 0;
  });
  recount();
}

void Volume::recount() {
  used_bytes_ = 0;
  for_each_node(root_, [](Node& node) { node.link_count = node.type == env::FileType::Directory ? 2 : 0; });
  for_each_node(root_, [&](Node& node) {
    used_bytes_ += node.content.allocated_bytes();
    for (const auto& [name, child] : node.names.now()) {
      (child->type == env::FileType::Directory ? node.link_count : child->link_count) += 1;
    }
  });
}

NodePtr Volume::copy_tree(const NodePtr& root) {
  std::map<const Node*, NodePtr> copies;  // only looked up: no order by address gets out
  for_each_node(root, [&](Node& node) {
    auto copy = std::make_shared<Node>();
    copy->type = node.type;
    copy->inode = node.inode;
    copy->link_count = node.link_count;
    copy->created = node.created;
    copy->changed = node.changed;
    copy->attributes = node.attributes;
    copy->attributes_on_disk = node.attributes;
    copy->content = node.content.synced_copy();
    copy->target = node.target;
    copy->device_major = node.device_major;
    copy->device_minor = node.device_minor;
    copies.emplace(&node, std::move(copy));
  });
  for_each_node(root, [&](Node& node) {
    Names& names = copies.at(&node)->names;
    for (const auto& [name, child] : node.names.now()) names.set(name, copies.at(child.get()));
    names.sync();
  });
  return copies.at(root.get());
}

void Volume::replace_tree(NodePtr root) {
  root_ = std::move(root);
  recount();
}

}  // namespace exclave::sim::detail
