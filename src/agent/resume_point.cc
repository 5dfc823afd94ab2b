#include "agent/resume_point.h"

#include <algorithm>

namespace exclave::agent {

Result<std::optional<StreamPosition>> ResumePoint::recall() {
  kept_ = TRY(memory_.position());
  if (kept_.has_value()) known_ = Known{kept_->history, kept_->acknowledged};
  return kept_;
}

std::optional<pg::Lsn> ResumePoint::end() const {
  if (!known_.has_value() || known_->end == pg::Lsn()) return std::nullopt;
  return known_->end;
}

std::optional<pg::Lsn> ResumePoint::parted_at(const pg::TimelineHistory& server) const {
  if (!known_.has_value()) return std::nullopt;
  const auto parted = pg::parted_at(known_->history, server);
  return parted.has_value() && *parted < known_->end ? parted : std::nullopt;
}

std::optional<LogStretch> ResumePoint::connected(const pg::TimelineHistory& server, pg::Lsn start) {
  known_ = Known{server, known_.has_value() ? std::max(known_->end, start) : start};
  tail_.cut_to(start);
  check_.reset();
  const std::optional<LogStretch> expected = expected_before(start);
  if (expected.has_value()) check_.emplace(*expected);
  return expected;
}

std::optional<LogStretch> ResumePoint::expected_before(pg::Lsn start) {
  if (is_taken_at_its_word_) return std::nullopt;
  if (auto received = tail_.newest(start)) return received;
  // Of an earlier run.
  if (!kept_.has_value() || !kept_->tail.has_value() || kept_->tail->to > start) return std::nullopt;
  return kept_->tail;
}

void ResumePoint::switched(const pg::TimelineHistory& server) {
  // What is here may lie on a timeline that follows.
  if (!known_->history.has(server.timeline)) known_->history = server;
}

ResumePoint::Shown ResumePoint::look(pg::Lsn start, ByteView bytes) {
  check_->feed(start, bytes);
  const std::optional<bool> is_same = check_->is_same();
  if (!is_same.has_value()) return Shown::NotYet;
  if (!*is_same) return Shown::Another;
  check_.reset();
  return Shown::Same;
}

void ResumePoint::received(pg::Lsn start, ByteView bytes) {
  if (is_shown()) is_taken_at_its_word_ = false;
  tail_.add(start, bytes);
}

void ResumePoint::remember(pg::Lsn to, pg::SegmentSize size, env::Instant now) {
  tail_.remember(to, known_->history, size, now);
}

void ResumePoint::appended(pg::Lsn end) {
  known_->end = std::max(known_->end, end);
}

pg::Timeline ResumePoint::timeline_at_end(const LogStretch& stretch) const {
  return known_->history.timeline_of(pg::Lsn(stretch.to.value() - 1));
}

bool ResumePoint::must_keep(pg::Lsn flushed, pg::SegmentSize size) {
  const pg::Lsn kept = kept_.has_value() ? kept_->acknowledged : pg::Lsn();
  if (size.segment_start(kept) < size.segment_start(flushed)) return true;
  const auto newest = tail_.newest(flushed);
  if (!newest.has_value()) return false;
  return !kept_.has_value() || !kept_->tail.has_value() || timeline_at_end(*kept_->tail) != timeline_at_end(*newest);
}

Status ResumePoint::keep(pg::Lsn flushed, pg::Lsn commit, const std::optional<Exposure>& exposed) {
  if (!is_shown()) return {};
  StreamPosition position{known_->history, flushed, commit, exposed, tail_.newest(flushed)};
  if (!position.tail.has_value() && kept_.has_value()) position.tail = kept_->tail;
  if (position == kept_) return {};
  TRY(memory_.keep(position));
  kept_ = std::move(position);
  return {};
}

void ResumePoint::leave_at(pg::Lsn position) {
  known_->end = position;
  kept_.reset();
  tail_.clear();
  check_.reset();
}

Status ResumePoint::forget(const std::optional<Exposure>& exposed) {
  StreamPosition without_end{known_->history, {}, {}, exposed, std::nullopt};
  known_.reset();
  kept_.reset();
  tail_.clear();
  check_.reset();
  if (!exposed.has_value()) return memory_.forget_position();
  TRY(memory_.keep(without_end));
  kept_ = std::move(without_end);
  return {};
}

}  // namespace exclave::agent
