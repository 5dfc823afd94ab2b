// DatabaseJournal: where the log of one database goes, into a journal at every vault, one journal after another; and how much
// of it is safe there.
// Hides: framing, and the thread that seals full frames; what stands in a journal beside the log (its opening, the server's way
// through timelines, exposures, cuts), and when; where segments end. What a journal leaves in its spool when it ends, the
// agent's keeper brings to the vaults (detail/keeper.h).
//
//   gather, flush --FrameWriter--> JournalWriter --> vaults
//                                                      |  held by k
//   safe() <----------- AckLedger <----- look() -------'
//
//   none --open, follow--> open --end--> none      the stream goes on elsewhere, or nothing can be appended (has_failed)
//                            '---finish            at a stop
//
// I1  safe() obeys AckLedger: in `sync` k vaults hold everything before it, on disk.
// I2  In `bounded`, log that was acknowledged without the vaults is in exposed() until k vaults hold a signed record that says
//     so. The record is written when they have all of that log; also that of journals which have ended, as LeftSpools says.
//     Rather told twice than never.
// I3  The server's way is told again in each segment that tend() begins: a release may open a journal from the middle on.
// I4  Of one journal nothing goes into the next: what was gathered, how far the vaults are, the server's way.
// Threads: one; left_spools() and cuts() from any.
// Durability: what look() lets safe() say.
// Errors: those of journal_writer.h (disk, keys, randomness), of stream_memory.h (open), of memory. Whatever kept a record from
//   being appended, has_failed() says so.
// See: docs/formats/database-journal.md, ADR-0025.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/ack_ledger.h"
#include "agent/commit_tally.h"
#include "agent/frame_writer.h"
#include "agent/kept_cuts.h"
#include "agent/left_spools.h"
#include "agent/log_framer.h"
#include "agent/period_source.h"
#include "agent/resume_point.h"
#include "agent/stream_memory.h"
#include "agent/wait_notices.h"
#include "agent/writer_watch.h"
#include "pg/replication.h"
#include "spread/journal_writer.h"

namespace exclave::agent {

// Where journals' frames wait for vaults, below a dataset's directory: a folder for each journal.
std::string spools_folder(std::string_view directory);

// What is promised of a database's log.
struct LogPromise {
  std::string dataset;
  RpoPolicy policy = RpoPolicy::Sync;
  std::chrono::nanoseconds budget{};                         // of Bounded
  std::uint64_t spool_limit_bytes = std::uint64_t{4} << 30;  // of each journal's
  // Of frames that k vaults do not hold, before no more log is taken; spool_limit_bytes while nobody waits for the vaults, if
  // that is more.
  std::uint64_t most_outstanding_bytes = std::uint64_t{256} << 20;
};

struct LogStanding {
  bool is_degraded = false;
  pg::Lsn received;
  pg::Lsn durable;  // k vaults hold everything before it; in `async`, as far as this journal goes
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
    WriterWatch& writer_watch;  // is told of each journal
    std::string directory;      // of this dataset in the agent's home: spool, and which server it is of
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
  // Log follows from `start` on, which is safe up to there. follow() comes next. Precondition: !is_open(); resume was
  // connected. After an error nothing is open, and nothing in use.
  Status open(const format::LogSource& source, pg::Timeline timeline, pg::Lsn start);
  // The way that the server's log takes, in full. Precondition: is_open().
  Status follow(const pg::ReplicationConnection::RawHistory& way);
  // At a stop, once: what was flushed goes out, as far as vaults take it within seconds. Then the journal can be looked at
  // (standing, alarms, exposed), and nothing else. Precondition: is_open().
  Status finish();
  // The same, and another one may be opened. What the vaults do not hold lies in the spool, which is left_spools()'s now. Ask
  // for safe() before. Not open: nothing to do.
  Status end();
  // Nothing can be appended any more: end it. What follows safe() has to come again.
  bool has_failed() const { return has_failed_; }

  // --- log. Precondition: is_open(), but for the first two ---
  // What is gathered and not flushed is forgotten: a connection broke, and it comes again.
  void drop_gathered() { framer_.clear(); }
  bool has_gathered() const { return !framer_.is_empty(); }
  bool is_full() const { return framer_.is_full(); }
  // Up to there it was gathered: the next piece begins there.
  pg::Lsn gathered_end() const { return has_gathered() ? framer_.end() : framed_end_; }
  // Precondition: !is_full(); at most LogFramer::kMostPieceBytes; at gathered_end(); of the timeline of what is gathered.
  void gather(pg::Timeline timeline, pg::Lsn at, ByteView bytes);
  // What is gathered becomes a frame, now or soon.
  Status flush();
  // Everything that was flushed is appended.
  Status settle();

  // --- what is safe. Precondition: is_open() ---
  // Takes what the vaults have answered, and looks at the time; syncs the spool where that is what counts. `is_waited_for`:
  // commits wait for us.
  Status look(bool is_waited_for);
  // What may be told to the server: everything before it (I1). Never falls while a journal is open.
  pg::Lsn safe() { return ledger_->flush(); }
  bool is_degraded() const { return ledger_->is_degraded(); }
  bool has_outstanding() const { return ledger_->has_outstanding(); }
  // Nothing more shall be gathered until the vaults have caught up.
  bool is_too_far_behind() const;
  // After look(): cuts that were handed in, exposures that are over, the end of a segment: what is due of that.
  Status tend();

  // --- log that was acknowledged without the vaults (I2) ---
  // An earlier run has left that. Precondition: no journal was opened.
  Status recall(const std::optional<Exposure>& left);
  // The server's slot says that everything before it was acknowledged: of that run, if this one has not opened a journal yet.
  void acknowledged_before(pg::Lsn slot);
  std::optional<Exposure> exposed() const;
  // exposed() has begun, or is over, since it was kept for the next run.
  bool has_exposure_news() const { return has_exposure_news_; }
  void exposure_is_kept();
  // Of journals that have ended, k vaults may lack some of that.
  bool has_left_exposure() const { return left_exposure_.has_value(); }
  // Who brings what is left to the vaults says here how far they are.
  LeftSpools& left_spools() { return left_spools_; }

  KeptCuts& cuts() { return cuts_; }
  const KeptCuts& cuts() const { return cuts_; }
  // nullopt: there is no journal.
  std::optional<LogStanding> standing();
  // What is not as promised, for people. `standing`: of this moment.
  std::vector<std::string> alarms(const std::optional<LogStanding>& standing, bool is_waited_for) const;

 private:
  Result<format::StreamDescriptor> new_stream(std::uint64_t start) const;
  Status open_in_use(const format::LogSource& source, pg::Timeline timeline, pg::Lsn start);
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
  // What k vaults hold.
  void note_durable();
  void note_mode();
  // Where a vault did not keep its word: into the log, once for each vault.
  void note_breaches(const spread::JournalProgress& vaults);
  void tell_waits(bool is_waited_for);
  // Of journals that have ended: once k vaults have all of these.
  void look_at_left_exposure();
  Status tell_exposures();
  Status write_way();
  Status write_cuts();
  Status roll_if_due();
  void log(env::LogLevel level, const std::string& text) const;

  const Place place_;
  const LogPromise promise_;
  const Stream stream_;
  LeftSpools left_spools_;
  std::uint64_t place_in_order_ = 0;  // of the journal that was opened last
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
  struct PastExposure {
    format::LossExposure exposure;
    std::optional<format::FrameNumber> told_in;  // of this journal; k vaults do not hold it yet
  };
  std::vector<PastExposure> past_exposures_;
  std::optional<Exposure> left_exposure_;  // of journals that have ended, whose vaults lack some
  bool has_exposure_news_ = false;
  std::optional<format::PeriodNumber> period_;  // under which the journal was rolled last
  env::Instant last_period_look_;
  env::Instant last_roll_;
  std::uint64_t frames_at_roll_ = 0;
  KeptCuts cuts_;
  std::uint64_t journals_opened_ = 0;
  std::map<std::string, std::string> breaches_;  // the first of each vault, in any journal
};

}  // namespace exclave::agent
