// DatabaseLog: the log of one database out of all its journals in the vaults, down to where it provably ends.
// Hides: which streams are whose, their order and overlaps, decompression, following timelines, checking every record.
//
//   journal streams of the era -> those of this dataset and server -> records in order -> WalDirectoryWriter
//     -> checked from the base backup's start: pages, CRCs, links -> the last whole record at or before the goal
//
// I1  The end is proven if so many vaults answered (n - k + b + 1) that, with b of them lying, one that holds what was
//     acknowledged last has shown it, and none shows a mark of the writer's (format/mark.h) beyond what they all show. What
//     is damaged of another dataset's journals does not count, nor what is marked there. Nor is it proven if the log is known
//     to go on elsewhere: in a later era, with another server, or on an older timeline.
//     Otherwise is_proven is false, and the caller does not restore "the latest".
// I2  Every byte up to the end was authenticated, and every record up to it was checked against its CRC and its link.
// I4  Only records of this dataset and server count, whatever else the registry's journals hold; what is sealed under
//     periods before the oldest released one is passed over (journal_reader.h).
// I5  Where the log has a hole, a segment that no vault gives, a damaged record, or goes on in two ways, it ends: is_proven
//     is false, and why_not_proven says what is missing. What lies before it is restored to as ever.
// I3  The end is a record's end: a server that replays up to it stops there, exactly. A named point's end is the end of
//     its own record.
// I7  For a position, a time or the end, only log from the first page of the file in which the base starts is read: earlier
//     segments, and journals of other datasets, are gone past (journal_reader.h). No plan is made without that page. A cut or a point may have been named before that: then all is read.
// I8  A cut is restored only if the log leads to it on the timeline on which it was taken. What was acknowledged on a timeline
//     that the newest one left before is named in `problems`.
// I6  A goal that lies before the backup is consistent plans nothing (needs_older_base), nor does a log that does not reach
//     the backup, or leads to another timeline than its own (why_older): another base may serve.
// Threads: one. Memory: that of a JournalReader.
// Errors: NotFound (no journal of this dataset; no cut, no point of that name), Conflict (journal_reader.h,
//   I2), Precondition (the log ends before the backup is consistent; a position or a point beyond the
//   end), Denied (period not released), Unavailable (also: no such cut or point, and the end is not proven).
// See: docs/formats/database-journal.md, ADR-0026.
#pragma once

#include <stop_token>
#include <variant>

#include "engine/journal_reader.h"
#include "engine/restore_points.h"
#include "engine/snapshot_finder.h"
#include "engine/wal_directory.h"
#include "format/database_journal.h"
#include "format/snapshot.h"
#include "pg/wal_checker.h"
#include "policy/policy.h"

namespace exclave::engine {

struct ToProvenEnd {};
struct ToLogPosition {  // every record that ends at or before it
  pg::Lsn position;
};
struct ToCommitTime {  // everything before the first commit that is later, by the server's clock
  env::Timestamp time;
};
inline constexpr std::string_view kLatestCut = "latest";
struct ToCut {  // by the first digits of its id, or kLatestCut
  std::string id;
};
struct ToRestorePoint {  // the last point of that name (restore_points.h)
  std::string name;
};
using RecoveryGoal = std::variant<ToProvenEnd, ToLogPosition, ToCommitTime, ToCut, ToRestorePoint>;

struct LogEnd {
  pg::Lsn end;                         // of the last record
  std::optional<pg::Lsn> last_record;  // where that begins; none if there is no record
  pg::Timeline timeline;
  std::uint64_t records = 0;  // replayed from the base backup's start
  std::uint64_t commits = 0;
  std::optional<pg::LastCommit> last_commit;
};

struct DatabaseLog {
  WalPlan plan;
  // Where it is, which is removed with this unless it is kept. None without a plan: nothing is left there.
  std::unique_ptr<WalDirectoryHold> hold;
  LogEnd reached;          // what the plan ends at
  LogEnd proven;           // what there is
  bool is_proven = false;  // I1
  std::string why_not_proven;
  // I6: there is no plan then; reached.end says where the goal lies, or, for a time, before what at least.
  bool needs_older_base = false;
  std::optional<Error> why_older;             // the backup is of no use: its own log is not there
  std::optional<format::Cut> cut;             // of ToCut: the one that was meant
  std::optional<RestorePoints::Found> point;  // of ToRestorePoint
  std::vector<format::LossExposure> exposures;
  std::vector<format::Cut> cuts;  // in which this dataset takes part, by time
  std::uint64_t segments = 0;     // closed ones of all its era's journals
  std::uint64_t passed_over = 0;  // of them, without being read (I4, I7)
  std::vector<std::string> problems;
};

// The newest period under which a journal of this era is sealed, as far as the vaults show: a release that shall open a
// database to its end reaches up to it. Never later than `limit`, whatever a vault says. nullopt: no journal.
std::optional<format::PeriodNumber> newest_journal_period(const RegistryHoldings& holdings,
                                                          const format::RegistryId& registry, format::EraNumber era,
                                                          format::PeriodNumber limit);

struct LogRequest {
  std::string dataset;
  format::RealmId realm;
  format::RegistryId registry;
  std::uint32_t vaults = 0;  // of the policy
  policy::Quorum quorum;
  format::BaseBackupFacts base;
  format::StreamStart base_start;  // of the stream of its snapshot
  RecoveryGoal goal;
};

struct LogWorld {
  env::FileSystem& files;
  env::Clock& clock;
  env::Threads& threads;
};

// Fills `directory` (fresh) and plans it (I6). `keys`: of the released periods.
Result<DatabaseLog> fetch_log(const LogWorld& world, const LogRequest& request, const RegistryHoldings& holdings,
                              const std::vector<store::VaultApi*>& vaults, const std::vector<format::OpeningKey>& keys,
                              const std::string& directory, std::stop_token stop);

}  // namespace exclave::engine
