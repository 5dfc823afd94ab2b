#include "agent/kept_cuts.h"

#include <algorithm>

namespace exclave::agent {
namespace {

constexpr std::size_t kMostGroups = 64;
constexpr std::chrono::milliseconds kCutLook(5);

}  // namespace

Status KeptCuts::keep(const format::Cut& cut, env::Instant deadline) {
  const env::Instant handed_in = clock_.monotonic();
  {
    const MutexLock lock(mutex_);
    on_their_way_.push_back({cut, std::nullopt, 0});
  }
  wake_();
  const auto is_it = [&](const OnItsWay& each) { return each.cut.id == cut.id; };
  Status slept;
  while (slept.ok() && clock_.monotonic() < deadline) {
    slept = clock_.sleep_until(clock_.monotonic() + kCutLook);
    const MutexLock lock(mutex_);
    if (std::any_of(on_their_way_.begin(), on_their_way_.end(), is_it)) continue;
    // Names come from coordinators: no list of them grows for ever.
    if (newest_.size() >= kMostGroups && !newest_.contains(cut.group)) newest_.clear();
    newest_.insert_or_assign(cut.group, Newest{cut, handed_in});
    return {};
  }
  const MutexLock lock(mutex_);
  std::erase_if(on_their_way_, is_it);
  return Error(Code::Unavailable, "cut " + cut.id.hex().substr(0, 12) + " is not durable in time");
}

std::optional<KeptCuts::Newest> KeptCuts::newest(const std::string& group) const {
  const MutexLock lock(mutex_);
  const auto found = newest_.find(group);
  if (found == newest_.end()) return std::nullopt;
  return found->second;
}

std::vector<format::Cut> KeptCuts::to_write(std::uint64_t journal, std::uint64_t durable) {
  const MutexLock lock(mutex_);
  const auto is_in_it = [&](const OnItsWay& each) { return each.frame.has_value() && each.journal == journal; };
  std::erase_if(on_their_way_, [&](const OnItsWay& each) { return is_in_it(each) && each.frame->value() < durable; });
  std::vector<format::Cut> waiting;
  for (const OnItsWay& each : on_their_way_) {
    if (!is_in_it(each)) waiting.push_back(each.cut);
  }
  return waiting;
}

void KeptCuts::written(const format::CutId& cut, std::uint64_t journal, format::FrameNumber frame) {
  const MutexLock lock(mutex_);
  for (OnItsWay& each : on_their_way_) {
    if (each.cut.id != cut) continue;
    each.frame = frame;
    each.journal = journal;
  }
}

}  // namespace exclave::agent
