// CommitTally: how far a database's commits have come: received, in frames, held by k vaults, acknowledged.
// Hides: nothing but arithmetic; no I/O, no clock (as ack_ledger.h).
//
//   received(n, end) -> framed(end of log) -> appended(frame, n) -> durable(frames)      counts, for status
//                              '------------------------> acknowledged(position)         where the last one ends
//
// I1  last_acknowledged() is the end of a commit that was reported to the server: home that goes on without it has dropped it.
//     Where nobody could count commits, it is the end of the log: rather an alarm too many.
// I2  What was received and not framed is not counted when it comes again.
// Threads: a value; one at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "format/journal.h"
#include "pg/lsn.h"

namespace exclave::agent {

class CommitTally {
 public:
  // Of an earlier run.
  void recall(pg::Lsn acknowledged) { acknowledged_ = last_ = acknowledged; }

  // So many in all; the last one ends at `end` at most: an earlier one is ignored.
  void received(std::uint64_t commits, pg::Lsn end) {
    received_ = commits;
    last_ = std::max(last_, end);
  }
  // The connection has ended (I2).
  void drop_unframed();
  // What was received is in a frame whose log ends there.
  void framed(pg::Lsn log_end);
  // A frame of `bytes` is in the journal; `commits`: received up to its end.
  void appended(format::FrameNumber frame, std::uint64_t commits, std::uint64_t bytes);
  // k vaults hold the journal's first frames.
  void durable(std::uint64_t frames);
  // Everything before it was reported to the server.
  void acknowledged(pg::Lsn position);
  // What is not durable of it counts as it did: frames are counted anew.
  void journal_ended();
  // The log goes on from there, without what lies behind it.
  void leave_at(pg::Lsn position) { acknowledged_ = last_ = std::min(acknowledged_, position); }

  std::uint64_t received() const { return received_; }
  std::uint64_t outstanding() const { return received_ - durable_; }
  std::uint64_t outstanding_bytes() const { return outstanding_bytes_; }  // of frames
  pg::Lsn last_acknowledged() const { return acknowledged_; }             // 0: none is known

 private:
  pg::Lsn last_framed() const;
  struct Mark {
    format::FrameNumber frame;
    std::uint64_t commits;
    std::uint64_t bytes;
  };
  struct End {
    pg::Lsn log;
    pg::Lsn commit;  // the last one's end at or before that
  };
  std::uint64_t received_ = 0;
  std::uint64_t framed_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t outstanding_bytes_ = 0;
  std::deque<Mark> marks_;  // of frames that are not durable
  std::deque<End> ends_;    // of frames that are not acknowledged
  pg::Lsn last_;            // received
  pg::Lsn acknowledged_;
};

}  // namespace exclave::agent
