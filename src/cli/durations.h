// Durations on the command line that end up in documents: whole seconds, and never none.
// Errors: InvalidInput, with the option and the text.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace exclave::cli {

// 1 to `most` seconds (config/quantity.h says how they are written); parts of a second are refused, not dropped.
Result<std::int64_t> parse_seconds(std::string_view text, std::string_view option, std::int64_t most);

}  // namespace exclave::cli
