// Text helpers: numbers parsed strictly, sizes and durations printed for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace exclave {

// Decimal without sign, leading zeros or white space: each value has one spelling.
Result<std::uint64_t> parse_u64(std::string_view text);
Result<std::uint32_t> parse_u32(std::string_view text);
// The same with an optional '-'.
Result<std::int64_t> parse_i64(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);

// "1.36 GB", "512 KiB" style: decimal units, three significant digits.
std::string human_bytes(std::uint64_t bytes);
// "420 ms", "3.4 s", "2 min 05 s", "3 h 07 min".
std::string human_duration(std::chrono::nanoseconds duration);

// Adds one more item to a list in a sentence: "a, b", "lux: refused; rome: no answer".
void append_item(std::string& list, std::string_view item, std::string_view separator = ", ");

// Replaces what cannot be seen and invalid UTF-8 by \xNN, and \ by \\: a hostile name cannot drive a terminal, nor look
// like another name.
std::string printable(std::string_view text);

// True if it is valid UTF-8 without what cannot be seen: control and format characters, spaces but U+0020, fillers
// (the list in docs/formats/signed-text.md).
bool is_clean_utf8(std::string_view text);

}  // namespace exclave
