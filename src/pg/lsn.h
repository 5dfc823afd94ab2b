// Positions in a PostgreSQL server's write-ahead log (WAL), and the names of the files that hold it.
// Hides: how segment numbers are split over the digits of a file name.
//
//   WAL      one byte string per timeline, addressed by Lsn; cut into segments of one size (1 MiB .. 1 GiB, 2^n)
//   segment  "TTTTTTTTXXXXXXXXYYYYYYYY"   timeline, high and low part of the segment number, 8 upper-case hex digits each
//   history  "TTTTTTTT.history"           where timeline T and its ancestors came from (timeline_history.h)
//
// I1  Lsn(0) is PostgreSQL's "no position": never a place in a log.
// I2  Each value has one spelling; parsing accepts no other.
// Threads: values, pure functions.
// Errors: InvalidInput.
// Source: PostgreSQL 15, access/xlogdefs.h and xlog_internal.h (facts, not code).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/tagged.h"

namespace exclave::pg {

using Lsn = Tagged<std::uint64_t, struct LsnTag>;                            // a byte position
using Timeline = Tagged<std::uint32_t, struct TimelineTag>;                  // 1, 2, ...
using SystemIdentifier = Tagged<std::uint64_t, struct SystemIdentifierTag>;  // made by initdb, for ever

inline Lsn operator+(Lsn position, std::uint64_t bytes) {
  return Lsn(position.value() + bytes);
}
// Precondition: from <= to.
inline std::uint64_t bytes_between(Lsn from, Lsn to) {
  CHECK(from <= to);
  return to.value() - from.value();
}

std::string to_text(Lsn position);         // "16/B374D848"
Result<Lsn> parse_lsn(std::string_view);   // 1 to 8 upper-case digits on each side
std::string to_text(Timeline timeline);    // decimal, as in messages
std::string to_text(SystemIdentifier id);  // decimal, as pg_controldata prints it

// The size of a server's WAL segments. A power of two from 1 MiB to 1 GiB.
class SegmentSize {
 public:
  SegmentSize() = default;  // 16 MiB, the default of initdb
  static Result<SegmentSize> of(std::uint64_t bytes);
  std::uint64_t bytes() const { return bytes_; }

  std::uint64_t offset_in_segment(Lsn position) const { return position.value() & (bytes_ - 1); }
  Lsn segment_start(Lsn position) const { return Lsn(position.value() & ~(bytes_ - 1)); }
  // The end of the segment that holds `position`: the next segment's start, also for a start.
  Lsn segment_end(Lsn position) const { return segment_start(position) + bytes_; }
  friend bool operator==(const SegmentSize&, const SegmentSize&) = default;

 private:
  std::uint64_t bytes_ = std::uint64_t{16} << 20;
};

// The name of the file that holds the byte at `position`.
std::string wal_file_name(Timeline timeline, Lsn position, SegmentSize size);
std::string history_file_name(Timeline timeline);

struct SegmentFile {
  Timeline timeline;
  Lsn start;
  friend bool operator==(const SegmentFile&, const SegmentFile&) = default;
};
struct HistoryFile {
  Timeline timeline;
  friend bool operator==(const HistoryFile&, const HistoryFile&) = default;
};
using WalFileName = std::variant<SegmentFile, HistoryFile>;

// What a restore_command may be asked for. InvalidInput for every other name (".partial" and ".backup" among them): a
// name is never used as a path before it came through here.
Result<WalFileName> parse_wal_file_name(std::string_view name, SegmentSize size);

}  // namespace exclave::pg
