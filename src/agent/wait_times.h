// WaitTimes: how long commits have waited for the vaults lately: from when their log was sealed until k vaults held it.
// Hides: what is remembered.
//
// Units/limits: the last 1,024 frames, of those the ones of the last minute. A frame holds the commits that came together.
// Threads: a value; one at a time.
#pragma once

#include <array>
#include <optional>

#include "env/time.h"

namespace exclave::agent {

struct WaitSummary {
  std::size_t frames = 0;
  std::chrono::nanoseconds median{};
  std::chrono::nanoseconds slow{};  // 99 of 100 took no longer
  std::chrono::nanoseconds longest{};
};

class WaitTimes {
 public:
  void add(std::chrono::nanoseconds wait, env::Instant now);
  // nullopt: nothing was confirmed in the last minute.
  std::optional<WaitSummary> summary(env::Instant now) const;

 private:
  struct Wait {
    env::Instant at;
    std::chrono::nanoseconds time{};
  };
  std::array<Wait, 1024> waits_{};  // a ring
  std::size_t added_ = 0;
};

}  // namespace exclave::agent
