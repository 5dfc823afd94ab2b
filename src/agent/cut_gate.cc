#include "agent/cut_gate.h"

#include <algorithm>

namespace exclave::agent {

bool CutGate::is_holding() const {
  return cut_.has_value() && clock_.monotonic() < until_;
}

void CutGate::connected(pg::Timeline timeline, pg::Lsn server_end) {
  const MutexLock lock(mutex_);
  is_connected_ = true;
  timeline_ = timeline;
  proven_from_ = server_end;
  position_ = pg::Lsn(0);
  cut_.reset();
}

void CutGate::unproven_below(pg::Lsn end) {
  const MutexLock lock(mutex_);
  proven_from_ = std::max(proven_from_, end);
}

void CutGate::disconnected() {
  const MutexLock lock(mutex_);
  is_connected_ = false;
  is_trusted_ = false;
  cut_.reset();
}

void CutGate::set_trusted(bool trusted) {
  const MutexLock lock(mutex_);
  if (is_trusted_ == trusted) return;
  is_trusted_ = trusted;
  // What was acknowledged meanwhile was acknowledged without the vaults: a hold does not vouch for it.
  if (!trusted) cut_.reset();
}

Result<HeldPosition> CutGate::hold(const format::CutId& cut) {
  const MutexLock lock(mutex_);
  const env::Instant now = clock_.monotonic();
  if (!is_connected_) return Error(Code::Precondition, "the server is not connected");
  if (!is_trusted_) return Error(Code::Precondition, "commits do not wait for the vaults alone");
  if (position_ < proven_from_) {
    return Error(Code::Precondition, "order is unproven up to " + pg::to_text(proven_from_) +
                                         ": the server had this when it connected, and it is not acknowledged yet");
  }
  if (is_holding()) return Error(Code::Conflict, "held for another cut");
  if (last_hold_.has_value() && now - *last_hold_ < kHoldsApart)
    return Error(Code::Conflict, "the last cut was less than a second ago");
  cut_ = cut;
  until_ = now + kLongestHold;
  last_hold_ = now;
  return HeldPosition{timeline_, position_};
}

HoldEnd CutGate::release(const format::CutId& cut) {
  bool held = false;
  {
    const MutexLock lock(mutex_);
    held = is_connected_ && is_trusted_ && cut_ == cut && is_holding();
    if (cut_ == cut) cut_.reset();
  }
  if (on_release_) on_release_();
  return held ? HoldEnd::Held : HoldEnd::Expired;
}

}  // namespace exclave::agent
