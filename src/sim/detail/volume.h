// Volume: the tree of nodes on one simulated disk: path walking, names, space, power loss, snapshots.
// Hides: link counts and the accounting of space. Knows nothing of actors, faults or time; those are MachineCore's.
//
// Units/limits: bytes; names of 1..255 bytes; at most 40 symlinks in one walk.
// I1  used_bytes is what the nodes with a name hold (an open file without a name is not counted).
// I2  Renames stay within one directory (env::FileSystem has no others).
// Threads: the holder of the baton.
// Errors: NotFound, AlreadyExists, InvalidInput (also: directory not empty), Exhausted.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sim/detail/node.h"

namespace exclave::sim::detail {

enum class FinalSymlink : std::uint8_t { Follow, Keep };

Status check_name(std::string_view name);

class Volume {
 public:
  Volume();

  struct Place {
    NodePtr directory;
    std::string name;
  };
  Result<NodePtr> find(std::string_view path, FinalSymlink final) const;
  Result<NodePtr> find_directory(std::string_view path) const;
  // The directory that holds (or would hold) the last name of `path`.
  Result<Place> find_place(std::string_view path) const;
  Result<std::string> canonical(std::string_view path) const;

  // A node without a name yet.
  NodePtr make_node(env::FileType type, std::uint32_t mode, env::Timestamp now);
  Status link(Node& directory, std::string_view name, const NodePtr& node, env::Timestamp now);
  Status unlink(Node& directory, std::string_view name, env::Timestamp now);  // a file or an empty directory
  // Replaces `to` if it is a file.
  Status rename(Node& directory, std::string_view from, std::string_view to, env::Timestamp now);

  // On Exhausted the part that fitted is written.
  Status write(Node& file, std::uint64_t offset, ByteView data, env::Timestamp now);
  Status resize(Node& file, std::uint64_t size, env::Timestamp now);

  std::uint64_t capacity_bytes() const { return capacity_bytes_; }
  void set_capacity_bytes(std::uint64_t capacity) { capacity_bytes_ = capacity; }
  std::uint64_t used_bytes() const { return used_bytes_; }

  void sync_all();
  void fail_sync_all(Rng& rng);  // as Content::fail_sync, of every file
  void power_loss(Rng& rng, std::uint32_t keep_percent);
  // A deep copy of what programs see below `root`, all of it synced. Pages are shared until written.
  static NodePtr copy_tree(const NodePtr& root);
  void replace_tree(NodePtr root);

  const NodePtr& root() const { return root_; }

 private:
  using Walk = std::vector<std::pair<std::string, NodePtr>>;  // from below the root
  Result<Walk> walk(std::string_view path, FinalSymlink final) const;
  void recount();  // link counts and used bytes, from the tree

  NodePtr root_;
  std::uint64_t next_inode_ = 2;
  std::uint64_t capacity_bytes_ = std::uint64_t{1} << 40;
  std::uint64_t used_bytes_ = 0;
};

}  // namespace exclave::sim::detail
