// LeaveInTime: while it lives, after kLeaveAfter calls `leave`, so that no silent vault keeps the daemon.
#pragma once

#include <functional>
#include <memory>

#include "env/env.h"

namespace exclave::agent::detail {

class LeaveInTime {
 public:
  // Both outlive it. `leave` is called at once if no thread is to be had.
  LeaveInTime(env::Env& env, const std::function<void()>& leave);
  ~LeaveInTime();
  LeaveInTime(const LeaveInTime&) = delete;
  LeaveInTime& operator=(const LeaveInTime&) = delete;

 private:
  const std::unique_ptr<env::Monitor> monitor_;
  bool done_ = false;  // under monitor_
  std::unique_ptr<env::Thread> thread_;
};

}  // namespace exclave::agent::detail
