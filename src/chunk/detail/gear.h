// Gear hash: the rolling hash that decides where content may be cut.
// Hides: nothing; every constant here is part of the format of chunk boundaries (ADR-0010).
//
//   gear[i]   := i-th output of SplitMix64 started at the seed "exclave1" (ASCII, big-endian), i = 0..255
//   window(p) := sum of gear[byte[p - 1 - k]] << k for k = 0..63, modulo 2^64        (the 64 bytes before position p)
//
// Recompute the table with six lines of Python:
//   s = 0x6578636c61766531; M = 2**64 - 1
//   for i in range(256):
//       s = (s + 0x9e3779b97f4a7c15) & M; z = s
//       z = ((z ^ (z >> 30)) * 0xbf58476d1ce4e5b9) & M
//       z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & M
//       print(hex(z ^ (z >> 31)))
//
// I1  The table is public and never changes: another one would only cost deduplication, but all of it. It is no
//     secret, because boundaries lie inside sealed, padded packs.
// Threads: constants.
// Source: Xia et al., FastCDC, USENIX ATC 2016; Steele et al., SplitMix64, OOPSLA 2014.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace exclave::chunk {

inline constexpr std::uint64_t kGearSeed = 0x6578636c61766531;
inline constexpr std::size_t kGearWindowBytes = 64;

// The finalizer of SplitMix64: a bijection in which every input bit reaches every output bit.
constexpr std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline constexpr std::array<std::uint64_t, 256> kGear = [] {
  std::array<std::uint64_t, 256> table{};
  std::uint64_t state = kGearSeed;
  for (std::uint64_t& entry : table) {
    state += 0x9e3779b97f4a7c15;
    entry = mix64(state);
  }
  return table;
}();

}  // namespace exclave::chunk
