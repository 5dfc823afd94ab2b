// What a server's error means for us: SQLSTATE to code and hint. Hides: the table. Threads: pure.
// Source: PostgreSQL 15 documentation, appendix A.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace exclave::pg::detail {

// `text`: the server's primary message, already cleaned; in the server's language, so only names that no translation
// touches are looked for in it. `role`: who we are, for hints.
Error error_for(std::string_view state, std::string text, std::string_view role);

// The SQLSTATE and the primary message in libpq's verbose text of a refused connection: "...: FATAL:  28000: no ...".
struct Refusal {
  std::string state;  // "" if no server spoke
  std::string text;
};
Refusal parse_refusal(std::string_view verbose);

}  // namespace exclave::pg::detail
