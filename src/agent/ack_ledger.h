// AckLedger: what a database may be told is safe, and when protection has to say that it is less than promised.
// Hides: nothing but arithmetic; no I/O, no clock: the stream asks, and does what it is told.
//
//   appended(frame, end) ...            durable(frames)   spooled(end)
//        |                                   |                |
//        '--- sync:    flush = end of the last durable frame -'
//        '--- bounded: the same; a frame that waits longer than the budget degrades it: flush = spooled end,
//        |             until all is durable again; then one loss exposure from..to
//        '--- async:   flush = spooled end; exposures are told by the lag, not one by one
//
// I1  flush never falls, and is never more than what was appended.
// I2  In sync, and in bounded while it is not degraded, flush is never more than what k vaults hold.
// I3  In every policy flush is never more than what is synced in the spool or held by k vaults.
// I4  A degradation is told once, when it begins (an alarm), and once when it ends (the exposure that is signed, unless
//     nothing was acknowledged meanwhile: the spool's disk may have failed).
// Threads: a value; one at a time.
#pragma once

#include <deque>
#include <optional>

#include "agent/wait_times.h"
#include "env/time.h"
#include "format/database_journal.h"
#include "pg/lsn.h"

namespace exclave::agent {

enum class RpoPolicy { Sync, Bounded, Async };
std::string_view name_of(RpoPolicy policy);

class AckLedger {
 public:
  // `start`: everything before it was acknowledged already. The ledger takes it for held by k vaults as well: whoever left
  // some of it in a spool has to say so. `budget`: of Bounded.
  AckLedger(RpoPolicy policy, std::chrono::nanoseconds budget, pg::Lsn start)
      : policy_(policy), budget_(budget), appended_(start), durable_(start), spooled_(start), flushed_(start) {}

  // Frame `number` holds the log up to `end`.
  void appended(format::FrameNumber number, pg::Lsn end, env::Instant now);
  // The first `frames` frames are held by k vaults.
  void durable(std::uint64_t frames, env::Instant now);
  // Everything appended is synced in the spool.
  void spooled() {
    spooled_ = appended_;
    spooled_frames_ = appended_frames_;
  }

  // Whether the spool has to be synced for flush() to go on.
  bool wants_spool() const { return is_degraded() && spooled_ < appended_; }
  // Looks at the time: degrades, or recovers. True if the mode has changed.
  bool look(env::Instant now, env::Timestamp civil);
  // What to report to the server.
  pg::Lsn flush();

  bool is_degraded() const { return policy_ == RpoPolicy::Async || degraded_since_.has_value(); }
  bool has_outstanding() const { return !outstanding_.empty(); }
  pg::Lsn appended_end() const { return appended_; }
  pg::Lsn durable_end() const { return durable_; }
  // The first frames, so many, are synced in the spool.
  std::uint64_t spooled_frames() const { return spooled_frames_; }
  std::optional<env::Instant> oldest_outstanding() const;
  // While bounded is degraded: what has been acknowledged since. nullopt: nothing yet.
  std::optional<format::LossExposure> exposure(env::Timestamp now) const;
  const WaitTimes& waits() const { return waits_; }
  // The exposure that has just ended (its log is the caller's to fill in); empty after it was taken, or if nothing was
  // acknowledged meanwhile.
  std::optional<format::LossExposure> take_exposure() { return std::exchange(ended_, std::nullopt); }

 private:
  struct Outstanding {
    format::FrameNumber number;
    pg::Lsn end;
    env::Instant since;
  };
  const RpoPolicy policy_;
  const std::chrono::nanoseconds budget_;
  pg::Lsn appended_;
  pg::Lsn durable_;
  pg::Lsn spooled_;
  pg::Lsn flushed_;
  std::uint64_t appended_frames_ = 0;
  std::uint64_t spooled_frames_ = 0;
  std::deque<Outstanding> outstanding_;
  WaitTimes waits_;
  std::optional<env::Timestamp> degraded_since_;
  pg::Lsn degraded_from_;
  std::optional<format::LossExposure> ended_;
};

}  // namespace exclave::agent
