// Clock on the real system, and how far away a deadline is.
// Hides: CLOCK_REALTIME and CLOCK_MONOTONIC; env::Instant is the latter, so it stands still while the machine sleeps.
// Threads: any.
#pragma once

#include <time.h>

#include "env/time.h"

namespace exclave::posix {

env::Instant monotonic_now();

// For poll-like calls: the time left until `deadline`, zero if it passed.
timespec time_left(env::Instant deadline);

class Clock : public env::Clock {
 public:
  env::Timestamp now() override;
  env::Instant monotonic() override { return monotonic_now(); }
  std::chrono::nanoseconds thread_cpu_time() override;
  Status sleep_until(env::Instant deadline) override;
};

}  // namespace exclave::posix
