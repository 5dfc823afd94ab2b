// Timeline history: which timelines a timeline descends from, and where it left each of them.
// Hides: the text that TIMELINE_HISTORY returns and that *.history files hold.
//
//   line := timeline "\t" LSN "\t" reason        oldest first; "#" comments and empty lines are allowed
//
// I1  Timelines and switch points ascend; all timelines are below the one the file is of.
// I2  At most kMaximumHistoryBytes and kMaximumSwitches are believed.
// Threads: values, pure functions.
// Errors: Corrupt (the text is not such a history).
// Source: PostgreSQL 15, access/transam/timeline.c (facts). Timeline 1 has no history file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "pg/lsn.h"

namespace exclave::pg {

inline constexpr std::size_t kMaximumHistoryBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaximumSwitches = 10'000;

struct TimelineSwitch {
  Timeline parent;
  Lsn switch_point;  // bytes before it are the parent's, bytes from it on the child's
  friend bool operator==(const TimelineSwitch&, const TimelineSwitch&) = default;
};

struct TimelineHistory {
  Timeline timeline{1};
  std::vector<TimelineSwitch> switches;  // ascending

  // The timeline whose server wrote the byte at `position`.
  Timeline timeline_of(Lsn position) const;
  // Whether a recovery along it comes by a record of `of` that ends at `end`.
  bool comes_by(Timeline of, Lsn end) const { return end != Lsn() && timeline_of(Lsn(end.value() - 1)) == of; }
  // Whether `other` is this timeline, or one that it descends from.
  bool has(Timeline other) const { return other == timeline || left_at(other).ok(); }
  // Where this timeline left `ancestor`; NotFound if it does not descend from it.
  Result<Lsn> left_at(Timeline ancestor) const;
  // Where `of`, which is this one or an ancestor, began; 0 for the first.
  Lsn began_at(Timeline of) const;
  // The history of `ancestor`, or of this timeline itself. Precondition: it descends from it, or is it.
  TimelineHistory as_of(Timeline ancestor) const;
  friend bool operator==(const TimelineHistory&, const TimelineHistory&) = default;
};

// Up to where a recovery along one reads the same bytes as along the other; nullopt: they are the same.
std::optional<Lsn> parted_at(const TimelineHistory& one, const TimelineHistory& other);

Result<TimelineHistory> parse_timeline_history(Timeline timeline, ByteView text);

}  // namespace exclave::pg
