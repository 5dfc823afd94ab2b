#include "sim/disk.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "sim/detail/handles.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim {

namespace detail {
struct SnapshotTree {
  NodePtr root;
};
}  // namespace detail

namespace {

Result<detail::NodePtr> regular_file(const detail::MachineCore& core, std::string_view path) {
  detail::NodePtr node = TRY(core.volume.find(path, detail::FinalSymlink::Follow));
  TRY(detail::require_regular(*node, path));
  return node;
}

std::string_view name_of(env::FileType type) {
  switch (type) {
    case env::FileType::Regular:
      return "file";
    case env::FileType::Directory:
      return "directory";
    case env::FileType::Symlink:
      return "symlink";
    case env::FileType::Fifo:
      return "fifo";
    case env::FileType::Socket:
      return "socket";
    case env::FileType::CharDevice:
      return "char";
    case env::FileType::BlockDevice:
      return "block";
  }
  return "?";
}

void list_below(const detail::Node& directory, const std::string& path, std::string& text) {
  for (const auto& [name, node] : directory.names.now()) {
    const std::string full = path + "/" + printable(name);
    text += fmt::format("{} {} {:04o} {}\n", full, name_of(node->type), node->attributes.mode, node->content.size());
    list_below(*node, full, text);
  }
}

}  // namespace

Status Disk::flip_bit(std::string_view path, std::uint64_t offset, unsigned bit) {
  CHECK(bit < 8);
  const detail::NodePtr file = TRY(regular_file(core_, path));
  if (offset >= file->content.size()) return Error(Code::InvalidInput, printable(path) + ": offset is past the end");
  file->content.flip_bit(offset, bit);
  return {};
}

Result<Bytes> Disk::content(std::string_view path) const {
  const detail::NodePtr file = TRY(regular_file(core_, path));
  Bytes bytes(static_cast<std::size_t>(file->content.size()));
  file->content.read(0, bytes);
  return bytes;
}

bool Disk::exists(std::string_view path) const {
  return core_.volume.find(path, detail::FinalSymlink::Keep).ok();
}

std::string Disk::listing() const {
  std::string text;
  list_below(*core_.volume.root(), "", text);
  return text;
}

void Disk::set_capacity_bytes(std::uint64_t capacity) {
  core_.volume.set_capacity_bytes(capacity);
}

std::uint64_t Disk::used_bytes() const {
  return core_.volume.used_bytes();
}

DiskSnapshot Disk::snapshot() const {
  core_.random_mark = core_.random_rng.position();
  auto tree = std::make_shared<detail::SnapshotTree>();
  tree->root = detail::Volume::copy_tree(core_.volume.root());
  return DiskSnapshot(std::move(tree));
}

void Disk::restore(const DiskSnapshot& snapshot) {
  CHECK(!core_.up && core_.world.scheduler.has_ended(core_.id));
  core_.volume.replace_tree(detail::Volume::copy_tree(snapshot.tree_->root));
}

}  // namespace exclave::sim
