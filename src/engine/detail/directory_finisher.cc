#include "engine/detail/directory_finisher.h"

#include "base/text.h"
#include "engine/detail/tree_walker.h"

namespace exclave::engine {

Status DirectoryFinisher::add(const format::ListingEntry& entry) {
  TRY(leave_until(entry.path));
  waiting_.push_back({entry, nullptr});
  return {};
}

Status DirectoryFinisher::finish() {
  while (!waiting_.empty()) TRY(leave());
  return {};
}

Status DirectoryFinisher::leave_until(std::string_view path) {
  while (!waiting_.empty()) {
    const std::string& open = waiting_.back().entry.path;
    if (open.empty() || (path.starts_with(open) && path.size() > open.size() && path[open.size()] == '/')) return {};
    TRY(leave());
  }
  return {};
}

// Opens the deepest directory, and those just above it for the next calls: one descent serves kOpenLevels of them.
Status DirectoryFinisher::open_last() {
  std::shared_ptr<env::Directory> at = root_;
  std::string_view below;  // the path of `at`
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    Waiting& level = waiting_[i];
    if (level.directory == nullptr || i + kOpenLevels < waiting_.size()) {
      const std::string_view rest = std::string_view(level.entry.path).substr(below.empty() ? 0 : below.size());
      for (const std::string_view step : split(rest, '/')) {
        if (!step.empty()) at = std::shared_ptr<env::Directory>(TRY(at->open_directory(step)));
      }
      if (i + kOpenLevels >= waiting_.size()) level.directory = at;
    } else {
      at = level.directory;
    }
    below = level.entry.path;
  }
  return {};
}

Status DirectoryFinisher::leave() {
  if (waiting_.back().directory == nullptr) TRY(open_last());
  const Waiting last = std::move(waiting_.back());
  waiting_.pop_back();
  Status applied =
      attributes_.apply(last.entry.path, attributes_.attributes_for(last.entry),
                        [&](const env::FileAttributes& wanted) { return last.directory->set_own_attributes(wanted); });
  if (!applied.ok()) findings_.note_problem(last.entry.path, applied.error().message());
  return {};
}

}  // namespace exclave::engine
