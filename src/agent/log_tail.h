// LogTail: what of the log that was received last tells its server from every other. A server that goes on has the same; another
// one, that was promoted at the same place and gave its timeline the same number, or one that went back to a copy of itself, has not.
// Hides: how much is remembered, and which part of it tells.
//
//   log received:    ...---[from ===== to)--------       hash of what lies between; at `to` a record ends that holds a time
//   next connection:       [from ===== to)------>        the same hash, or it is another branch
//
// I1  A stretch lies in one segment file and on one timeline, and ends with a record that two servers never write alike: not
//     with the zeros behind a switch of segments.
// I2  Of what is not acknowledged yet, one stretch is remembered for each kApart and each timeline; of what is, the newest.
// Threads: a value; one at a time. Memory: 2 * kBytes, and a stretch for each kApart that acknowledgements lag.
#pragma once

#include <deque>
#include <optional>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "env/time.h"
#include "pg/timeline_history.h"

namespace exclave::agent {

// Never empty.
struct LogStretch {
  pg::Lsn from;
  pg::Lsn to;
  crypto::Hash256 hash;
  friend bool operator==(const LogStretch&, const LogStretch&) = default;
};

class LogTail {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;
  static constexpr std::chrono::seconds kApart{1};

  // What follows what is here, or else begins anew.
  void add(pg::Lsn start, ByteView bytes);
  // A record that holds a time ends at `to`.
  void remember(pg::Lsn to, const pg::TimelineHistory& history, pg::SegmentSize size, env::Instant now);
  // Forgets what lies behind it, and goes on there.
  void cut_to(pg::Lsn end);
  void clear();
  // That ends there at most; those before it are forgotten.
  std::optional<LogStretch> newest(pg::Lsn at_most);

 private:
  struct Remembered {
    LogStretch stretch;
    pg::Timeline timeline;
    env::Instant at;
  };
  pg::Lsn end() const { return start_ + bytes_.size(); }
  pg::Lsn start_;
  Bytes bytes_;
  std::deque<Remembered> stretches_;  // ascending
};

// Looks whether log is as a stretch says.
class StretchCheck {
 public:
  explicit StretchCheck(const LogStretch& expected) : expected_(expected), at_(expected.from) {}

  const LogStretch& expected() const { return expected_; }
  // Log in order, from the stretch's beginning or before; what lies behind it does not matter.
  void feed(pg::Lsn start, ByteView bytes);
  // nullopt: not all of it has come.
  std::optional<bool> is_same() const;

 private:
  const LogStretch expected_;
  pg::Lsn at_;
  crypto::Sha256Hasher hasher_;
};

}  // namespace exclave::agent
