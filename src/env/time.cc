#include "env/time.h"

#include <fmt/format.h>

#include "base/text.h"

namespace exclave::env {
namespace {

// Days since 1970-01-01 of a proleptic Gregorian date.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  const auto ymd = std::chrono::year_month_day(std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                               std::chrono::day(day));
  return std::chrono::sys_days(ymd).time_since_epoch().count();
}

}  // namespace

std::string to_rfc3339(Timestamp t) {
  const std::int64_t seconds = t.seconds();
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
  const auto date = std::chrono::year_month_day(days);
  const std::int64_t rest = seconds - std::chrono::sys_seconds(days).time_since_epoch().count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), rest / 3600,
                     rest / 60 % 60, rest % 60);
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
  const Error bad(Code::InvalidInput, "'" + printable(text) + "' is not a time of the form 2026-11-21T22:34:17Z");
  if (text.size() != 20) return bad;
  const auto digits = [&](std::size_t from, std::size_t count) {
    std::int64_t value = 0;
    for (std::size_t i = from; i < from + count; ++i) {
      if (text[i] < '0' || text[i] > '9') return std::int64_t{-1};
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  const std::int64_t year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  const std::int64_t hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
  if (year < 1700 || year > 2261 || month < 1 || day < 1 || hour < 0 || minute < 0 || second < 0) return bad;
  const Timestamp t =
      Timestamp::from_seconds(days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) * 86400 +
                              hour * 3600 + minute * 60 + second);
  if (to_rfc3339(t) != text) return bad;  // also refuses 31 February, 24:00 and wrong separators
  return t;
}

}  // namespace exclave::env
