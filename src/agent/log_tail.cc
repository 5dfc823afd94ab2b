#include "agent/log_tail.h"

#include <algorithm>

namespace exclave::agent {

void LogTail::add(pg::Lsn start, ByteView bytes) {
  if (bytes.empty()) return;
  if (start != end()) {
    start_ = start;
    bytes_.clear();
  }
  append(bytes_, bytes);
  if (bytes_.size() <= 2 * kBytes) return;
  const std::size_t old = bytes_.size() - kBytes;
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(old));
  start_ = start_ + old;
}

void LogTail::cut_to(pg::Lsn end) {
  if (end < start_) {
    bytes_.clear();
  } else if (end < this->end()) {
    bytes_.resize(static_cast<std::size_t>(pg::bytes_between(start_, end)));
  }
  while (!stretches_.empty() && stretches_.back().stretch.to > end) stretches_.pop_back();
}

void LogTail::clear() {
  bytes_.clear();
  stretches_.clear();
}

void LogTail::remember(pg::Lsn to, const pg::TimelineHistory& history, pg::SegmentSize size, env::Instant now) {
  if (bytes_.empty() || to <= start_ || to > end()) return;
  const pg::Lsn last(to.value() - 1);
  const pg::Timeline timeline = history.timeline_of(last);
  if (!stretches_.empty()) {
    const Remembered& before = stretches_.back();
    if (to <= before.stretch.to || (timeline == before.timeline && now - before.at < kApart)) return;
  }
  const pg::Lsn from = std::max({start_, size.segment_start(last), history.began_at(timeline)});
  const auto begin = static_cast<std::size_t>(pg::bytes_between(start_, from));
  const auto count = static_cast<std::size_t>(pg::bytes_between(from, to));
  const LogStretch stretch{from, to, crypto::sha256(ByteView(bytes_).subspan(begin, count))};
  stretches_.push_back({stretch, timeline, now});
}

std::optional<LogStretch> LogTail::newest(pg::Lsn at_most) {
  while (stretches_.size() > 1 && stretches_[1].stretch.to <= at_most) stretches_.pop_front();
  if (stretches_.empty() || stretches_.front().stretch.to > at_most) return std::nullopt;
  return stretches_.front().stretch;
}

void StretchCheck::feed(pg::Lsn start, ByteView bytes) {
  const pg::Lsn end = std::min(expected_.to, start + bytes.size());
  if (start > at_ || end <= at_) return;
  const auto skipped = static_cast<std::size_t>(pg::bytes_between(start, at_));
  hasher_.update(bytes.subspan(skipped, static_cast<std::size_t>(pg::bytes_between(at_, end))));
  at_ = end;
}

std::optional<bool> StretchCheck::is_same() const {
  if (at_ < expected_.to) return std::nullopt;
  return hasher_.so_far() == expected_.hash;
}

}  // namespace exclave::agent
