// DatabaseStream: the log of one PostgreSQL server, continuously, into a journal at every vault; and back to the server
// what of it is safe. Journey 2 of docs/architecture.md.
// Hides: connecting again and again, timelines and branches, when the server is told what.
//
//   server --WAL--> check records --> DatabaseJournal --> vaults
//     ^                                     |
//     '------ flush position <--- safe() <--'     the position for the next run: ResumePoint
//
// I1  What is reported to the server as flushed obeys AckLedger: in `sync` k vaults hold it, on disk.
// I2  The stream begins at the slot's position: at or before everything ever acknowledged. Nothing is skipped: the slot
//     keeps the server's log until it is acknowledged; a slot that lost log is an alarm, and a new base backup.
// I3  A server with another system identifier than the first one is refused, and nothing of it is stored.
// I4  Keepalives are answered at once, with what is safe, never with more.
// I5  A record that is damaged on arrival is an alarm at once. The log is stored all the same: it is what the server has.
// I6  When outstanding frames exceed most_outstanding_bytes, or spool_limit_bytes while nobody waits for the vaults, nothing more is read from the server, whose slot keeps it;
//     status messages go on, so that it does not drop the connection.
// I7  On a new connection nothing is acknowledged before the server has shown again the end of what was received last: two
//     servers can be promoted at the same place, with the same timeline number (log_tail.h). Nothing of another one is stored
//     before that.
// I8  What takes the place of a journal begins no later than what is safe of that (I1): a branch that is left, a spool whose
//     disk was full.
// I9  A server that has stopped but for us is let go: while a receiver is connected that does not report all of the log as
//     flushed, it waits without end. Its slot keeps what the vaults lack.
// Threads: run() on one thread, once; the rest from any.
// Errors: run returns only after a stop, or with what cannot mend itself (I3, keys, a broken spool); all else is retried, also a
//   full disk, and told in status().
// See: docs/formats/database-journal.md, ADR-0025.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/commit_tally.h"
#include "agent/cut_gate.h"
#include "agent/database_journal.h"
#include "agent/resume_point.h"
#include "agent/server_watch.h"
#include "agent/stream_memory.h"
#include "base/mutex.h"
#include "pg/replication.h"
#include "pg/wal_checker.h"

namespace exclave::agent {

struct DatabaseOptions : LogPromise {
  pg::Endpoint endpoint;
  std::string slot;
};

enum class StreamState { Connecting, Streaming, Stopped };

struct DatabaseStatus {
  std::string dataset;
  StreamState state = StreamState::Connecting;
  RpoPolicy policy = RpoPolicy::Sync;
  bool is_waited_for = false;  // the server's synchronous_standby_names can be satisfied by us alone
  std::optional<pg::SystemIdentifier> system;
  pg::Timeline timeline;
  pg::Lsn server_end;  // of the server's own durable log, when it last said so
  LogStanding log;
  std::uint64_t commits_received = 0;
  std::uint64_t commits_outstanding = 0;  // received, not yet held by k vaults
  std::vector<std::string> alarms;
  std::vector<std::string> cautions;
  std::int64_t at_ns = 0;
};

class DatabaseStream {
 public:
  using Place = DatabaseJournal::Place;
  DatabaseStream(const Place& place, DatabaseOptions options, std::unique_ptr<env::Waker> waker);
  ~DatabaseStream();

  // Streams until `stop`, through everything that can be mended by trying again.
  Status run(std::stop_token stop);
  DatabaseStatus status() const;
  // Of the journal.
  LeftSpools& left_spools() { return journal_.left_spools(); }

  // From other threads than run's.
  ServerWatch& server() { return server_; }

  // For cuts. keep: writes a confirmed cut into the journal, and waits until k vaults hold it (kept_cuts.h); InvalidInput or
  // Precondition for one that was not held here (cut_gate.h, I5).
  CutGate& gate() { return gate_; }
  Status keep(const format::Cut& cut, env::Instant deadline);
  const KeptCuts& kept_cuts() const { return journal_.cuts(); }

 private:
  // Until a stop, or what cannot mend itself.
  Status stream_until(const std::stop_token& stop);
  Status connect_and_stream(const std::stop_token& stop);
  // `at`: where the server begins; `flushed`: how far it had its log when this connection began.
  Status follow_timelines(pg::ReplicationConnection& connection, const pg::ServerFacts& facts, pg::Lsn at,
                          pg::Lsn flushed, const std::stop_token& stop);
  Status after(const Error& why);
  Status recall_exposure();
  Status prepare(const pg::ServerFacts& facts);
  // Whether this cut is one of those that were held here.
  Status admit(const format::Cut& cut);
  Result<pg::Lsn> start_position(pg::ReplicationConnection& connection, const pg::Until& until);
  // Unavailable: it has less than is here.
  Status check_has_log(const pg::ServerFacts& facts, const pg::SystemIdentity& identity, pg::Lsn start);
  // Whether it is written, as far as it may be yet (resume_point.h, I2).
  bool keep_position();
  // The log from what is here to where the server keeps it from is nowhere: the next stream begins behind it.
  Status begin_anew(const Error& why);
  void watch(const pg::ServerFacts& facts, const pg::TimelineHistory& history, pg::Lsn start);
  // The server left the way of what is known before that: the log goes on at the switch point.
  Status follow_fork(pg::Lsn switch_point);
  Status leave_branch(pg::Lsn switch_point);
  void leave_failed_journal();
  void note_streaming();
  // Unavailable if the server goes on with another log: the branch is left then.
  Status compare(const pg::WalData& data);
  void check(ByteView bytes);
  // Until the timeline or the connection ends.
  Result<std::optional<pg::TimelineEnded>> stream(pg::ReplicationConnection& connection, const std::stop_token& stop);
  Result<pg::WalEvent> wait(pg::ReplicationConnection& connection, const std::stop_token& stop);
  Status take(const pg::WalData& data);
  Status flush_frame();
  // The server has stopped but for us, and that lasts (I9).
  bool holds_up_a_stop(const pg::ReplicationConnection& connection) const;
  Status acknowledge(pg::ReplicationConnection& connection, bool now, const std::stop_token& stop);
  void raise(std::string alarm);
  void note_trouble(std::string text);
  void publish();

  const Place place_;
  const DatabaseOptions options_;
  const std::unique_ptr<env::Waker>
      waker_;  // of the thread that runs: the vaults have more, a cut is to be written, a hold has ended
  StreamMemory memory_;
  ResumePoint resume_;  // I7
  CommitTally commits_;
  DatabaseJournal journal_;
  std::optional<pg::WalChecker> checker_;
  std::uint64_t commits_before_checker_ = 0;
  pg::Timeline timeline_;
  pg::ReplicationConnection::RawHistory history_;  // of the timeline that streams
  pg::Lsn server_end_;
  env::Instant last_data_;  // when log came last
  pg::Lsn slot_restart_;    // when this connection began
  pg::SegmentSize segment_size_;
  std::optional<pg::SystemIdentifier> system_;
  StreamState state_ = StreamState::Connecting;
  std::optional<std::string> trouble_;  // of the connection, while it lasts
  std::optional<std::string> unread_;   // why it is not known what an earlier run exposed
  std::vector<std::string> alarms_;
  env::Instant last_report_;
  env::Instant last_publish_;
  env::Instant last_keep_;

  CutGate gate_;
  ServerWatch server_;

  mutable Mutex mutex_;
  DatabaseStatus published_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
