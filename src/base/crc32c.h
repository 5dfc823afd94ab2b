// CRC-32C (Castagnoli), for telling torn and damaged bytes from whole ones. No protection against anybody.
// Hides: whether the processor does it (SSE 4.2) or a table.
//
// Threads: pure.
// Errors: none.
// Source: RFC 3720 appendix B.4 (test vectors in crc32c_test).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace exclave {

// Of `bytes` after what `before` is the CRC of; 0 = nothing before.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);
// The same by table: the slow twin, for tests and for processors without the instruction.
std::uint32_t crc32c_by_table(ByteView bytes, std::uint32_t before = 0);

}  // namespace exclave
