// World: what all machines of one universe share. Owned by Universe; outlives its machines.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sim/detail/fabric.h"
#include "sim/detail/scheduler.h"
#include "sim/detail/trace.h"
#include "sim/faults.h"

namespace exclave::sim::detail {

class MachineCore;

struct World {
  World(std::uint64_t run_seed, Options run_options);

  const std::uint64_t seed;
  const Options options;
  Trace trace;
  Scheduler scheduler;
  Fabric fabric;
  std::map<std::string, MachineCore*, std::less<>> machines;
  std::uint64_t monitors_made = 0;
};

}  // namespace exclave::sim::detail
