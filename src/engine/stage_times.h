// Stage times: where a capture's or restore's CPU and waiting goes. CPU nanoseconds summed over threads; waits are wall
// time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "env/time.h"

namespace exclave::engine {

enum class Stage : std::uint8_t {
  Walk,
  Read,
  Cut,
  Hash,
  Compress,
  Pack,
  Seal,
  Code,
  Send,
  Wait,
  Open,
  Decompress,
  Write
};
inline constexpr std::size_t kStageCount = 13;
std::string_view name_of(Stage stage);

class StageTimes {
 public:
  void add(Stage stage, std::chrono::nanoseconds time) {
    total_[static_cast<std::size_t>(stage)].fetch_add(time.count(), std::memory_order_relaxed);
  }
  std::chrono::nanoseconds of(Stage stage) const {
    return std::chrono::nanoseconds(total_[static_cast<std::size_t>(stage)].load(std::memory_order_relaxed));
  }

 private:
  std::atomic<std::int64_t> total_[kStageCount] = {};
};

// Adds the CPU time of its scope to a stage.
class StageTimer {
 public:
  StageTimer(StageTimes& times, env::Clock& clock, Stage stage)
      : times_(times), clock_(clock), stage_(stage), start_(clock.thread_cpu_time()) {}
  ~StageTimer() { times_.add(stage_, clock_.thread_cpu_time() - start_); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  StageTimes& times_;
  env::Clock& clock_;
  Stage stage_;
  std::chrono::nanoseconds start_;
};

}  // namespace exclave::engine
