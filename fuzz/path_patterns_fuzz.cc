// Path patterns, as of exclude lists: the first line is the pattern, the rest the path. Refused, or matched as a plain
// reading of the grammar in engine/exclude.h says, which needs quadratic memory and no backtracking.
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "engine/exclude.h"

namespace {

using namespace exclave;  // a test program of one file

// One element of a glob: from `begin` to `end` in the text of the pattern.
struct Element {
  enum class Kind { Byte, AnyByte, Class, AnyRun, AnyDeepRun } kind = Kind::Byte;
  char byte = 0;
  std::string_view set;
};

std::vector<Element> elements_of(std::string_view glob) {
  std::vector<Element> elements;
  while (!glob.empty()) {
    std::size_t used = 1;
    if (glob.starts_with("**")) {
      elements.push_back({.kind = Element::Kind::AnyDeepRun, .set = {}});
      used = 2;
    } else if (glob[0] == '*') {
      elements.push_back({.kind = Element::Kind::AnyRun, .set = {}});
    } else if (glob[0] == '?') {
      elements.push_back({.kind = Element::Kind::AnyByte, .set = {}});
    } else if (glob[0] == '[') {
      const std::size_t first = glob.substr(1).starts_with('!') ? 2 : 1;
      const std::size_t close = glob.find(']', first + 1);  // a "]" first is literal
      CHECK(close != std::string_view::npos);
      elements.push_back({.kind = Element::Kind::Class, .set = glob.substr(1, close - 1)});
      used = close + 1;
    } else if (glob[0] == '\\' && glob.size() > 1) {
      elements.push_back({.byte = glob[1], .set = {}});
      used = 2;
    } else {
      elements.push_back({.byte = glob[0], .set = {}});
    }
    glob.remove_prefix(used);
  }
  return elements;
}

bool in_class(std::string_view set, char byte) {
  const bool negated = set.starts_with('!');
  if (negated) set.remove_prefix(1);
  bool found = false;
  while (!set.empty()) {
    const bool is_range = set.size() >= 3 && set[1] == '-';
    const auto low = static_cast<unsigned char>(set[0]), high = static_cast<unsigned char>(set[is_range ? 2 : 0]);
    const auto value = static_cast<unsigned char>(byte);
    found = found || (low <= value && value <= high);
    set.remove_prefix(is_range ? 3 : 1);
  }
  return found != negated && byte != '/';
}

// Which prefixes of the path the elements so far match.
bool whole_path_matches(const std::vector<Element>& elements, std::string_view path) {
  std::vector<bool> reached(path.size() + 1);
  reached[0] = true;
  for (const Element& element : elements) {
    const bool is_run = element.kind == Element::Kind::AnyRun || element.kind == Element::Kind::AnyDeepRun;
    std::vector<bool> next(path.size() + 1);
    for (std::size_t i = 0; i <= path.size(); ++i) {
      if (is_run && reached[i]) next[i] = true;
      if (i == path.size()) break;
      const char byte = path[i];
      switch (element.kind) {
        case Element::Kind::Byte:
          next[i + 1] = reached[i] && byte == element.byte;
          break;
        case Element::Kind::AnyByte:
          next[i + 1] = reached[i] && byte != '/';
          break;
        case Element::Kind::Class:
          next[i + 1] = reached[i] && in_class(element.set, byte);
          break;
        case Element::Kind::AnyRun:
          next[i + 1] = next[i] && byte != '/';
          break;
        case Element::Kind::AnyDeepRun:
          next[i + 1] = next[i];
          break;
      }
    }
    reached = std::move(next);
  }
  return reached[path.size()];
}

bool should_match(std::string_view pattern, std::string_view path, bool is_directory) {
  const bool anchored = pattern.starts_with('/');
  if (anchored) pattern.remove_prefix(1);
  if (pattern.ends_with('/')) {
    if (!is_directory) return false;
    pattern.remove_suffix(1);
  }
  const std::vector<Element> elements = elements_of(pattern);
  for (;;) {
    if (whole_path_matches(elements, path)) return true;
    const std::size_t slash = path.find('/');
    if (anchored || slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = as_text({data, size});
  const std::string_view pattern = input.substr(0, input.find('\n'));
  const auto parsed = engine::PathPattern::parse(pattern);
  if (!parsed.ok() || pattern.size() == input.size()) return 0;
  const std::string_view path = input.substr(pattern.size() + 1);
  if (pattern.size() > 256 || path.size() > 256) return 0;
  for (const bool is_directory : {false, true}) {
    CHECK(parsed.value().matches(path, is_directory) == should_match(pattern, path, is_directory));
  }
  return 0;
}
