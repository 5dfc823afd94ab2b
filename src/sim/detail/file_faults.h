// FileFaults: decides, before each file call of a machine, whether the machine dies now or the call is to fail.
// Hides: counting of matching calls.
//
// I1  A call is counted before anything else is decided about it; so is one that fails by a fault.
// Threads: the holder of the baton.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/detail/seeded.h"
#include "sim/faults.h"

namespace exclave::sim::detail {

enum class Death : std::uint8_t { Power, Kill };

class FileFaults {
 public:
  void inject(FileFault fault);
  void set_rates(FaultRates rates) { rates_ = rates; }
  void clear();
  // Counted from the machine's first call on.
  void die_at(std::uint64_t call, Death cause) { doom_ = {call, cause}; }
  void live_on() { doom_.reset(); }

  std::uint64_t calls() const { return calls_; }
  // How the machine dies before this call, which then is not counted.
  std::optional<Death> death_now();
  std::optional<Error> failure(FileCall call, std::string_view path, Rng& rng);

 private:
  struct Scripted {
    FileFault fault;
    std::uint64_t seen = 0;
  };
  std::vector<Scripted> scripted_;
  FaultRates rates_;
  std::uint64_t calls_ = 0;
  struct Doom {
    std::uint64_t call = 0;
    Death cause = Death::Power;
  };
  std::optional<Doom> doom_;
};

}  // namespace exclave::sim::detail
