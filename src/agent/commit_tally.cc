#include "agent/commit_tally.h"

namespace exclave::agent {

pg::Lsn CommitTally::last_framed() const {
  return ends_.empty() ? acknowledged_ : ends_.back().commit;
}

void CommitTally::drop_unframed() {
  received_ = framed_;
  last_ = last_framed();
}

void CommitTally::framed(pg::Lsn log_end) {
  framed_ = received_;
  if (last_framed() < last_ && last_ <= log_end) ends_.push_back({log_end, last_});
}

void CommitTally::appended(format::FrameNumber frame, std::uint64_t commits, std::uint64_t bytes) {
  outstanding_bytes_ += bytes;
  marks_.push_back({frame, commits, bytes});
}

void CommitTally::durable(std::uint64_t frames) {
  while (!marks_.empty() && marks_.front().frame.value() < frames) {
    durable_ = marks_.front().commits;
    outstanding_bytes_ -= marks_.front().bytes;
    marks_.pop_front();
  }
}

void CommitTally::acknowledged(pg::Lsn position) {
  while (!ends_.empty() && ends_.front().log <= position) {
    acknowledged_ = ends_.front().commit;
    ends_.pop_front();
  }
}

void CommitTally::journal_ended() {
  marks_.clear();
  ends_.clear();
  outstanding_bytes_ = 0;
  durable_ = received_;
}

}  // namespace exclave::agent
