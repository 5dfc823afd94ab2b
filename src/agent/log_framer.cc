#include "agent/log_framer.h"

#include <algorithm>

#include "format/journal.h"

namespace exclave::agent {

LogFramer::LogFramer() {
  log_.reserve(format::kMaxLogBytes);
}

void LogFramer::add(pg::Timeline timeline, pg::Lsn start, ByteView bytes) {
  CHECK(!is_full() && bytes.size() <= kMostPieceBytes);
  if (log_.empty()) {
    timeline_ = timeline;
    start_ = start;
  }
  CHECK(timeline == timeline_ && start == end());
  append(log_, bytes);
}

void LogFramer::trade(LogFramer& other) {
  CHECK(log_.empty());
  log_id_ = other.log_id_;
  timeline_ = other.timeline_;
  start_ = other.start_;
  log_.swap(other.log_);
}

Result<ByteView> LogFramer::take() {
  CHECK(!log_.empty());
  format::JournalLog head;
  head.log = log_id_;
  head.timeline = format::LogTimeline(timeline_.value());
  head.start = format::LogPosition(start_.value());
  head.log_bytes = static_cast<std::uint32_t>(log_.size());
  record_.resize(format::kLogHeadBytes + log_.size());
  const MutableByteView room = MutableByteView(record_).subspan(format::kLogHeadBytes);
  std::size_t stored = log_.size();
  const bool fits_in_one_step = format::frame_bytes(record_.size()) == format::kFrameStep;
  if (!fits_in_one_step) {
    const compress::Compressed compressed = TRY(compressor_.compress(log_, room));
    if (compressed.form == compress::Form::Zstd) {
      head.codec = format::LogCodec::Zstd;
      stored = compressed.size;
    }
  }
  if (head.codec == format::LogCodec::Raw) std::copy(log_.begin(), log_.end(), room.begin());
  format::encode_log_head(head, MutableByteView(record_).first(format::kLogHeadBytes));
  log_.clear();
  return ByteView(record_).first(format::kLogHeadBytes + stored);
}

}  // namespace exclave::agent
