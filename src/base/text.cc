#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace exclave {
namespace {

struct Sequence {
  std::size_t length = 0;  // 0: no valid UTF-8 stands here
  std::uint32_t code_point = 0;
};

// The UTF-8 sequence at the start of `text` (overlong ones and surrogates are none).
Sequence first_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {1, lead};
  std::size_t length = 0;
  unsigned minimum = 0;
  unsigned value = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, minimum = 0x80, value = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, minimum = 0x800, value = lead & 0x0f;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, minimum = 0x10000, value = lead & 0x07;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (at(i) & 0x3f);
  }
  if (value < minimum || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {length, value};
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
// What nobody sees, or what makes other text look different from what it is: controls, every space but U+0020, format
// characters (of direction, joining, tags), what is drawn as nothing. The list of docs/formats/signed-text.md, ascending.
constexpr std::array<Range, 30> kUnseen = {{
    {0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},
    {0x61c, 0x61c},     {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
    {0x115f, 0x1160},   {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x2000, 0x200f},
    {0x2028, 0x202f},   {0x205f, 0x206f},   {0x2800, 0x2800},   {0x3000, 0x3000},   {0x3164, 0x3164},
    {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
}};

bool is_unseen(std::uint32_t code_point) {
  const auto ends_before = [](const Range& range, std::uint32_t wanted) { return range.last < wanted; };
  const auto* const at = std::lower_bound(kUnseen.begin(), kUnseen.end(), code_point, ends_before);
  return at != kUnseen.end() && at->first <= code_point;
}

// How many bytes at the start of `text` may be shown as they are; 0 if the first ones may not.
std::size_t clean_prefix(std::string_view text) {
  const Sequence sequence = first_sequence(text);
  return sequence.length == 0 || is_unseen(sequence.code_point) ? 0 : sequence.length;
}

template <typename T>
Result<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || fmt::format("{}", value) != text) {
    return Error(Code::InvalidInput, "'" + printable(text) + "' is not a whole number in range");
  }
  return value;
}

}  // namespace

Result<std::uint64_t> parse_u64(std::string_view text) {
  return parse_number<std::uint64_t>(text);
}
Result<std::uint32_t> parse_u32(std::string_view text) {
  return parse_number<std::uint32_t>(text);
}
Result<std::int64_t> parse_i64(std::string_view text) {
  return parse_number<std::int64_t>(text);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000.0;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

std::string human_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000.0);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

void append_item(std::string& list, std::string_view item, std::string_view separator) {
  if (!list.empty()) list += separator;
  list += item;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t clean = clean_prefix(text);
    const std::size_t taken = std::max<std::size_t>(first_sequence(text).length, 1);
    if (clean == 0) {
      for (std::size_t i = 0; i < taken; ++i) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else if (text.front() == '\\') {
      out += "\\\\";
    } else {
      out.append(text.substr(0, clean));
    }
    text.remove_prefix(taken);
  }
  return out;
}

bool is_clean_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t clean = clean_prefix(text);
    if (clean == 0) return false;
    text.remove_prefix(clean);
  }
  return true;
}

}  // namespace exclave
