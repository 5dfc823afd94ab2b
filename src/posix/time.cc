#include "posix/time.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"

namespace exclave::posix {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t read_clock(clockid_t clock) {
  timespec time{};
  CHECK(::clock_gettime(clock, &time) == 0);  // these clocks always exist
  return time.tv_sec * kSecond + time.tv_nsec;
}

timespec to_timespec(std::int64_t nanoseconds) {
  return {nanoseconds / kSecond, nanoseconds % kSecond};
}

}  // namespace

env::Instant monotonic_now() {
  return {read_clock(CLOCK_MONOTONIC)};
}

timespec time_left(env::Instant deadline) {
  const env::Instant now = monotonic_now();
  return deadline <= now ? timespec{} : to_timespec((deadline - now).count());
}

std::chrono::nanoseconds Clock::thread_cpu_time() {
  return std::chrono::nanoseconds(read_clock(CLOCK_THREAD_CPUTIME_ID));
}

env::Timestamp Clock::now() {
  return {read_clock(CLOCK_REALTIME)};
}

Status Clock::sleep_until(env::Instant deadline) {
  const timespec until = to_timespec(std::max<std::int64_t>(deadline.nanoseconds, 0));
  int error = EINTR;
  while (error == EINTR) error = ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  CHECK(error == 0);
  return {};
}

}  // namespace exclave::posix
