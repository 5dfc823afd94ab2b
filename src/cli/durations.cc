#include "cli/durations.h"

#include <string>

#include "base/text.h"
#include "config/quantity.h"

namespace exclave::cli {

Result<std::int64_t> parse_seconds(std::string_view text, std::string_view option, std::int64_t most) {
  constexpr std::int64_t kDaySeconds = 86400;
  const auto duration = TRY(config::parse_duration(text).in([&] { return std::string(option); }));
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(duration);
  if (whole == duration && whole.count() >= 1 && whole.count() <= most) return std::int64_t{whole.count()};
  const std::string longest =
      most % kDaySeconds == 0 ? std::to_string(most / kDaySeconds) + " days" : std::to_string(most) + " s";
  return Error(Code::InvalidInput, std::string(option) + ": '" + printable(text) +
                                       "' is not a whole number of seconds from 1 s to " + longest);
}

}  // namespace exclave::cli
