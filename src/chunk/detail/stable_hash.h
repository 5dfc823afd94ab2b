// Stable hash: a public hash, the same for ever on every machine, that decides where groups and listings end.
// Hides: nothing. Not a cryptographic hash: a hostile name can choose its value, which costs a boundary, no more.
//
//   fnv1a(bytes) := FNV-1a, 64 bit        hash := mix64(fnv1a(bytes))
//   The mix is needed because FNV's low bits depend on the low bits of the bytes only.
//
// Threads: pure.
// Errors: none.
// Source: Fowler, Noll and Vo's published FNV-1a; gear.h for mix64; ADR-0010.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "chunk/detail/gear.h"

namespace exclave::chunk {

inline constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325;

constexpr std::uint64_t fnv1a(ByteView bytes, std::uint64_t state = kFnvOffset) {
  for (const Byte byte : bytes) state = (state ^ byte) * 0x100000001b3;
  return state;
}

constexpr std::uint64_t stable_hash(ByteView bytes) {
  return mix64(fnv1a(bytes));
}

}  // namespace exclave::chunk
