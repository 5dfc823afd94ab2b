// Bell: wakes one thread that waits for work. A ring is never lost: one that comes before the wait ends the wait at once.
// Hides: that a monitor forgets whom it notified while nobody waited.
//
// Each thread has its own, so that a ring wakes nobody else: a monitor that all share wakes all of them for each frame, and
// then they queue for its lock (measured: 31 switches of threads for one commit, and 11 with bells).
//
// Threads: ring from any, with or without another lock held; wait_until by its owner, with no lock held.
#pragma once

#include <memory>

#include "env/threads.h"

namespace exclave::spread::detail {

class Bell {
 public:
  explicit Bell(env::Threads& threads) : monitor_(threads.make_monitor()) {}

  void ring() {
    const env::MonitorLock lock(*monitor_);
    is_rung_ = true;
    monitor_->notify_all();
  }
  // Returns at a ring, at the deadline, or now and then for no reason.
  void wait_until(env::Instant deadline) {
    const env::MonitorLock lock(*monitor_);
    if (!is_rung_) monitor_->wait_until(deadline);
    is_rung_ = false;
  }
  void wait() {
    const env::MonitorLock lock(*monitor_);
    if (!is_rung_) monitor_->wait();
    is_rung_ = false;
  }

 private:
  const std::unique_ptr<env::Monitor> monitor_;
  bool is_rung_ = false;  // under monitor_
};

}  // namespace exclave::spread::detail
