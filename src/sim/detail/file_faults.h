// FileFaults: decides, before each file call of a machine, whether the power fails now or the call is to fail.
// Hides: counting of matching calls.
//
// I1  A call is counted before anything else is decided about it; so is one that fails by a fault.
// Threads: the holder of the baton.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "sim/detail/seeded.h"
#include "sim/faults.h"

namespace exclave::sim::detail {

class FileFaults {
 public:
  void inject(FileFault fault);
  void set_rates(FaultRates rates) { rates_ = rates; }
  void clear();
  void crash_at(std::optional<std::uint64_t> call) { crash_at_ = call; }

  std::uint64_t calls() const { return calls_; }
  // True if the power fails before this call, which then is not counted.
  bool power_fails_now();
  std::optional<Error> failure(FileCall call, std::string_view path, Rng& rng);

 private:
  struct Scripted {
    FileFault fault;
    std::uint64_t seen = 0;
  };
  std::vector<Scripted> scripted_;
  FaultRates rates_;
  std::uint64_t calls_ = 0;
  std::optional<std::uint64_t> crash_at_;
};

}  // namespace exclave::sim::detail
