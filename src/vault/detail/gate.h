// Gate: lets one thread at a time through a section that makes env calls, where a Mutex must not be held.
// Threads: any number wait; order of passing is not promised.
#pragma once

#include <memory>

#include "env/threads.h"

namespace exclave::vault::detail {

class Gate {
 public:
  explicit Gate(env::Threads& threads) : monitor_(threads.make_monitor()) {}

 private:
  friend class GatePass;
  const std::unique_ptr<env::Monitor> monitor_;
  bool busy_ = false;  // under monitor_
};

class GatePass {
 public:
  explicit GatePass(Gate& gate) : gate_(gate) {
    const env::MonitorLock lock(*gate_.monitor_);
    while (gate_.busy_) gate_.monitor_->wait();
    gate_.busy_ = true;
  }
  ~GatePass() {
    const env::MonitorLock lock(*gate_.monitor_);
    gate_.busy_ = false;
    gate_.monitor_->notify_all();
  }
  GatePass(const GatePass&) = delete;
  GatePass& operator=(const GatePass&) = delete;

 private:
  Gate& gate_;
};

}  // namespace exclave::vault::detail
