// Integers as a PostgreSQL server on a little-endian machine writes them (base/bytes.h has the big-endian ones, in
// which the replication protocol itself is spoken). Threads: pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace exclave::pg::detail {

inline std::uint16_t little_u16(ByteView at) {
  return static_cast<std::uint16_t>(at[0] | (at[1] << 8));
}
inline std::uint32_t little_u32(ByteView at) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v |= std::uint32_t{at[i]} << (8 * i);
  return v;
}
inline std::uint64_t little_u64(ByteView at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v |= std::uint64_t{at[i]} << (8 * i);
  return v;
}

}  // namespace exclave::pg::detail
