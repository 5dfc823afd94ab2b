// Record cutter: cuts a stream of records (a listing) into chunks of about 64 KiB, at record ends only, so that an
// unchanged part of a listing is the same chunk again.
// Hides: the hash, and how its chance is scaled.
//
//   chunk := record+                     a chunk ends after a record
//            once it holds >= 32 KiB and stable_hash(record) mod 32768 < size of the record,
//            or once it holds >= 128 KiB
//
// The chance grows with the record's size, so that the distance between ends is 32 KiB whatever the records' size is.
// Units/limits: bytes; a chunk is shorter than 128 KiB plus its last record. Bounding records is the format's business.
// I1  The decision depends on the running total and on this record's bytes only.
// Threads: a value.
// Errors: none.
// See: ADR-0010.
#pragma once

#include <cstdint>

#include "chunk/chunker.h"

namespace exclave::chunk {

inline constexpr std::size_t kRecordSoftBytes = 32 * kKiB;
inline constexpr std::size_t kRecordHardBytes = 128 * kKiB;

class RecordCutter {
 public:
  // Adds a record, not empty: true if the chunk ends with it.
  bool ends_after(ByteView record);
  void reset() { total_ = 0; }
  std::uint64_t total_bytes() const { return total_; }

 private:
  std::uint64_t total_ = 0;
};

}  // namespace exclave::chunk
