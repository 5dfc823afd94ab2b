// Names that go into commands. Threads: pure.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/result.h"

namespace exclave::pg::detail {

// What PostgreSQL allows as the name of a slot; nothing in it needs quoting.
inline Status check_slot_name(std::string_view name) {
  constexpr std::size_t kMaximumBytes = 63;
  const bool is_fine = !name.empty() && name.size() <= kMaximumBytes &&
                       std::all_of(name.begin(), name.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (is_fine) return {};
  return Error(Code::InvalidInput, "a slot's name has 1 to 63 characters of a-z, 0-9 and _");
}

// A string constant; also right where backslashes are ordinary characters.
inline std::string quoted_literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += c;
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace exclave::pg::detail
