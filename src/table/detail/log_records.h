// Log records: the bytes of the log table's file, written and read back. Pure; log_table.cc does the I/O.
// Hides: the layout, and how a torn end is told from damage.
//
//   log    := header record*
//   header := "exclave table log 1\n" (20) | base bytes (8) | crc (4)             crc over the 28 bytes before it
//   record := magic 0x4c6f6752 (4) | payload bytes (4) | durable (8) | crc (4) | payload
//             crc over position of the record in the file (8) || payload bytes || durable || payload
//   payload := (kind (1: 1 = put, 2 = erase) | key bytes (2) | value bytes (4) | key | value)*
//   Integers are big-endian, CRCs are CRC-32C.
//
// base bytes: the length of the file when it got its name; it was whole and durable then.
// durable:    the length of the file that was known to be durable when the record was written. A record is a witness:
//             a bad record at a position below a later record's `durable` was once whole, so it is damage and not a
//             torn write.
//
// I1  The payload of one record is one batch: it is read whole or not at all.
// I2  A power loss may leave any subset of the sectors that were not synced. What follows the first bad record is
//     dropped if no witness speaks against it, even if later records are whole.
// Threads: pure.
// Errors: Corrupt, Unsupported (another version).
#pragma once

#include <cstdint>
#include <vector>

#include "table/table.h"

namespace exclave::table::detail {

inline constexpr std::size_t kLogHeaderBytes = 32;
inline constexpr std::size_t kRecordHeaderBytes = 20;

Bytes encode_log_header(std::uint64_t base_bytes);
// Adds a record to `out`, as it stands at `position` in the file. Precondition: batch.check_limits() is ok.
void append_record(Bytes& out, const Batch& batch, std::uint64_t position, std::uint64_t durable);

struct LogContent {
  std::vector<Batch> batches;     // in order
  std::uint64_t whole_bytes = 0;  // header and whole records; what follows is a torn end
};
Result<LogContent> read_log(ByteView log);

}  // namespace exclave::table::detail
