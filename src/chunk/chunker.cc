#include "chunk/chunker.h"

#include <algorithm>
#include <array>

#include "chunk/detail/gear.h"

namespace exclave::chunk {
namespace {

constexpr std::array<std::uint64_t, 256> kGearShifted = [] {
  std::array<std::uint64_t, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = kGear[i] << 1;
  return table;
}();

static_assert((kHardMask >> 63) == 0 && (kEasyMask >> 63) == 0, "the two-byte step shifts masks by one");

struct Scan {
  std::uint64_t hash = 0;  // window(at)
  std::size_t at = 0;
  bool found = false;
};

// Moves on to the first length in (scan.at, end] that the mask accepts, or to `end`.
// Two bytes per step: with both shifts done at once, the first byte is tested one bit further left.
Scan scan_until(const Byte* data, Scan scan, std::size_t end, std::uint64_t mask) {
  std::uint64_t hash = scan.hash;
  std::size_t at = scan.at;
  const std::uint64_t shifted_mask = mask << 1;
  for (; at + 2 <= end; at += 2) {
    hash = (hash << 2) + kGearShifted[data[at]];
    if ((hash & shifted_mask) == 0) return {hash, at + 1, true};
    hash += kGear[data[at + 1]];
    if ((hash & mask) == 0) return {hash, at + 2, true};
  }
  if (at < end) {
    hash = (hash << 1) + kGear[data[at]];
    ++at;
    if ((hash & mask) == 0) return {hash, at, true};
  }
  return {hash, at, false};
}

}  // namespace

Chunker::Chunker(const ChunkSizes& sizes) : sizes_(sizes) {
  CHECK(kGearWindowBytes <= sizes.min && sizes.min <= sizes.normal && sizes.normal <= sizes.max);
}

std::size_t Chunker::next_cut(ByteView data, After after) const {
  const std::size_t end = std::min(data.size(), sizes_.max);
  const std::size_t none = after == After::EndOfFile || end == sizes_.max ? end : 0;
  if (end < sizes_.min) return none;

  Scan scan;
  scan.at = sizes_.min - 1;
  for (std::size_t i = sizes_.min - kGearWindowBytes; i < scan.at; ++i) scan.hash = (scan.hash << 1) + kGear[data[i]];
  // Lengths min..normal-1 under the hard mask, normal..max under the easy one.
  scan = scan_until(data.data(), scan, std::min(end, sizes_.normal - 1), kHardMask);
  if (!scan.found) scan = scan_until(data.data(), scan, end, kEasyMask);
  return scan.found ? scan.at : none;
}

std::size_t next_fixed_cut(ByteView data, After after) {
  if (data.size() >= kFixedChunkBytes) return kFixedChunkBytes;
  return after == After::EndOfFile ? data.size() : 0;
}

}  // namespace exclave::chunk
