// ProgressPace: whether enough has happened since the last report for another one. Internal to engine.
// Hides: how often is enough: for many small files, and in the midst of a large one.
//
// Threads: one.
#pragma once

#include <cstdint>

namespace exclave::engine {

class ProgressPace {
 public:
  // Also the first time. True takes note of the report.
  bool is_due(std::uint64_t files, std::uint64_t bytes) {
    if (has_told_ && files < told_files_ + kEveryFiles && bytes < told_bytes_ + kEveryBytes) return false;
    has_told_ = true;
    told_files_ = files;
    told_bytes_ = bytes;
    return true;
  }

 private:
  static constexpr std::uint64_t kEveryFiles = 256;
  static constexpr std::uint64_t kEveryBytes = 4U << 20;

  bool has_told_ = false;
  std::uint64_t told_files_ = 0;
  std::uint64_t told_bytes_ = 0;
};

}  // namespace exclave::engine
