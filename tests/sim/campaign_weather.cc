// What goes wrong around a campaign's work, and how it is made good again.
#include <algorithm>

#include "tests/sim/campaign.h"

namespace exclave::realm_tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void Campaign::change_weather() {
  const std::size_t vault = any_vault();
  switch (rng_.below(7)) {
    case 0:
      note("home and " + call(vault) + " do not hear each other");
      probes_.hit("a vault was cut off");
      return realm_.universe().network().partition("home", call(vault));
    case 1:
      note(call(vault) + " is cut off");
      probes_.hit("a vault was cut off");
      return realm_.universe().network().isolate(call(vault));
    case 2:
      note("the network is slow");
      probes_.hit("the network was slow");
      return realm_.universe().network().set_delay(milliseconds(50), milliseconds(400 + rng_.below(2000)));
    case 3:
      note("connections break");
      probes_.hit("connections broke");
      return realm_.universe().network().set_cuts_per_million(static_cast<std::uint32_t>(1000 * (1 + rng_.below(30))));
    case 4:
    case 5:
      if (machine(vault).is_up()) strike_disk(machine(vault), "/srv/vault");
      return;
    default:
      if (realm_.home().is_up()) strike_disk(realm_.home(), SimRealm::kAgentState);
      return;
  }
}

void Campaign::strike_disk(sim::Machine& machine, const std::string& state) {
  switch (rng_.below(4)) {
    case 0: {
      const std::uint64_t left = rng_.below(600'000);
      note("disk of " + machine.name() + " has " + std::to_string(left) + " bytes left");
      probes_.hit("a disk was full");
      return machine.disk().set_capacity_bytes(machine.disk().used_bytes() + left);
    }
    case 1:
      note("syncs of " + machine.name() + " fail");
      probes_.hit("syncs failed");
      return machine.inject({.call = rng_.percent(70) ? sim::FileCall::Sync : sim::FileCall::SyncDirectory,
                             .path_part = state,
                             .nth = 1 + rng_.below(8),
                             .times = 1 + rng_.below(3)});
    case 2:
      note("writes of " + machine.name() + " fail");
      probes_.hit("writes failed");
      return machine.inject(
          {.call = sim::FileCall::Write, .path_part = state, .nth = 1 + rng_.below(12), .times = 1 + rng_.below(4)});
    default: {
      note("errors rain on the disk of " + machine.name());
      probes_.hit("a disk failed now and then");
      const auto rate = static_cast<std::uint32_t>(1000 * (1 + rng_.below(40)));
      if (&machine == &realm_.home()) source_is_failing_ = true;
      return machine.set_fault_rates(
          {.reads_per_million = rate, .writes_per_million = rate, .syncs_per_million = rate});
    }
  }
}

void Campaign::weather(sim::Machine& worker, bool in_storm) {
  const std::shared_ptr<Repair> beside = in_storm && rng_.percent(25) ? start_repair(any_vault()) : nullptr;
  const std::uint64_t strikes = in_storm ? 1 + rng_.below(3) : 0;
  for (std::uint64_t i = 0; i < strikes; ++i) {
    realm_.universe().run_for(milliseconds(rng_.below(std::uint64_t{1} << rng_.below(10))));
    if (worker.is_up()) strike(worker);
  }
  worker.wait();
  while (beside != nullptr && !beside->result.has_value()) realm_.universe().run_for(seconds(5));
}

void Campaign::strike(sim::Machine& worker) {
  const std::size_t vault = any_vault();
  switch (rng_.below(10)) {
    case 0:
    case 1: {
      const std::uint64_t calls = rng_.below(80);
      note("  power of " + worker.name() + " fails in " + std::to_string(calls) + " calls");
      return worker.crash_at_call(calls);
    }
    case 2:
      note("  " + worker.name() + " is killed");
      return worker.kill();
    case 3:
    case 4: {
      if (!machine(vault).is_up()) return;
      const std::uint64_t calls = rng_.below(40);
      note("  power of " + call(vault) + " fails in " + std::to_string(calls) + " calls");
      probes_.hit("a vault died in the middle of somebody's work");
      return machine(vault).crash_at_call(calls);
    }
    case 5:
      if (!machine(vault).is_up() || &machine(vault) == &worker) return;
      note("  " + call(vault) + " is killed");
      probes_.hit("a vault died in the middle of somebody's work");
      return machine(vault).kill();
    case 6:
      note("  connections to " + call(vault) + " are cut");
      if (&machine(vault) == &worker) return;
      return realm_.universe().network().cut(worker.name(), call(vault));
    case 7:
      note("  the network heals");
      return realm_.universe().network().heal_all();
    case 8:
      if (worker.name() == "home") return strike_disk(worker, SimRealm::kAgentState);
      return;
    default:
      return change_weather();
  }
}

void Campaign::calm() {
  calm_down();
  wake_home();
  wake_abroad();
  wake_vaults(100);
}

// Also: its disk and memory are sound again.
void Campaign::wake_home() {
  sim::Machine& home = realm_.home();
  soothe(home);
  source_is_failing_ = false;
  if (home.is_up()) return;
  home.wait();
  // Half of the time the vaults have not noticed yet that its connections are dead.
  if (rng_.percent(50)) realm_.universe().run_for(minutes(10));
  home.restart();
  probes_.hit("an agent came back after its death and captured");
}

void Campaign::wake_abroad() {
  sim::Machine& abroad = realm_.abroad();
  soothe(abroad);
  if (abroad.is_up()) return;
  abroad.wait();
  abroad.restart();
}

}  // namespace exclave::realm_tests
