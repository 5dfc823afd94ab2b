#include "posix/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <iostream>
#include <vector>

namespace exclave::posix {
namespace {

// In a process of its own: no more memory for the stacks of threads.
[[noreturn]] void start_threads_until_one_is_refused() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t kRoom = 64U << 20;
  const rlimit limit{pages * 4096 + kRoom, pages * 4096 + kRoom};
  ::setrlimit(RLIMIT_AS, &limit);
  Threads threads;
  auto stay = threads.make_monitor();
  bool may_end = false;
  std::vector<std::unique_ptr<env::Thread>> started;
  for (int i = 0; i < 1000; ++i) {
    auto thread = threads.start("sleeper", [&] {
      const env::MonitorLock lock(*stay);
      while (!may_end) stay->wait();
    });
    if (thread.ok()) {
      started.push_back(thread.take());
      continue;
    }
    {
      const env::MonitorLock lock(*stay);
      may_end = true;
      stay->notify_all();
    }
    started.clear();
    std::cerr << name_of(thread.error().code()) << ": " << thread.error().message();
    std::_Exit(7);
  }
  std::_Exit(1);
}

TEST(PosixThreads, one_that_cannot_be_started_is_an_error_and_the_others_live) {
#ifdef EXCLAVE_SANITIZED
  GTEST_SKIP() << "the sanitizer's shadow takes terabytes of addresses";
#endif
  EXPECT_EXIT(start_threads_until_one_is_refused(), ::testing::ExitedWithCode(7),
              "exhausted: thread 'sleeper' cannot be started");
}

}  // namespace
}  // namespace exclave::posix
