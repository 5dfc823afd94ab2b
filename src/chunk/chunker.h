// Chunker: cuts the content of one file into chunks at places that the content itself decides, so that an insertion
// changes one or two chunks and not all that follow.
// Hides: the rolling hash, its masks, and the loop that takes two bytes per step.
//
//   file  := chunk*            in order, nothing between
//   0 ------- min ----------- normal --------------------- max        length of the chunk
//     no cut   | hard mask (22) |  easy mask (18 bits)       | cut
//
//   A chunk ends at the first length n >= min with window(n) & mask(n) == 0, mask(n) = hard for n < normal, else easy;
//   at max at the latest; at the end of the file in any case. window: gear.h.
//
// Units/limits: bytes; chunks of 512 KiB to 4 MiB, 1.19 MiB on average on random data; a file's last may be shorter.
// I1  Whether n can be a cut depends on n and on the 64 bytes before it only: not on slab borders or older bytes.
// I2  The same file has the same cuts in every version of the program: the constants are frozen by chunker_test.
// Threads: pure functions.
// Errors: none.
// See: ADR-0010; chunker_twin.h is the obvious slow twin.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace exclave::chunk {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMinChunkBytes = 512 * kKiB;
inline constexpr std::size_t kNormalChunkBytes = 1024 * kKiB;
inline constexpr std::size_t kMaxChunkBytes = 4096 * kKiB;

// Consecutive one bits, from bit 62 down. Bit 63 stays unused: the two-byte step needs the room of one shift.
inline constexpr std::uint64_t kHardMask = 0x7ffffe0000000000;  // 22 bits: one position in 4 Mi
inline constexpr std::uint64_t kEasyMask = 0x7fffe00000000000;  // 18 bits: one position in 256 Ki

// What stands behind the last byte of a view.
enum class After { MoreBytes, EndOfFile };

struct ChunkSizes {
  std::size_t min = kMinChunkBytes;  // >= 64, the window
  std::size_t normal = kNormalChunkBytes;
  std::size_t max = kMaxChunkBytes;
};

class Chunker {
 public:
  Chunker() = default;
  // Other sizes are for tests and measurements; repositories use the default. Precondition: 64 <= min <= normal <= max.
  explicit Chunker(const ChunkSizes& sizes);

  // Length of the first chunk of `data`, which starts at a chunk's first byte. 0 = more bytes are needed to tell; never
  // with max bytes or more, nor at the end of the file unless `data` is empty. A reader appends to what it has and asks
  // again, so a buffer of max bytes is enough.
  std::size_t next_cut(ByteView data, After after) const;

 private:
  ChunkSizes sizes_;
};

// Database files: equal chunks, aligned to pages of any size up to 64 KiB. Same rule for 0.
inline constexpr std::size_t kFixedChunkBytes = 64 * kKiB;
std::size_t next_fixed_cut(ByteView data, After after);

}  // namespace exclave::chunk
