#include "agent/wait_times.h"

#include <algorithm>
#include <vector>

namespace exclave::agent {

constexpr std::chrono::minutes kLately(1);

void WaitTimes::add(std::chrono::nanoseconds wait, env::Instant now) {
  waits_[added_++ % waits_.size()] = {now, wait};
}

std::optional<WaitSummary> WaitTimes::summary(env::Instant now) const {
  std::vector<std::chrono::nanoseconds> lately;
  for (std::size_t i = 0; i < std::min(added_, waits_.size()); ++i) {
    if (now - waits_[i].at <= kLately) lately.push_back(waits_[i].time);
  }
  if (lately.empty()) return std::nullopt;
  std::sort(lately.begin(), lately.end());
  return WaitSummary{lately.size(), lately[lately.size() / 2], lately[(lately.size() * 99 + 99) / 100 - 1],
                     lately.back()};
}

}  // namespace exclave::agent
