// RestorePoints: the named points (pg_create_restore_point) in the log of one database, and which of them a name means.
// Hides: points from before the base backup's start, branches that the server left, how many are remembered.
//
//   log before the base's start -> look --+
//                                         +--> points by (end, timeline) -> those of the history -> the last one
//   records from the start on ---> note --+
//
// I1  A name means its last point: servers take a name any number of times.
// I2  A point that lies behind where the history left its timeline counts for nothing: no recovery comes by it.
// I3  Damage or a hole before the base's start costs the points in it, nothing else: a restore from that base needs none
//     of this log. What is found there tells which older base reaches the point.
// Limits: kMostPoints of the wanted name and kMostNames others are remembered, the newest of each.
// Threads: one at a time. Errors: none but InvalidInput of check_point_name.
// Source: PostgreSQL 15, xl_restore_point (facts, not code).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pg/wal_checker.h"

namespace exclave::engine {

// What the server takes for a name: 1 to 63 bytes, no zero among them.
Status check_point_name(std::string_view name);

class RestorePoints {
 public:
  static constexpr std::size_t kMostPoints = 10'000;
  static constexpr std::size_t kMostNames = 20;

  // `log`: server, version and segment size; its start and history count for nothing.
  RestorePoints(std::string name, pg::WalStart log) : name_(std::move(name)), log_(std::move(log)) {}

  // Log in the order of its journals; pieces may overlap, and leave gaps.
  void look(pg::Timeline timeline, pg::Lsn start, ByteView bytes);
  void note(pg::Timeline timeline, const pg::RestorePoint& point);
  // Another branch of the same number takes its place.
  void forget(pg::Timeline timeline);

  struct Found {
    pg::RestorePoint point;
    std::size_t of_that_name = 0;
  };
  // nullopt: no point bears the name.
  std::optional<Found> last(const pg::TimelineHistory& history) const;
  // The names that there are, newest last: "a, b". "and older ones" if there may be more than kMostNames.
  std::string names(const pg::TimelineHistory& history) const;

 private:
  using Place = std::pair<pg::Lsn, pg::Timeline>;
  void begin_looking(pg::Timeline timeline, pg::Lsn start);

  const std::string name_;
  const pg::WalStart log_;
  std::optional<pg::WalChecker> checker_;  // of `look`; none before the first piece and after damage
  pg::Timeline looking_at_;
  std::map<Place, pg::RestorePoint> points_;                      // of the wanted name
  std::vector<std::pair<pg::Timeline, pg::RestorePoint>> names_;  // the last of each name
  bool has_forgotten_names_ = false;
};

}  // namespace exclave::engine
