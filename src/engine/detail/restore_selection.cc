#include "engine/detail/restore_selection.h"

namespace exclave::engine {

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

}  // namespace exclave::engine
