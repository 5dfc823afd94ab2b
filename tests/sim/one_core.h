// OneCore: keeps the calling thread, and every thread it starts from now on, on the core it is on, until destroyed.
// Actors run one at a time, so a second core only makes handing the baton on dearer: half of a run's wall time, measured
// on two cores. Where the kernel refuses, all goes on as before.
// Threads: made and destroyed by one thread.
#pragma once

#include <sched.h>

namespace exclave::realm_tests {

class OneCore {
 public:
  OneCore() {
    const int core = ::sched_getcpu();
    if (core < 0 || core >= CPU_SETSIZE || ::sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(static_cast<unsigned>(core), &only);
    is_set_ = ::sched_setaffinity(0, sizeof(only), &only) == 0;
  }
  OneCore(const OneCore&) = delete;
  OneCore& operator=(const OneCore&) = delete;
  ~OneCore() {
    if (is_set_) static_cast<void>(::sched_setaffinity(0, sizeof(before_), &before_));
  }

 private:
  cpu_set_t before_{};
  bool is_set_ = false;
};

}  // namespace exclave::realm_tests
