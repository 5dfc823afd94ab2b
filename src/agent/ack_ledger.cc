#include "agent/ack_ledger.h"

#include <algorithm>

namespace exclave::agent {

std::string_view name_of(RpoPolicy policy) {
  switch (policy) {
    case RpoPolicy::Sync:
      return "sync";
    case RpoPolicy::Bounded:
      return "bounded";
    case RpoPolicy::Async:
      return "async";
  }
  return "";
}

void AckLedger::appended(format::FrameNumber number, pg::Lsn end, env::Instant now) {
  CHECK(end >= appended_);
  CHECK(outstanding_.empty() || outstanding_.back().number < number);
  appended_ = end;
  appended_frames_ = number.value() + 1;
  outstanding_.push_back({number, end, now});
}

void AckLedger::durable(std::uint64_t frames, env::Instant now) {
  while (!outstanding_.empty() && outstanding_.front().number.value() < frames) {
    durable_ = outstanding_.front().end;
    waits_.add(now - outstanding_.front().since, now);
    outstanding_.pop_front();
  }
}

std::optional<env::Instant> AckLedger::oldest_outstanding() const {
  if (outstanding_.empty()) return std::nullopt;
  return outstanding_.front().since;
}

bool AckLedger::look(env::Instant now, env::Timestamp civil) {
  if (policy_ != RpoPolicy::Bounded) return false;
  if (!degraded_since_.has_value()) {
    if (outstanding_.empty() || now - outstanding_.front().since <= budget_) return false;
    degraded_since_ = civil;
    degraded_from_ = durable_;
    return true;
  }
  // Whatever was acknowledged too early is held by k vaults now; younger frames may wait their budget.
  if (durable_ < flushed_ || (!outstanding_.empty() && now - outstanding_.front().since > budget_)) return false;
  ended_ = exposure(civil);
  degraded_since_.reset();
  return true;
}

std::optional<format::LossExposure> AckLedger::exposure(env::Timestamp now) const {
  if (!degraded_since_.has_value() || flushed_ <= degraded_from_) return std::nullopt;
  format::LossExposure exposure;
  exposure.from = format::LogPosition(degraded_from_.value());
  exposure.to = format::LogPosition(flushed_.value());
  exposure.began_ns = degraded_since_->nanoseconds;
  exposure.ended_ns = now.nanoseconds;
  exposure.reason = "vaults did not confirm within the budget";
  return exposure;
}

pg::Lsn AckLedger::flush() {
  const pg::Lsn safe = is_degraded() ? std::max(durable_, spooled_) : durable_;
  flushed_ = std::max(flushed_, safe);
  return flushed_;
}

}  // namespace exclave::agent
