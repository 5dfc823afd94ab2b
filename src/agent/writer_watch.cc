#include "agent/writer_watch.h"

#include <algorithm>

#include "env/at_once.h"

namespace exclave::agent {

void WriterWatch::is_ours(const format::StreamId& journal) {
  const MutexLock lock(mutex_);
  ours_.insert(journal);
}

std::optional<std::string> WriterWatch::alarm() const {
  const MutexLock lock(mutex_);
  return alarm_;
}

void WriterWatch::look() {
  env::at_once(
      env_.threads, vaults_.size(), [&](std::size_t i) { return "watch-" + vaults_[i]->name(); },
      [&](std::size_t i) {
        const auto shown = vaults_[i]->open_segments(registry_);
        if (shown.ok()) judge(vaults_[i]->name(), shown.value());
      });
}

bool WriterWatch::is_strange(const store::OpenSegment& segment) const {
  if (!segment.mark.has_value() || ours_.contains(segment.stream)) return false;
  const format::Mark& mark = segment.mark->mark;
  return mark.place.stream == segment.stream && mark.at_seconds > began_.seconds() &&
         segment.mark->check_signature(writer_).ok();
}

void WriterWatch::judge(const std::string& vault, const std::vector<store::OpenSegment>& shown) {
  const MutexLock lock(mutex_);
  const auto [first, is_first_look] = first_.try_emplace(vault);
  for (const store::OpenSegment& segment : shown) {
    if (alarm_.has_value()) return;
    if (!is_strange(segment)) continue;
    if (is_first_look) {
      first->second.push_back(*segment.mark);
    } else if (std::ranges::count(first->second, *segment.mark) == 0) {
      alarm_ =
          "somebody else writes with this agent's key: " + format::to_string(segment.mark->mark.place) +
          ", which vault " + vault +
          " shows, was signed with it since this agent started, and is not this agent's: a copy of this home runs, "
          "or the key was stolen";
      env_.log.write(env::LogLevel::Error, *alarm_);
    }
  }
}

}  // namespace exclave::agent
