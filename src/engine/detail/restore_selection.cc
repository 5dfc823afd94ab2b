#include "engine/detail/restore_selection.h"

#include <algorithm>

namespace exclave::engine {
namespace {

bool lies_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return !path.empty();
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

}  // namespace

Result<RestoreSelection> RestoreSelection::parse(const std::vector<std::string>& paths) {
  RestoreSelection selection;
  for (std::string_view path : paths) {
    while (path.ends_with('/')) path.remove_suffix(1);
    while (path.starts_with("./")) path.remove_prefix(2);
    while (path.starts_with('/')) path.remove_prefix(1);
    if (path.empty() || path == ".") return RestoreSelection();
    selection.exact_.push_back(std::string(path));
    selection.patterns_.push_back(TRY(PathPattern::parse("/" + std::string(path))));
  }
  return selection;
}

bool RestoreSelection::chooses(std::string_view path, bool is_directory) {
  if (is_everything()) return true;
  if (!below_.empty() && path.starts_with(below_)) return true;
  below_.clear();
  for (std::size_t i = 0; i < exact_.size(); ++i) {
    if (path != exact_[i] && !patterns_[i].matches(path, is_directory)) continue;
    if (is_directory) below_ = std::string(path) + "/";
    return true;
  }
  return false;
}

Status RestoreSelection::pass(format::ListingEntry entry, const Sink& above, const Sink& chosen) {
  if (is_everything()) return chosen(std::move(entry));
  while (!above_.empty() && !lies_below(entry.path, above_.back().path)) above_.pop_back();
  given_ = std::min(given_, above_.size());
  const bool is_directory = entry.type == format::EntryType::Directory;
  if (!chooses(entry.path, is_directory)) {
    if (is_directory) above_.push_back(std::move(entry));
    return {};
  }
  for (; given_ < above_.size(); ++given_) TRY(above(above_[given_]));
  return chosen(std::move(entry));
}

}  // namespace exclave::engine
