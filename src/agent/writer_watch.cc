#include "agent/writer_watch.h"

#include <algorithm>

namespace exclave::agent {

void WriterWatch::note_own(const format::StreamId& journal) {
  const MutexLock lock(mutex_);
  own_.insert(journal);
}

std::optional<std::string> WriterWatch::alarm() const {
  const MutexLock lock(mutex_);
  return alarm_;
}

void WriterWatch::look() {
  for (store::VaultApi* const vault : vaults_) {
    if (alarm().has_value()) return;
    const auto shown = vault->open_segments(registry_);
    if (shown.ok()) judge(vault->name(), strange_ones(shown.value()));
  }
}

std::vector<format::Mark> WriterWatch::strange_ones(const std::vector<store::OpenSegment>& shown) const {
  std::set<format::StreamId> own;
  {
    const MutexLock lock(mutex_);
    own = own_;
  }
  std::vector<format::Mark> strange;
  std::size_t verified = 0;
  for (const store::OpenSegment& segment : shown) {
    if (!segment.mark.has_value() || own.contains(segment.stream)) continue;
    const format::Mark& mark = segment.mark->mark;
    if (mark.place.stream != segment.stream || mark.at_seconds <= began_.seconds()) continue;
    if (++verified > kMostMarks) break;
    if (segment.mark->check_signature(writer_).ok()) strange.push_back(mark);
  }
  return strange;
}

void WriterWatch::judge(const std::string& vault, const std::vector<format::Mark>& strange) {
  const auto [first, is_first_look] = first_.try_emplace(vault);
  LastMarks& known = first->second;
  for (const format::Mark& mark : strange) {
    if (is_first_look) {
      std::int64_t& latest = known[mark.place.stream];
      latest = std::max(latest, mark.at_seconds);
      continue;
    }
    const auto before = known.find(mark.place.stream);
    if (before != known.end() && mark.at_seconds <= before->second) continue;
    const std::string text =
        "somebody else writes with this agent's key: " + format::to_string(mark.place) + ", which vault " + vault +
        " shows, was signed with it since this agent started, and is not this agent's: a copy of this "
        "home runs, or the key was stolen";
    env_.log.write(env::LogLevel::Error, text);
    const MutexLock lock(mutex_);
    alarm_ = text;
    return;
  }
}

}  // namespace exclave::agent
