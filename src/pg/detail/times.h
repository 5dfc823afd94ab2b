// PostgreSQL's time stamps: microseconds since 2000-01-01T00:00:00Z. Values from outside that ours cannot hold are
// brought to its ends. Threads: pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "env/time.h"

namespace exclave::pg::detail {

inline constexpr std::int64_t kMicrosecondsTo2000 = std::int64_t{946'684'800} * 1'000'000;

inline env::Timestamp from_microseconds_since_2000(std::int64_t value) {
  constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max() / 1'000 - kMicrosecondsTo2000;
  constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min() / 1'000 + kMicrosecondsTo2000;
  return {(std::clamp(value, kLowest, kHighest) + kMicrosecondsTo2000) * 1'000};
}
inline std::int64_t to_microseconds_since_2000(env::Timestamp time) {
  return time.nanoseconds / 1'000 - kMicrosecondsTo2000;
}

}  // namespace exclave::pg::detail
