// ResumePoint: how far a database's log is here, and on which way; where its stream goes on after a lost connection, in a new
// run or after a failover; and what the server must show again before anything of it counts.
// Hides: what is kept for the next run and when, which stretch of the log tells one server from another.
//
//   first connection:  the slot's position ---> end()
//   the next one:      [what was received last) end()   the server shows the stretch again, then goes on
//   failover:          parted_at(the new server's way): nothing, or a branch that is left_at() there
//
// I1  What is kept never lies behind what was reported to the server by more than a segment, nor on an older timeline: else the
//     next run would ask for log that the server has removed, or could not tell it from another one (must_keep).
// I2  While the server has not shown what was received last, nothing is kept: it may be another branch.
// I3  What is here is never made less by a new connection; only leave_at(), go_back_to() and forget() go back.
// Threads: one. Durability: after keep() and forget() returned.
// Errors: those of stream_memory.h.
// See: ADR-0034.
#pragma once

#include <optional>

#include "agent/log_tail.h"
#include "agent/stream_memory.h"

namespace exclave::agent {

class ResumePoint {
 public:
  explicit ResumePoint(StreamMemory& memory) : memory_(memory) {}

  // Goes on where earlier runs ended. What they left; nullopt: nothing.
  Result<std::optional<StreamPosition>> recall();

  // Everything before it is here. nullopt: nothing is.
  std::optional<pg::Lsn> end() const;
  // The way to there, and as far beyond as the server has told. Precondition: a connection was made.
  const pg::TimelineHistory& history() const { return known_->history; }

  // Where a server's way leaves what is here. nullopt: it comes by all of it.
  std::optional<pg::Lsn> parted_at(const pg::TimelineHistory& server) const;

  // A connection to a server with that way is made; new log begins at `start`. What it is to show again first, up to there at
  // most; nullopt: nothing.
  std::optional<LogStretch> connected(const pg::TimelineHistory& server, pg::Lsn start);
  // The server came past a switch of timelines: its way in full.
  void switched(const pg::TimelineHistory& server);

  bool is_shown() const { return !check_.has_value(); }
  // What is to be shown. Precondition: !is_shown().
  const LogStretch& expected() const { return check_->expected(); }
  enum class Shown { NotYet, Same, Another };
  // Log as it comes, from the stretch on. Precondition: !is_shown().
  Shown look(pg::Lsn start, ByteView bytes);
  // The server has removed the stretch: the next connections go without, until log has come.
  void take_at_its_word() { is_taken_at_its_word_ = true; }

  // New log came in.
  void received(pg::Lsn start, ByteView bytes);
  // A record that holds a time ends at `to`.
  void remember(pg::Lsn to, pg::SegmentSize size, env::Instant now);
  // It is in the journal up to there.
  void appended(pg::Lsn end);

  // Whether nothing may be reported as flushed up to there before it is kept (I1).
  bool must_keep(pg::Lsn flushed, pg::SegmentSize size);
  // DURABLE. `flushed`: reported, or about to be; `commit`: the last one's end of that.
  Status keep(pg::Lsn flushed, pg::Lsn commit, const std::optional<Exposure>& exposed);

  // The branch is left: the log goes on from there.
  void leave_at(pg::Lsn position);
  // What was received behind it is in no journal that goes on: it has to come again, on the same way.
  void go_back_to(pg::Lsn position) { known_->end = position; }
  // DURABLE. The log goes on wherever the server's does. What was acknowledged without the vaults stays known.
  // Precondition: a connection was made.
  Status forget(const std::optional<Exposure>& exposed);

 private:
  struct Known {
    pg::TimelineHistory history;
    pg::Lsn end;
  };
  std::optional<LogStretch> expected_before(pg::Lsn start);
  pg::Timeline timeline_at_end(const LogStretch& stretch) const;

  StreamMemory& memory_;
  std::optional<Known> known_;
  std::optional<StreamPosition> kept_;  // in memory_
  LogTail tail_;
  std::optional<StretchCheck> check_;
  bool is_taken_at_its_word_ = false;
};

}  // namespace exclave::agent
