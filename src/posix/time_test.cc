#include "posix/time.h"

#include <gtest/gtest.h>

#include <limits>

namespace exclave::posix {
namespace {

TEST(TimeTest, time_left_is_never_negative) {
  for (const env::Instant passed :
       {env::Instant{std::numeric_limits<std::int64_t>::min()}, env::Instant{}, monotonic_now()}) {
    const timespec left = time_left(passed);
    EXPECT_EQ(left.tv_sec, 0);
    EXPECT_EQ(left.tv_nsec, 0);
  }
}

TEST(TimeTest, time_left_until_the_end_of_time_fits) {
  const timespec left = time_left({std::numeric_limits<std::int64_t>::max()});
  EXPECT_GT(left.tv_sec, 1'000'000'000);
  EXPECT_GE(left.tv_nsec, 0);
  EXPECT_LT(left.tv_nsec, 1'000'000'000);
}

TEST(TimeTest, cpu_time_counts_work_and_not_waiting) {
  Clock clock;
  const auto begin = clock.thread_cpu_time();
  ASSERT_TRUE(clock.sleep_until(clock.monotonic() + std::chrono::milliseconds(200)).ok());
  const auto after_waiting = clock.thread_cpu_time();
  EXPECT_LT(after_waiting - begin, std::chrono::milliseconds(100));
  // Ends only if this thread's own work moves the clock.
  while (clock.thread_cpu_time() - after_waiting < std::chrono::milliseconds(5)) {
  }
}

}  // namespace
}  // namespace exclave::posix
