// Quantities as people write them in configuration files and on the command line.
// Hides: nothing.
//
//   size     := number [space] unit    B; kB, MB, GB, TB, PB (powers of 1000); KiB, MiB, GiB, TiB, PiB (of 1024)
//   duration := number [space] unit    ms, s, min, h, d or day or days, week or weeks
//   number   := digits [ "." digits ]  at most 3 digits behind the point; no sign, no leading zeros but "0"
//
// The unit is required: a bare number would mean bytes to one reader and megabytes to another. Months and years are not
// durations, because they have no fixed length.
// Units/limits: sizes in whole bytes below 2^64; durations in whole milliseconds up to 100,000 days.
// Threads: pure.
// Errors: InvalidInput, with the text and an example in the message.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace exclave::config {

Result<std::uint64_t> parse_size(std::string_view text);
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace exclave::config
