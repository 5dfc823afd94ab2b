// RecoveryPoint: one point over all datasets of a registry: which snapshot of each belongs to it.
// Hides: that only opened snapshots tell their dataset; what instant a place in a log is; the rule.
//
//   released snapshots -> survey_datasets -> of each dataset its snapshots, oldest first
//   a database's log, ended at its goal (database_log.h) -> instant_of; of several databases the latest counts
//   every other dataset -> choose_after:
//
//     walk 1 ...      walk 2 ...    | the point      walk 3 ...     walk 4 ...
//                                                    ^ chosen: the first that began after the point
//
// I1  Documents are written before the row that names them. So a walk that began after the point has seen every document
//     that a row at the point names, unless it was removed since; of those walks the first has the fewest later changes.
// I2  If no walk began after the point, the newest is chosen, and it is_behind: documents may be missing.
// I3  The instant is not before the last commit that the database comes back to.
// I4  A snapshot that cannot be opened is in `lost`: it may be any dataset's, even one of which nothing else is there.
// I5  Every dataset's name in a survey is one that can be given to a directory, whatever its writer wrote: others are lost.
// Clocks: a commit's time is the server's, a walk's beginning the agent's, a cut's time the coordinator's.
// Threads: survey_datasets starts up to kSurveyThreads ("worker-N") and joins them.
// Errors: Cancelled, those of env::Threads.
// See: docs/operations/databases.md#a-database-and-its-documents.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/database_log.h"

namespace exclave::engine {

inline constexpr std::size_t kSurveyThreads = 8;

// What a snapshot's record says of it, without opening more.
struct DatasetSnapshot {
  FoundSnapshot found;
  std::string dataset;
  format::DatasetKind kind = format::DatasetKind::Tree;
  env::Timestamp began;  // by the agent's clock
  env::Timestamp finished;
  std::optional<format::BaseBackupFacts> base;  // of a database
};
DatasetSnapshot describe(const FoundSnapshot& found, const format::Snapshot& record);

struct DatasetSurvey {
  // By name, oldest first. Where a name was used for several things: what is a database's, or else of the newest one's kind.
  std::map<std::string, std::vector<DatasetSnapshot>> datasets;
  std::vector<DatasetSnapshot> of_other_kinds;
  std::vector<LostSnapshot> lost;  // oldest first
};

// Opens a snapshot's record; called by several threads.
using OpenRecord = std::function<Result<format::Snapshot>(const FoundSnapshot&)>;
// Opens all of `snapshots` (oldest first): one that was left out could be the only one of its dataset.
Result<DatasetSurvey> survey_datasets(env::Threads& threads, const std::vector<FoundSnapshot>& snapshots,
                                      const OpenRecord& open, std::stop_token stop);

// When the place was that a database comes back to: the cut's time, the named point's, the time that was asked for if the
// log goes on behind it, else the last commit's (I3). If the log has no commit since the base's start: when the base was
// finished. Precondition: !log.needs_older_base.
env::Timestamp instant_of(const RecoveryGoal& goal, const DatabaseLog& log, const DatasetSnapshot& base);

struct ChosenSnapshot {
  DatasetSnapshot snapshot;
  std::chrono::nanoseconds after{};  // from the point to the walk's beginning; negative: before it
  bool is_behind() const { return after <= std::chrono::nanoseconds(0); }  // I2
};
// `snapshots`: oldest first, not empty.
ChosenSnapshot choose_after(const std::vector<DatasetSnapshot>& snapshots, env::Timestamp instant);

}  // namespace exclave::engine
