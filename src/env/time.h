// Time as the project uses it: nanoseconds since 1970-01-01T00:00:00Z (no leap seconds), and a monotonic scale for
// deadlines. Hides: which clock is asked; that is env::Clock's.
//
// Units: both in nanoseconds, signed 64 bit: years 1678 to 2262.
// I1  What lies beyond, as a hostile vault's clock or a damaged file may say, becomes the nearest Timestamp or duration there
//     is: no arithmetic of Timestamps overflows.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "base/result.h"

namespace exclave::env {

// A point in civil time. Comes from clocks that may be wrong; never used to decide safety alone.
struct Timestamp {
  std::int64_t nanoseconds = 0;

  std::int64_t seconds() const {
    const std::int64_t floor_fix = nanoseconds % 1'000'000'000 < 0 ? 1 : 0;
    return nanoseconds / 1'000'000'000 - floor_fix;
  }
  static Timestamp from_seconds(std::int64_t s) {
    Timestamp time;
    return {__builtin_mul_overflow(s, std::int64_t{1'000'000'000}, &time.nanoseconds) ? furthest(s < 0)
                                                                                      : time.nanoseconds};
  }
  Timestamp operator+(std::chrono::nanoseconds d) const {
    Timestamp sum;
    return {__builtin_add_overflow(nanoseconds, d.count(), &sum.nanoseconds) ? furthest(d.count() < 0)
                                                                             : sum.nanoseconds};
  }
  std::chrono::nanoseconds operator-(Timestamp other) const {
    std::int64_t apart = 0;
    if (__builtin_sub_overflow(nanoseconds, other.nanoseconds, &apart))
      apart = furthest(nanoseconds < other.nanoseconds);
    return std::chrono::nanoseconds(apart);
  }
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;

 private:
  static constexpr std::int64_t furthest(bool is_back) {
    return is_back ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  }
};

// RFC 3339 in UTC with seconds: "2026-11-21T22:34:17Z". Parsing accepts exactly that form.
std::string to_rfc3339(Timestamp t);
Result<Timestamp> parse_rfc3339(std::string_view text);

// A point on the monotonic scale; deadlines are absolute.
struct Instant {
  std::int64_t nanoseconds = 0;
  Instant operator+(std::chrono::nanoseconds d) const { return {nanoseconds + d.count()}; }
  std::chrono::nanoseconds operator-(Instant other) const {
    return std::chrono::nanoseconds(nanoseconds - other.nanoseconds);
  }
  friend auto operator<=>(const Instant&, const Instant&) = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() = 0;
  virtual Instant monotonic() = 0;
  // CPU time of the calling thread, for stage tables; zero where the world has none (sim).
  virtual std::chrono::nanoseconds thread_cpu_time() { return {}; }
  // Blocks; returns early with Cancelled only when the machine dies (sim).
  virtual Status sleep_until(Instant deadline) = 0;
};

}  // namespace exclave::env
