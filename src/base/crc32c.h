// CRC-32C (Castagnoli), for telling torn and damaged bytes from whole ones. No protection against anybody.
// Hides: eight bytes at a time by table (about 2 GB/s), with no instruction that some machine lacks.
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
// One byte at a time: the twin that tests hold the fast one against.
std::uint32_t crc32c_slowly(ByteView bytes, std::uint32_t before = 0);

}  // namespace exclave
