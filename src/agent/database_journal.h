// DatabaseJournal: where the log of one database goes, into a journal at every vault, one journal after another; and how much
// of it is safe there.
// Hides: framing, and the thread that seals full frames; what stands in a journal beside the log (its opening, the server's way
// through timelines, exposures, cuts), and when; where segments end; journals that have ended and are not held yet.
//
//   gather, flush --FrameWriter--> JournalWriter --> vaults
//                                                      |  held by k
//   safe() <----------- AckLedger <----- look() -------'
//
//   none --open--> open --end--> none      the stream goes on elsewhere, or the spool took no more (has_failed)
//                    '---finish            at a stop
//
// I1  safe() obeys AckLedger: in `sync` k vaults hold everything before it, on disk.
// I2  Log that was acknowledged without the vaults is told of in a journal, signed, once k vaults hold it; also when its own
//     journal has ended before. Until then it is in exposed().
// I3  Every segment tells the server's way: a release may open a journal from the middle on.
// Threads: one; spool_in_use, left_journals_are_held and cuts() from any.
// Durability: what look() lets safe() say.
// Errors: those of journal_writer.h and of the disk. If the spool was the one that failed, has_failed() says so.
// See: docs/formats/database-journal.md, ADR-0025.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/ack_ledger.h"
#include "agent/commit_tally.h"
#include "agent/frame_writer.h"
#include "agent/kept_cuts.h"
#include "agent/log_framer.h"
#include "agent/period_source.h"
#include "agent/resume_point.h"
#include "agent/stream_memory.h"
#include "agent/wait_notices.h"
#include "base/mutex.h"
#include "pg/replication.h"
#include "spread/journal_writer.h"

namespace exclave::agent {

// Where journals' frames wait for vaults, below a dataset's directory: a folder for each journal.
std::string spools_folder(std::string_view directory);

inline constexpr std::uint64_t kMostOutstandingBytes = std::uint64_t{256} << 20;

// What is promised of a database's log.
struct LogPromise {
  std::string dataset;
  RpoPolicy policy = RpoPolicy::Sync;
  std::chrono::nanoseconds budget{};  // of Bounded
  std::uint64_t spool_limit_bytes = std::uint64_t{4} << 30;
};

struct LogStanding {
  bool is_degraded = false;
  pg::Lsn received;
  pg::Lsn durable;  // k vaults hold everything before it
  pg::Lsn acknowledged;
  std::optional<std::chrono::nanoseconds> oldest_outstanding;
  std::optional<WaitSummary> waits;  // of commits for the vaults, lately
  spread::JournalProgress vaults;
};

class DatabaseJournal {
 public:
  // Whose journal, and how it reaches the vaults. All outlive it.
  struct Place {
    env::Env& env;
    const policy::Policy& policy;
    const policy::Registry& registry;
    const policy::Era& era;
    const crypto::Ed25519SigningKey& writer;
    std::vector<store::VaultApi*> vaults;
    PeriodSource& periods;
    std::string directory;  // of this dataset in the agent's home: spool, and which server it is of
  };
  // Of the stream whose log it is; they outlive the journal, and learn from it of each frame.
  struct Stream {
    StreamMemory& memory;
    ResumePoint& resume;
    CommitTally& commits;
    env::Waker& waker;  // the vaults have more, or a cut is to be written
  };
  DatabaseJournal(const Place& place, const LogPromise& promise, const Stream& stream);
  ~DatabaseJournal();

  // --- one journal after another ---
  bool is_open() const { return journal_ != nullptr; }
  // Log follows from `start` on, which is safe up to there. Precondition: !is_open().
  Status open(const format::LogSource& source, pg::Timeline timeline, pg::Lsn start);
  // The way that the server's log takes, in full. Precondition: is_open().
  Status follow(const pg::ReplicationConnection::RawHistory& way);
  // At a stop: what is gathered goes out, as far as vaults take it within seconds. Nothing follows but end() and the destructor.
  Status finish();
  // The same, and another one may be opened. What the vaults do not hold lies in the spool. Not open: nothing to do.
  Status end();
  // The spool takes no more: end it. What follows safe() has to come again.
  bool has_failed() const { return has_failed_; }

  // --- log. Precondition: is_open() ---
  // What is gathered and not flushed is forgotten: a connection broke, and it comes again.
  void drop_gathered() { framer_.clear(); }
  bool has_gathered() const { return !framer_.is_empty(); }
  bool is_full() const { return framer_.is_full(); }
  // Up to there it was gathered: the next piece begins there.
  pg::Lsn gathered_end() const { return has_gathered() ? framer_.end() : framed_end_; }
  // Precondition: !is_full(); at most LogFramer::kMostPieceBytes; contiguous.
  void gather(pg::Timeline timeline, pg::Lsn at, ByteView bytes) { framer_.add(timeline, at, bytes); }
  // What is gathered becomes a frame, now or soon.
  Status flush();
  // Everything that was flushed is appended.
  Status settle();

  // --- what is safe. Precondition: is_open() ---
  // Takes what the vaults have answered, and looks at the time. `is_waited_for`: commits wait for us.
  Status look(bool is_waited_for);
  // What may be told to the server: everything before it (I1). Never falls while a journal is open.
  pg::Lsn safe() { return ledger_->flush(); }
  bool is_degraded() const { return ledger_->is_degraded(); }
  bool has_outstanding() const { return ledger_->has_outstanding(); }
  // Nothing more shall be gathered until the vaults have caught up.
  bool is_too_far_behind() const;
  // Cuts that were handed in, exposures that are over, the end of a segment: what is due of that.
  Status tend();

  // --- log that was acknowledged without the vaults ---
  // An earlier run has left that.
  void recall(const std::optional<Exposure>& left) { left_exposure_ = left; }
  // No journal was opened yet, and the server's slot says that everything before it was acknowledged.
  void acknowledged_before(pg::Lsn slot);
  std::optional<Exposure> exposed() const;
  // Whether exposed() has begun or ended since the last call: the next run has to know.
  bool take_exposure_news() { return std::exchange(has_exposure_news_, false); }
  // k vaults have everything that lies in the other folders than this one.
  void left_journals_are_held(const std::string& beside);
  // The folder of the journal that is being written; empty before there is one. The others are left from before.
  std::string spool_in_use() const;

  KeptCuts& cuts() { return cuts_; }
  const KeptCuts& cuts() const { return cuts_; }
  // nullopt: there is no journal.
  std::optional<LogStanding> standing();
  // What is not as promised, for people. `standing`: as it is now.
  std::vector<std::string> alarms(const std::optional<LogStanding>& standing, bool is_waited_for) const;

 private:
  Result<format::StreamDescriptor> new_stream(std::uint64_t start) const;
  // Beside the log.
  Result<format::FrameNumber> record(ByteView bytes);
  // What the journal or its spool answered.
  template <typename Answer>
  Answer of_journal(Answer answer) {
    if (!answer.ok()) has_failed_ = true;
    return answer;
  }
  // What has been appended becomes known to the ledger.
  Status note_frames();
  Status note_mode();
  void tell_waits(bool is_waited_for);
  // What was acknowledged without the vaults in journals that have ended is told once k vaults have all of these.
  Status tell_left_exposure();
  Status write_way();
  Status write_cuts();
  Status roll_if_due();
  void log(env::LogLevel level, const std::string& text) const;

  const Place place_;
  const LogPromise promise_;
  const Stream stream_;
  std::unique_ptr<spread::JournalWriter> journal_;
  std::optional<AckLedger> ledger_;  // as long as journal_
  WaitNotices waits_;
  bool has_failed_ = false;
  LogFramer framer_;
  std::unique_ptr<FrameWriter> frames_;  // into journal_, as long as that
  pg::Lsn framed_end_;                   // given to frames_
  std::uint64_t last_durable_ = 0;       // frames
  format::LogId log_id_;
  pg::ReplicationConnection::RawHistory way_;
  std::optional<Exposure> left_exposure_;  // of journals that have ended
  bool has_exposure_news_ = false;
  std::optional<format::PeriodNumber> period_;  // under which the journal was rolled last
  env::Instant last_period_look_;
  env::Instant last_roll_;
  std::uint64_t frames_at_roll_ = 0;
  KeptCuts cuts_;
  std::uint64_t journals_opened_ = 0;

  mutable Mutex mutex_;
  std::string spool_in_use_ GUARDED_BY(mutex_);
  std::string left_held_beside_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
