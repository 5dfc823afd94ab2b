// Disk: what a test does to a simulated disk from outside: damage, space, snapshots, looking without leaving a trace.
// Hides: the tree of inodes and what of it is synced (detail/volume.h).
//
//   programs --env::FileSystem--> [ now | unsynced | on disk ] <--Disk-- test
//
// Units/limits: bytes; a fresh disk holds "/" only and has room for 1 TiB.
// I1  Nothing here is an env call: no scheduling point, no fault, no virtual time.
// I2  A snapshot is a value: it may be restored any number of times.
// Threads: any actor, or the test itself.
// Errors: those of env::FileSystem's path lookup.
// See: docs/testing.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace exclave::sim {

namespace detail {
class MachineCore;
struct SnapshotTree;
}  // namespace detail

// A disk image, as if the machine had synced everything at that moment.
class DiskSnapshot {
 public:
  explicit DiskSnapshot(std::shared_ptr<const detail::SnapshotTree> tree) : tree_(std::move(tree)) {}

 private:
  friend class Disk;
  std::shared_ptr<const detail::SnapshotTree> tree_;  // immutable; owned by all copies of the snapshot
};

class Disk {
 public:
  explicit Disk(detail::MachineCore& core) : core_(core) {}
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // Bit rot: flips one bit of the file, in what programs read and on the medium. Times and sizes stay as they are.
  // Precondition: bit is 0..7. InvalidInput if `offset` lies past the end.
  Status flip_bit(std::string_view path, std::uint64_t offset, unsigned bit = 0);
  // The file as programs see it now.
  Result<Bytes> content(std::string_view path) const;
  bool exists(std::string_view path) const;
  // One line for each name, "path type mode size", sorted: to print when an assertion fails.
  std::string listing() const;

  // ENOSPC comes when the files' pages (4,096 bytes each) would exceed this.
  void set_capacity_bytes(std::uint64_t capacity);
  std::uint64_t used_bytes() const;

  // Also marks the place in the machine's random stream for Machine::rewind_random.
  DiskSnapshot snapshot() const;
  // Precondition: the machine is down and its actors have ended (Machine::wait): no handle may look at the old tree.
  void restore(const DiskSnapshot& snapshot);

 private:
  detail::MachineCore& core_;
};

}  // namespace exclave::sim
