#include "engine/restore_points.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::engine {
namespace {

constexpr std::size_t kLongestName = 63;

}  // namespace

Status check_point_name(std::string_view name) {
  if (!name.empty() && name.size() <= kLongestName && name.find('\0') == std::string_view::npos) return {};
  return Error(Code::InvalidInput, "a restore point's name has 1 to 63 bytes, not " + std::to_string(name.size()));
}

// A piece that goes on where the one before ended begins at a record's end if it is the next timeline's: servers leave a
// timeline at one. Elsewhere the first record is looked for.
void RestorePoints::begin_looking(pg::Timeline timeline, pg::Lsn start) {
  pg::WalStart begin = log_;
  begin.history = {timeline, {}};
  begin.start = start;
  begin.previous_record.reset();
  const bool is_switch = checker_.has_value() && looking_at_ != timeline && checker_->position() == start;
  checker_.reset();
  looking_at_ = timeline;
  for (const pg::StartsAt starts_at : {pg::StartsAt::RecordBoundary, pg::StartsAt::Anywhere}) {
    if (starts_at == pg::StartsAt::RecordBoundary && !is_switch) continue;
    begin.starts_at = starts_at;
    auto made = pg::WalChecker::create(begin);
    if (!made.ok()) continue;
    checker_ = made.take();
    return;
  }
}

void RestorePoints::look(pg::Timeline timeline, pg::Lsn start, ByteView bytes) {
  if (checker_.has_value() && looking_at_ == timeline && start < checker_->position()) {
    const std::uint64_t seen = pg::bytes_between(start, checker_->position());
    if (seen >= bytes.size()) return;
    bytes = bytes.subspan(static_cast<std::size_t>(seen));
    start = start + seen;
  }
  if (!checker_.has_value() || looking_at_ != timeline || checker_->position() != start) begin_looking(timeline, start);
  while (checker_.has_value() && !bytes.empty()) {
    const std::uint64_t before = checker_->restore_points();
    if (!checker_->feed_record(bytes).ok()) {
      checker_.reset();
    } else if (checker_->restore_points() != before) {
      note(timeline, *checker_->last_restore_point());
    }
  }
}

void RestorePoints::note(pg::Timeline timeline, const pg::RestorePoint& point) {
  std::erase_if(names_, [&](const auto& each) { return each.second.name == point.name; });
  names_.emplace_back(timeline, point);
  if (names_.size() > kMostNames) {
    names_.erase(names_.begin());
    has_forgotten_names_ = true;
  }
  if (point.name != name_) return;
  points_[{point.end, timeline}] = point;
  if (points_.size() > kMostPoints) points_.erase(points_.begin());
}

void RestorePoints::forget(pg::Timeline timeline) {
  std::erase_if(points_, [&](const auto& each) { return each.first.second == timeline; });
  std::erase_if(names_, [&](const auto& each) { return each.first == timeline; });
  if (looking_at_ == timeline) checker_.reset();
}

std::optional<RestorePoints::Found> RestorePoints::last(const pg::TimelineHistory& history) const {
  std::optional<Found> found;
  std::size_t count = 0;
  for (const auto& [place, point] : points_) {
    if (!history.comes_by(place.second, place.first)) continue;
    found = Found{point, ++count};
  }
  return found;
}

std::string RestorePoints::names(const pg::TimelineHistory& history) const {
  std::string text;
  for (const auto& [timeline, point] : names_) {
    if (history.comes_by(timeline, point.end)) append_item(text, printable(point.name));
  }
  if (has_forgotten_names_) append_item(text, "and older ones");
  return text;
}

}  // namespace exclave::engine
