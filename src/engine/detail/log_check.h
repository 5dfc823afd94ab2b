// LogCheck: reads the assembled log of a database record by record, from the base backup's start, and finds where it ends.
// Hides: pieces, pages, CRCs, links and timeline switches (pg/wal_checker.h), where a goal lies among the records.
//
//   base.start ---- record ---- record ---- ... ---- record ----|xxxx
//                                 ^ reached: the goal           ^ proven: the last whole record
//
// I1  Both ends are those of records. What is damaged ends the log and is told; what is whole before it is as good as ever.
// Threads: one. Memory: a piece of 1 MiB.
// Errors: Cancelled, what the server's version or the disk does not allow; never Corrupt for a record (damage()).
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/database_log.h"

namespace exclave::engine::detail {

// What ends the log, as the records show it. All empty: nothing but its end.
struct LogGoal {
  std::optional<pg::Lsn> position;
  std::optional<env::Timestamp> time;
  std::optional<std::string> point;
};

// Where a server begins to read that starts from the backup.
Result<pg::WalStart> start_of(const LogRequest& request);

// Whether a whole record lies in this part of the log, which begins where one ends. A server that dies leaves a piece of one.
bool has_record(WalDirectoryWriter& writer, pg::WalStart start, const LogRange& part);

class LogCheck {
 public:
  // `newest`: of the log. `points`: nullptr if no named point is wanted. Writer and points outlive it.
  static Result<LogCheck> create(WalDirectoryWriter& writer, const pg::TimelineHistory& newest,
                                 const LogRequest& request, const LogGoal& goal, RestorePoints* points);

  Status run(const std::vector<LogRange>& ranges, const std::stop_token& stop);

  // What the record is that ends the log early.
  const std::optional<std::string>& damage() const { return damage_; }
  const LogEnd& reached() const { return reached_; }
  const LogEnd& proven() const { return proven_; }

 private:
  LogCheck(WalDirectoryWriter& writer, const LogGoal& goal, RestorePoints* points, pg::TimelineHistory newest,
           pg::Lsn start, pg::WalChecker checker);
  void note_end(const LogRange& range, LogEnd& end) const;
  Status check(const LogRange& range, ByteView bytes);
  bool is_past_goal() const;

  WalDirectoryWriter& writer_;
  const LogGoal goal_;
  RestorePoints* const points_;
  const pg::TimelineHistory newest_;
  const pg::Lsn start_;
  pg::WalChecker checker_;
  LogEnd reached_;
  LogEnd proven_;
  bool goal_reached_ = false;
  std::optional<std::string> damage_;
};

}  // namespace exclave::engine::detail
