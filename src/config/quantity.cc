#include "config/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/checked.h"
#include "base/text.h"

namespace exclave::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor = 1;  // in bytes, or milliseconds
};

constexpr std::uint64_t kK = 1000;
constexpr std::array<Unit, 11> kSizes = {{{"B", 1},
                                          {"kB", kK},
                                          {"MB", kK* kK},
                                          {"GB", kK* kK* kK},
                                          {"TB", kK* kK* kK* kK},
                                          {"PB", kK* kK* kK* kK* kK},
                                          {"KiB", std::uint64_t{1} << 10},
                                          {"MiB", std::uint64_t{1} << 20},
                                          {"GiB", std::uint64_t{1} << 30},
                                          {"TiB", std::uint64_t{1} << 40},
                                          {"PiB", std::uint64_t{1} << 50}}};

constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kDay = 24 * 3600 * kSecond;
constexpr std::uint64_t kMaxDuration = 100'000 * kDay;
constexpr std::array<Unit, 9> kDurations = {{{"ms", 1},
                                             {"s", kSecond},
                                             {"min", 60 * kSecond},
                                             {"h", 3600 * kSecond},
                                             {"d", kDay},
                                             {"day", kDay},
                                             {"days", kDay},
                                             {"week", 7 * kDay},
                                             {"weeks", 7 * kDay}}};

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kMaxDecimals = 3;

// number * unit as a whole number, or an error without context.
Result<std::uint64_t> parse(std::string_view text, std::span<const Unit> units) {
  const Error malformed(Code::InvalidInput, "malformed");
  const std::string_view whole = text.substr(0, std::min(text.find_first_not_of(kDigits), text.size()));
  text.remove_prefix(whole.size());
  std::string_view decimals;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    decimals = text.substr(0, std::min(text.find_first_not_of(kDigits), text.size()));
    if (decimals.empty() || decimals.size() > kMaxDecimals) return malformed;
    text.remove_prefix(decimals.size());
  }
  if (text.starts_with(' ')) text.remove_prefix(1);
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == text; });
  if (unit == units.end()) return malformed;

  const std::uint64_t whole_units = TRY(parse_u64(whole));
  std::uint64_t thousandths = 0;
  for (std::size_t i = 0; i < kMaxDecimals; ++i) {
    thousandths = thousandths * 10 + (i < decimals.size() ? static_cast<std::uint64_t>(decimals[i] - '0') : 0);
  }
  const std::uint64_t product = TRY(checked_multiply(whole_units, unit->factor));
  // factor <= 2^50 and thousandths < 2^10: no overflow.
  if (thousandths * unit->factor % 1000 != 0) return malformed;
  return checked_add(product, thousandths * unit->factor / 1000);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const Result<std::uint64_t> bytes = parse(text, kSizes);
  if (bytes.ok()) return bytes.value();
  return Error(Code::InvalidInput,
               fmt::format("'{}' is not a size with a unit, such as \"20 GB\" or \"512 MiB\"", printable(text)));
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const Result<std::uint64_t> milliseconds = parse(text, kDurations);
  if (milliseconds.ok() && milliseconds.value() <= kMaxDuration) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds.value()));
  }
  return Error(Code::InvalidInput,
               fmt::format("'{}' is not a duration with a unit, such as \"90 s\" or \"7 days\"", printable(text)));
}

}  // namespace exclave::config
