// CRC-32C (Castagnoli), for telling torn and damaged log records from whole ones. No protection against anybody.
//
// Threads: pure.
// Errors: none.
// Source: RFC 3720 appendix B.4 (test vectors in log_records_test).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace exclave::table::detail {

// Of `bytes` after what `before` is the CRC of; 0 = nothing before.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

}  // namespace exclave::table::detail
