// Node: one inode of a simulated disk, and Names: the entries of a directory, each as now and as on the disk.
// Hides: how unsynced name changes are kept until a sync or a power loss decides about them.
//
//   Names   now: a b d        disk: a b c        unsynced: -c +d        (order of the calls)
//
// I1  disk with all unsynced changes applied in order equals now.
// I2  A rename is one change: after a power loss it happened as a whole or not at all.
// Threads: the holder of the baton.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/detail/content.h"

namespace exclave::sim::detail {

struct Node;
// Owned by the directories that name it, now and on the disk, by unsynced changes and by open handles.
using NodePtr = std::shared_ptr<Node>;

class Names {
 public:
  using Map = std::map<std::string, NodePtr, std::less<>>;

  const Map& now() const { return now_; }
  NodePtr find(std::string_view name) const;
  void set(std::string_view name, NodePtr node);  // new or replacing
  void erase(std::string_view name);
  void rename(std::string_view from, std::string_view to);  // replaces `to`

  void sync();
  // Each change survives with that chance, applied in the order of the calls.
  void power_loss(Rng& rng, std::uint32_t keep_percent);

 private:
  struct Change {
    std::string appears;  // may be empty
    NodePtr node;
    std::string vanishes;  // may be empty
  };
  static void apply(Map& map, const Change& change);
  void change(Change change);

  Map now_;
  Map disk_;
  std::vector<Change> unsynced_;
};

struct Attributes {
  std::uint32_t mode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  env::Timestamp modified;
  std::map<std::string, Bytes> xattrs;
};

struct Node {
  env::FileType type = env::FileType::Regular;
  std::uint64_t inode = 0;
  std::uint64_t link_count = 0;  // directories: 2 + subdirectories; 0 = removed
  env::Timestamp created;
  env::Timestamp changed;

  Attributes attributes;
  Attributes attributes_on_disk;
  bool attributes_dirty = false;

  Content content;                 // of a regular file
  std::uint64_t failed_syncs = 0;  // a handle opened before one of them never syncs again
  Names names;                     // of a directory
  std::string target;              // of a symlink
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;

  // Data, size and attributes, or names and attributes, are on the disk after this.
  void sync();
};

}  // namespace exclave::sim::detail
