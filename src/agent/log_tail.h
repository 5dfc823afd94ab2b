// LogTail: the end of the log that was received last. A server that goes on has the same; another server, that was promoted
// at the same place and gave its timeline the same number, or one that went back to a copy of itself, has not.
// Hides: how much is remembered.
//
//   log received:   ...--------[from ====== to)      hash of what lies between
//   next connection:           [from ====== to)----> the same hash, or it is another branch
//
// I1  A stretch lies in one segment file and on one timeline: the server that has its end has all of it.
// Threads: a value; one at a time. Memory: 2 * kBytes.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "crypto/hash.h"
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

  // What follows what is here, or else begins anew.
  void add(pg::Lsn start, ByteView bytes);
  // Forgets what lies behind it, and goes on there.
  void cut_to(pg::Lsn end);
  void clear();
  // What ends at `to`; nullopt if that is not here.
  std::optional<LogStretch> before(pg::Lsn to, const pg::TimelineHistory& history, pg::SegmentSize size) const;

 private:
  pg::Lsn end() const { return start_ + bytes_.size(); }
  pg::Lsn start_;
  Bytes bytes_;
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
