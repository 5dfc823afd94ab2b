// Group rule: which small files share a chunk. Files below 256 KiB are grouped whole, in walk order; none is split.
// Hides: the hash that makes group ends depend on the files themselves, so that an added file disturbs one group only.
//
//   group := file+                     a group ends after a file
//            once it holds >= 512 KiB and hash(name, size) mod 32 = 0,
//            or once it holds >= 2 MiB
//   hash  := stable_hash(name || 0x00 || size as 8 bytes, big-endian)
//   name  := the last component of the path, as bytes
//
// Only the last component: a directory that is renamed keeps its groups.
// Units/limits: bytes; a file has at most 256 KiB - 1, so a group has less than 2.25 MiB. The caller leaves empty files
//     out; they belong to no group.
// I1  The decision depends on the running total and on this file's name and size, never on its content: the reader can
//     decide before it has read.
// Threads: a value.
// Errors: none.
// See: ADR-0010.
#pragma once

#include <cstdint>
#include <string_view>

#include "chunk/chunker.h"

namespace exclave::chunk {

inline constexpr std::size_t kSmallFileBytes = 256 * kKiB;  // files below are grouped, others have chunks of their own
inline constexpr std::size_t kGroupSoftBytes = 512 * kKiB;
inline constexpr std::size_t kGroupHardBytes = 2048 * kKiB;
inline constexpr std::size_t kMaxGroupBytes = kGroupHardBytes + kSmallFileBytes - 2;

class GroupRule {
 public:
  // Adds a file of `size` bytes to the group: true if the group ends with it, and the next file opens a new one.
  // Precondition: size < 256 KiB.
  bool ends_after(std::string_view name, std::uint64_t size);
  // The caller closed the group by itself (the end of a capture).
  void reset() { total_ = 0; }
  std::uint64_t total_bytes() const { return total_; }

 private:
  std::uint64_t total_ = 0;
};

}  // namespace exclave::chunk
