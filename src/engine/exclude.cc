#include "engine/exclude.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::engine {
namespace {

// Index behind the class that starts at glob[at] == '[', or npos if it is never closed.
std::size_t class_end(std::string_view glob, std::size_t at) {
  std::size_t i = at + 1;
  if (i < glob.size() && glob[i] == '!') ++i;
  if (i < glob.size() && glob[i] == ']') ++i;  // a "]" first is literal
  while (i < glob.size() && glob[i] != ']') ++i;
  return i < glob.size() ? i + 1 : std::string_view::npos;
}

bool class_matches(std::string_view set, char c) {  // without brackets
  bool negated = false;
  if (!set.empty() && set.front() == '!') {
    negated = true;
    set.remove_prefix(1);
  }
  const auto value = static_cast<unsigned char>(c);
  bool found = false;
  for (std::size_t i = 0; i < set.size(); ++i) {
    const auto low = static_cast<unsigned char>(set[i]);
    if (i + 2 < set.size() && set[i + 1] == '-') {
      found = found || (value >= low && value <= static_cast<unsigned char>(set[i + 2]));
      i += 2;
    } else {
      found = found || value == low;
    }
  }
  return found != negated && c != '/';
}

// Iterative with two backtracking points (for "*" and "**"): at worst |glob| * |text| * 2 steps.
bool glob_matches(std::string_view glob, std::string_view text) {
  struct Mark {
    std::size_t glob = std::string_view::npos;
    std::size_t text = 0;
  };
  Mark star, deep;
  std::size_t g = 0, t = 0;
  while (true) {
    if (g < glob.size() && glob[g] == '*') {
      if (g + 1 < glob.size() && glob[g + 1] == '*') {
        g += 2;
        deep = {g, t};
        star = {};
      } else {
        ++g;
        star = {g, t};
      }
      continue;
    }
    bool same = false;
    std::size_t next = g + 1;
    if (g < glob.size() && t < text.size()) {
      if (glob[g] == '?') {
        same = text[t] != '/';
      } else if (glob[g] == '[') {
        next = class_end(glob, g);
        same = class_matches(glob.substr(g + 1, next - g - 2), text[t]);
      } else if (glob[g] == '\\' && g + 1 < glob.size()) {
        next = g + 2;
        same = glob[g + 1] == text[t];
      } else {
        same = glob[g] == text[t];
      }
    }
    if (same) {
      g = next;
      ++t;
      continue;
    }
    if (g == glob.size() && t == text.size()) return true;
    if (star.glob != std::string_view::npos && star.text < text.size() && text[star.text] != '/') {
      g = star.glob;
      t = ++star.text;
    } else if (deep.glob != std::string_view::npos && deep.text < text.size()) {
      g = deep.glob;
      t = ++deep.text;
      star = {};
    } else {
      return false;
    }
  }
}

}  // namespace

Result<PathPattern> PathPattern::parse(std::string_view pattern) {
  PathPattern parsed;
  const auto bad = [&](std::string_view why) {
    return Error(Code::InvalidInput, "pattern '" + printable(pattern) + "' " + std::string(why));
  };
  std::string_view rest = pattern;
  if (rest.starts_with('/')) {
    parsed.anchored_ = true;
    rest.remove_prefix(1);
  }
  if (rest.ends_with('/')) {
    parsed.directories_only_ = true;
    rest.remove_suffix(1);
  }
  if (rest.empty()) return bad("is empty");
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
    } else if (rest[i] == '[') {
      const std::size_t end = class_end(rest, i);
      if (end == std::string_view::npos) return bad("has a '[' that is never closed");
      i = end - 1;
    }
  }
  parsed.glob_ = std::string(rest);
  return parsed;
}

bool PathPattern::matches(std::string_view path, bool is_directory) const {
  if (directories_only_ && !is_directory) return false;
  if (anchored_) return glob_matches(glob_, path);
  // At any depth: try every suffix that starts at a component.
  while (true) {
    if (glob_matches(glob_, path)) return true;
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

Result<ExcludeList> ExcludeList::parse(const std::vector<std::string>& patterns) {
  ExcludeList list;
  for (const std::string& pattern : patterns) list.patterns_.push_back(TRY(PathPattern::parse(pattern)));
  return list;
}

bool ExcludeList::excludes(std::string_view path, bool is_directory) const {
  return std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const PathPattern& pattern) { return pattern.matches(path, is_directory); });
}

}  // namespace exclave::engine
