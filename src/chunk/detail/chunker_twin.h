// The slow, obvious twin of Chunker::next_cut: written from the definition in chunker.h, 64 steps per position.
// Hides: nothing. For tests (oracle) and for readers; never called by the program.
//
// Threads: pure.
// Errors: none. Cost: about 60 times that of the real one.
#pragma once

#include <algorithm>

#include "chunk/chunker.h"
#include "chunk/detail/gear.h"

namespace exclave::chunk {

// The 64 bytes before position n. Precondition: 64 <= n <= data.size().
inline std::uint64_t window_at(ByteView data, std::size_t n) {
  std::uint64_t sum = 0;
  for (std::size_t k = 0; k < kGearWindowBytes; ++k) sum += kGear[data[n - 1 - k]] << k;
  return sum;
}

inline std::size_t next_cut_by_definition(ByteView data, After after, const ChunkSizes& sizes) {
  for (std::size_t n = sizes.min; n <= std::min(data.size(), sizes.max); ++n) {
    const std::uint64_t mask = n < sizes.normal ? kHardMask : kEasyMask;
    if ((window_at(data, n) & mask) == 0 || n == sizes.max) return n;
  }
  return after == After::EndOfFile ? data.size() : 0;
}

}  // namespace exclave::chunk
