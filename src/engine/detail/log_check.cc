#include "engine/detail/log_check.h"

#include <algorithm>

#include "engine/log_terms.h"

namespace exclave::engine::detail {
namespace {

constexpr std::size_t kCheckedPieceBytes = 1U << 20;

// Calls `visit` with a range's bytes, in order, as long as it answers that it wants more.
template <typename Visit>
Status for_each_piece(WalDirectoryWriter& writer, const LogRange& range, Visit&& visit) {
  Bytes piece(kCheckedPieceBytes);
  for (pg::Lsn at = range.from; at < range.to;) {
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), pg::bytes_between(at, range.to)));
    const MutableByteView bytes = MutableByteView(piece).first(some);
    TRY(writer.read(range.timeline, at, bytes));
    if (!TRY(visit(ByteView(bytes)))) return {};
    at = at + some;
  }
  return {};
}

}  // namespace

Result<pg::WalStart> start_of(const LogRequest& request) {
  pg::WalStart start;
  start.major = pg::ServerMajor(request.base.source.major);
  start.system = pg::SystemIdentifier(request.base.source.system);
  start.segment_size = TRY(pg::SegmentSize::of(request.base.source.segment_bytes));
  start.start = lsn(request.base.start);
  start.starts_at = pg::StartsAt::RecordBoundary;
  return start;
}

bool has_record(WalDirectoryWriter& writer, pg::WalStart start, const LogRange& part) {
  start.history = {part.timeline, {}};
  start.start = part.from;
  auto checker = pg::WalChecker::create(start);
  if (!checker.ok()) return true;
  const Status read = for_each_piece(writer, part, [&](ByteView bytes) -> Result<bool> {
    TRY(checker.value().feed(bytes));
    return checker.value().records() == 0;
  });
  return !read.ok() || checker.value().records() > 0;
}

LogCheck::LogCheck(WalDirectoryWriter& writer, const LogGoal& goal, RestorePoints* points, pg::TimelineHistory newest,
                   pg::Lsn start, pg::WalChecker checker)
    : writer_(writer),
      goal_(goal),
      points_(points),
      newest_(std::move(newest)),
      start_(start),
      checker_(std::move(checker)) {}

Result<LogCheck> LogCheck::create(WalDirectoryWriter& writer, const pg::TimelineHistory& newest,
                                  const LogRequest& request, const LogGoal& goal, RestorePoints* points) {
  pg::WalStart start = TRY(start_of(request));
  start.history = newest.as_of(timeline(request.base.timeline));
  return LogCheck(writer, goal, points, newest, start.start, TRY(pg::WalChecker::create(start)));
}

Status LogCheck::run(const std::vector<LogRange>& ranges, const std::stop_token& stop) {
  note_end(ranges.front(), reached_);
  for (const LogRange& range : ranges) {
    if (range.timeline != ranges.front().timeline) TRY(checker_.follow(newest_.as_of(range.timeline), range.from));
    TRY(for_each_piece(writer_, range, [&](ByteView bytes) -> Result<bool> {
      if (stop.stop_requested()) return Error(Code::Cancelled, "the restore was interrupted");
      const Status done = check(range, bytes);
      if (done.ok()) return true;
      if (done.error().code() != Code::Corrupt) return done.error();
      damage_ = done.error().message();
      return false;
    }));
    note_end(range, proven_);
    if (damage_.has_value()) return {};
  }
  return {};
}

void LogCheck::note_end(const LogRange& range, LogEnd& end) const {
  end.end = checker_.end_of_last_record().value_or(start_);
  end.last_record = checker_.begin_of_last_record();
  end.timeline = range.timeline;
  end.records = checker_.records();
  end.commits = checker_.commits();
  end.last_commit = checker_.last_commit();
}

Status LogCheck::check(const LogRange& range, ByteView bytes) {
  while (!bytes.empty()) {
    const std::uint64_t records = checker_.records();
    const std::uint64_t points = checker_.restore_points();
    TRY(checker_.feed_record(bytes));
    if (checker_.records() == records) continue;
    const bool is_point = checker_.restore_points() != points;
    if (is_point && points_ != nullptr) points_->note(range.timeline, *checker_.last_restore_point());
    if (goal_.point.has_value()) {
      if (is_point && checker_.last_restore_point()->name == *goal_.point) note_end(range, reached_);
    } else if (!goal_reached_) {
      goal_reached_ = is_past_goal();
      if (!goal_reached_) note_end(range, reached_);
    }
  }
  return {};
}

// Commit times are not monotone: the first that is later ends it.
bool LogCheck::is_past_goal() const {
  if (goal_.position.has_value() && *checker_.end_of_last_record() > *goal_.position) return true;
  return goal_.time.has_value() && checker_.last_commit().has_value() && checker_.last_commit()->time > *goal_.time;
}

}  // namespace exclave::engine::detail
