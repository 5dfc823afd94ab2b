// WalChecker: reads along with a stream of WAL and says how far it is whole. Nothing here decides what is stored: it
// runs beside the receiver and raises the alarm, because a vault, which is blind, cannot.
// Hides: the layout of WAL pages and records of PostgreSQL 13 to 17.
//
//   segment := page*          page := short header (24) or, first in a segment, long header (40) | record bytes | 0
//   record  := tot_len 4 | xid 4 | prev 8 | info 1 | rmid 1 | 0 2 | crc 4 | data      starts at multiples of 8, crosses
//              pages (not headers); tot_len stands on one page; little-endian
//
// Checked: magic, address, timeline, flags and remaining length of each page; system identifier, segment and page size
// of each segment; length, prev-link and CRC-32C of each record; that padding is zero.
// Not checkable: one flag of a page (XLP_BKP_REMOVABLE), and what belongs to a record that began before the start.
// Not looked at: what follows a log switch in its segment. The server writes zeros there, but a power failure may keep the
// switch and lose them, and then a recycled file's old bytes stand there for good; no reader of the log looks at them.
//
// I1  Memory is a few hundred bytes, whatever is fed.
// I2  The result does not depend on how the stream is cut into pieces.
// I3  end_of_last_record() only grows, and everything between the first record boundary and it was checked.
// I4  After an error every further feed returns the same error.
// Threads: none of its own; one user at a time.
// Errors: Corrupt (names the LSN; never retry this copy), Unsupported (a page of another PostgreSQL version than said,
//         a big-endian server, another page size).
// Source: PostgreSQL 15, access/xlog_internal.h, xlogrecord.h, xlogreader.c (facts, not code).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "env/time.h"
#include "pg/lsn.h"
#include "pg/timeline_history.h"

namespace exclave::pg {

using ServerMajor = Tagged<std::uint32_t, struct ServerMajorTag>;    // 13 .. 17
using TransactionId = Tagged<std::uint32_t, struct TransactionTag>;  // xid, as in the WAL: 32 bit

enum class StartsAt {
  Anywhere,        // find the first record boundary: at the first page that says where one is
  RecordBoundary,  // `start` is the end of a record (end_of_last_record(), or a backup's start): check from there on
};

struct WalStart {
  ServerMajor major{15};
  SystemIdentifier system;
  SegmentSize segment_size;
  TimelineHistory history;  // of the timeline that is read; just {timeline} for timeline 1
  Lsn start;
  StartsAt starts_at = StartsAt::Anywhere;
  std::optional<Lsn> previous_record;  // where the record before `start` begins, if known: checks the first prev-link
};

struct LastCommit {
  TransactionId transaction;  // 0 for a COMMIT PREPARED: its record's header names none
  env::Timestamp time;        // by the server's clock; not monotone
  Lsn end;                    // of its record: durable once the flush position reaches it
};

struct RestorePoint {   // pg_create_restore_point
  std::string name;     // as the server wrote it: 1 to 63 bytes
  env::Timestamp time;  // by the server's clock
  Lsn end;  // of its record: a server that replays up to here has everything before the point, and nothing later
  friend bool operator==(const RestorePoint&, const RestorePoint&) = default;
};

class WalChecker {
 public:
  // Unsupported: a major outside 13 .. 17. InvalidInput: no record can begin at `start` (RecordBoundary).
  static Result<WalChecker> create(const WalStart& start);

  // The next bytes of the stream. After ok, `position()` has moved by bytes.size().
  Status feed(ByteView bytes);
  // The same, but no further than one record's end, which may lie in the middle of `bytes`: what was taken is cut off
  // from their front. For whoever looks at each record.
  Status feed_record(ByteView& bytes);

  // The server left this timeline at `switch_point`, and the stream goes on there on `history.timeline`. Conflict if
  // more was fed than the switch point (bytes of the dead branch) or less: make a new checker then. A record that was
  // begun before it is dropped: it was never finished.
  Status follow(const TimelineHistory& history, Lsn switch_point);

  Lsn position() const { return position_; }  // the next byte expected
  // One past the last whole record, padded to 8; nullopt before the first one.
  std::optional<Lsn> end_of_last_record() const { return end_of_last_record_; }
  std::optional<Lsn> begin_of_last_record() const { return last_record_; }  // for WalStart::previous_record
  std::uint64_t records() const { return records_; }
  std::uint64_t commits() const { return commits_; }  // COMMIT and COMMIT PREPARED
  const std::optional<LastCommit>& last_commit() const { return last_commit_; }
  // The end of the last record that holds a time: what two servers write on their own is never the same up to there. Ends of
  // transactions, checkpoints, ends of recovery, restore points.
  std::optional<Lsn> last_timed() const { return last_timed_; }
  std::uint64_t restore_points() const { return restore_points_; }
  const std::optional<RestorePoint>& last_restore_point() const { return last_restore_point_; }
  // The end of the last log switch record, with the rest of its segment: the next record is in the next one.
  std::optional<Lsn> last_switch() const { return last_switch_; }
  // The last whole record is the checkpoint of a server that stops: nothing follows until it starts again. (One that has just
  // recovered from a crash writes the same.)
  bool is_at_stop() const { return is_at_stop_; }
  // Records that a crash of the server cut off and its next start declared void (XLP_FIRST_IS_OVERWRITE_CONTRECORD).
  std::uint64_t overwritten_records() const { return overwritten_; }

 private:
  static constexpr std::size_t kLongHeaderBytes = 40;
  static constexpr std::size_t kRecordHeaderBytes = 24;
  static constexpr std::size_t kKeptDataBytes =
      96;  // of a record's data: enough for a commit's time, and for a point's name

  enum class State {
    Searching,  // skipping up to the next page, which says where a record begins
    Skipping,   // within a record that began before the start; remaining_ bytes of it are to come
    Padding,    // zeros up to the next multiple of 8
    Header,     // collecting a record's header
    Data,       // within a record's data
    Switched,   // after a log switch, up to the end of the segment
    Zeros,      // the same, when it was not seen but is told by zeros: only zeros are believed to be that
  };

  explicit WalChecker(const WalStart& start);
  Status consume(ByteView& bytes);
  Status take_page_header(ByteView& bytes);
  Status check_page_header();
  Status check_magic(Lsn page) const;
  Status check_long_header();
  Status check_continuation(std::uint16_t flags, std::uint32_t remaining);
  Status take_record_bytes(ByteView& bytes);
  Status take_record_header(ByteView& bytes);
  Status check_record_header();
  Status take_data(ByteView& bytes);
  void take_unknown(ByteView& bytes);
  Status take_filling(ByteView& bytes);
  bool is_behind_switch() const { return state_ == State::Switched || state_ == State::Zeros; }
  Status finish_record();
  void expect(State state, std::uint64_t count);
  void complete_record();
  void note_commit();
  void note_restore_point();
  void note_time();
  // The first bytes of the record's own data, as far as they were kept.
  ByteView own_data() const;
  bool is_xlog(Byte kind) const;  // of the record whose header was read
  bool is_switch() const;
  std::uint64_t bytes_to_alignment() const;
  std::uint64_t bytes_to_segment_end() const;
  Error corrupt(Lsn at, std::string what) const;

  WalStart setup_;
  std::uint16_t magic_ = 0;
  Lsn position_;
  State state_ = State::Searching;
  std::optional<Error> failed_;

  std::array<Byte, kLongHeaderBytes> page_header_{};
  std::size_t page_header_have_ = 0;
  bool in_page_header_ = false;

  std::optional<Lsn> record_start_;  // nullopt: what is being read began before the start
  std::array<Byte, kRecordHeaderBytes> header_{};
  std::size_t header_have_ = 0;
  std::uint64_t remaining_ =
      0;  // of the record (Skipping, Data), of zeros (Padding, Zeros), or of the segment (Switched)
  std::uint32_t crc_ = 0;
  std::array<Byte, kKeptDataBytes> kept_{};
  std::size_t kept_have_ = 0;

  std::optional<Lsn> end_of_last_record_;
  std::optional<Lsn> last_record_;
  std::optional<Lsn> previous_;  // what the next record's prev-link must say
  std::optional<Lsn> last_switch_;
  bool is_at_stop_ = false;
  std::optional<LastCommit> last_commit_;
  std::optional<Lsn> last_timed_;
  std::optional<RestorePoint> last_restore_point_;
  std::uint64_t records_ = 0;
  std::uint64_t commits_ = 0;
  std::uint64_t restore_points_ = 0;
  std::uint64_t overwritten_ = 0;
};

}  // namespace exclave::pg
