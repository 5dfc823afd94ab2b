#include "agent/detail/leave_in_time.h"

#include "agent/agent.h"

namespace exclave::agent::detail {

LeaveInTime::LeaveInTime(env::Env& env, const std::function<void()>& leave) : monitor_(env.threads.make_monitor()) {
  auto thread = env.threads.start("leave", [this, &env, &leave] {
    const env::Instant deadline = env.clock.monotonic() + kLeaveAfter;
    {
      const env::MonitorLock lock(*monitor_);
      while (!done_ && env.clock.monotonic() < deadline) monitor_->wait_until(deadline);
      if (done_) return;
    }
    leave();
  });
  if (thread.ok()) {
    thread_ = thread.take();
  } else {
    leave();
  }
}

LeaveInTime::~LeaveInTime() {
  {
    const env::MonitorLock lock(*monitor_);
    done_ = true;
    monitor_->notify_all();
  }
  if (thread_ != nullptr) thread_->join();
}

}  // namespace exclave::agent::detail
