#include "pg/lsn.h"

#include <fmt/format.h>

#include <bit>
#include <optional>

namespace exclave::pg {
namespace {

constexpr std::uint64_t kSmallestSegment = std::uint64_t{1} << 20;
constexpr std::uint64_t kLargestSegment = std::uint64_t{1} << 30;
constexpr std::size_t kDigits = 8;
constexpr std::string_view kHistorySuffix = ".history";

// Upper-case hexadecimal, nothing else.
std::optional<std::uint32_t> parse_hex(std::string_view text) {
  if (text.empty() || text.size() > kDigits) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

Error not_a_wal_file() {
  return Error(Code::InvalidInput, "not the name of a WAL segment or timeline history");
}

}  // namespace

std::string to_text(Lsn position) {
  return fmt::format("{:X}/{:X}", position.value() >> 32, position.value() & 0xffffffff);
}

Result<Lsn> parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return Error(Code::InvalidInput, "not a WAL position: no '/'");
  const std::string_view parts[] = {text.substr(0, slash), text.substr(slash + 1)};
  std::uint64_t value = 0;
  for (const std::string_view part : parts) {
    const auto number = parse_hex(part);
    const bool is_padded = part.size() > 1 && part.front() == '0';
    if (!number || is_padded) return Error(Code::InvalidInput, "not a WAL position like 16/B374D848");
    value = value << 32 | *number;
  }
  return Lsn(value);
}

std::string to_text(Timeline timeline) {
  return fmt::format("{}", timeline.value());
}

std::string to_text(SystemIdentifier id) {
  return fmt::format("{}", id.value());
}

Result<SegmentSize> SegmentSize::of(std::uint64_t bytes) {
  if (bytes < kSmallestSegment || bytes > kLargestSegment || !std::has_single_bit(bytes)) {
    return Error(Code::InvalidInput, fmt::format("{} bytes is not a WAL segment size", bytes));
  }
  SegmentSize size;
  size.bytes_ = bytes;
  return size;
}

std::string wal_file_name(Timeline timeline, Lsn position, SegmentSize size) {
  const std::uint64_t per_id = (std::uint64_t{1} << 32) / size.bytes();
  const std::uint64_t segment = position.value() / size.bytes();
  return fmt::format("{:08X}{:08X}{:08X}", timeline.value(), segment / per_id, segment % per_id);
}

std::string history_file_name(Timeline timeline) {
  return fmt::format("{:08X}{}", timeline.value(), kHistorySuffix);
}

Result<WalFileName> parse_wal_file_name(std::string_view name, SegmentSize size) {
  if (name.size() != kDigits + kHistorySuffix.size() && name.size() != 3 * kDigits) return not_a_wal_file();
  const auto timeline = parse_hex(name.substr(0, kDigits));
  if (!timeline || *timeline == 0) return not_a_wal_file();
  if (name.size() == kDigits + kHistorySuffix.size()) {
    if (name.substr(kDigits) != kHistorySuffix) return not_a_wal_file();
    return WalFileName(HistoryFile{Timeline(*timeline)});
  }
  const auto high = parse_hex(name.substr(kDigits, kDigits));
  const auto low = parse_hex(name.substr(2 * kDigits));
  const std::uint64_t per_id = (std::uint64_t{1} << 32) / size.bytes();
  if (!high || !low || *low >= per_id) return not_a_wal_file();
  return WalFileName(SegmentFile{Timeline(*timeline), Lsn((std::uint64_t{*high} << 32) + *low * size.bytes())});
}

}  // namespace exclave::pg
