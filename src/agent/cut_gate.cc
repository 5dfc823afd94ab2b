#include "agent/cut_gate.h"

#include <algorithm>
#include <utility>

namespace exclave::agent {

bool CutGate::is_holding() const {
  return hold_.has_value() && clock_.monotonic() < until_;
}

void CutGate::connected(pg::Timeline timeline, pg::Lsn server_end) {
  const MutexLock lock(mutex_);
  is_connected_ = true;
  timeline_ = timeline;
  proven_from_ = std::max(proven_from_, server_end);
  position_ = pg::Lsn(0);
  hold_.reset();
}

void CutGate::unproven_below(pg::Lsn end) {
  const MutexLock lock(mutex_);
  proven_from_ = std::max(proven_from_, end);
}

void CutGate::disconnected() {
  const MutexLock lock(mutex_);
  is_connected_ = false;
  is_trusted_ = false;
  proven_from_ = pg::Lsn();
  hold_.reset();
}

void CutGate::set_trusted(bool trusted) {
  const MutexLock lock(mutex_);
  if (is_trusted_ == trusted) return;
  is_trusted_ = trusted;
  // What was acknowledged meanwhile was acknowledged without the vaults: a hold does not vouch for it.
  if (!trusted) hold_.reset();
}

Result<HeldPosition> CutGate::hold(const format::CutId& cut) {
  const MutexLock lock(mutex_);
  const env::Instant now = clock_.monotonic();
  if (!is_connected_) return Error(Code::Precondition, "the server is not connected");
  if (!is_trusted_)
    return Error(Code::Precondition, "commits do not wait for the vaults alone, or the vaults lack some that did not");
  if (position_ < proven_from_) {
    return Error(Code::Precondition, "order is unproven up to " + pg::to_text(proven_from_) +
                                         ": the server had this when it connected, and it is not acknowledged yet");
  }
  if (now < settles_at_)
    return Error(Code::Precondition, "the server has loaded its settings a moment ago: commits may not wait yet");
  if (is_holding()) return Error(Code::Conflict, "held for another cut");
  if (last_hold_.has_value() && now - *last_hold_ < kHoldsApart)
    return Error(Code::Conflict, "the last cut was less than a second ago");
  hold_ = Hold{cut, {timeline_, position_}, settings_};
  until_ = now + kLongestHold;
  last_hold_ = now;
  return hold_->position;
}

HoldEnd CutGate::release(const format::CutId& cut) {
  bool held = false;
  {
    const MutexLock lock(mutex_);
    const bool is_this = hold_.has_value() && hold_->cut == cut;
    held = is_connected_ && is_trusted_ && is_this && is_holding();
    if (held) held_ = hold_;
    if (is_this) hold_.reset();
  }
  if (on_release_) on_release_();
  return held ? HoldEnd::Held : HoldEnd::Expired;
}

void CutGate::saw_settings(const std::string& loaded) {
  const MutexLock lock(mutex_);
  settings_ = loaded;
}

void CutGate::unproven_until(env::Instant time) {
  const MutexLock lock(mutex_);
  settles_at_ = std::max(settles_at_, time);
}

Status CutGate::look_for_held(const format::CutId& cut) const {
  if (held_.has_value() && held_->cut == cut) return {};
  return Error(Code::Precondition, "this cut was not held here");
}

Status CutGate::check_held(const format::CutId& cut) {
  const MutexLock lock(mutex_);
  return look_for_held(cut);
}

Status CutGate::confirm(const format::CutId& cut, const std::string& loaded, bool is_waited_for) {
  const MutexLock lock(mutex_);
  TRY(look_for_held(cut));
  const Hold held = *std::exchange(held_, std::nullopt);
  if (held.settings != loaded) {
    return Error(Code::Precondition,
                 "the server loaded its settings meanwhile: commits may not have waited for the vaults all the time");
  }
  if (!is_waited_for) return Error(Code::Precondition, "commits do not wait for the vaults alone");
  confirmed_ = held;
  return {};
}

Status CutGate::admit(const format::CutId& cut, const HeldPosition& position) {
  const MutexLock lock(mutex_);
  const bool is_it = confirmed_.has_value() && confirmed_->cut == cut && confirmed_->position == position;
  if (!is_it) return Error(Code::Precondition, "no such cut was held here and confirmed, at this position");
  confirmed_.reset();
  return {};
}

}  // namespace exclave::agent
