#include "sim/network_control.h"

#include "base/check.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim {

std::uint32_t NetworkControl::id_of(std::string_view machine) const {
  const auto found = world_.machines.find(machine);
  CHECK(found != world_.machines.end());
  return found->second->id;
}

void NetworkControl::partition(std::string_view a, std::string_view b) {
  block(a, b);
  block(b, a);
}

void NetworkControl::block(std::string_view from, std::string_view to) {
  world_.fabric.block_direction(id_of(from), id_of(to));
}

void NetworkControl::isolate(std::string_view name) {
  for (const auto& [other, core] : world_.machines) {
    if (other != name) partition(name, other);
  }
}

void NetworkControl::heal(std::string_view a, std::string_view b) {
  world_.fabric.unblock(id_of(a), id_of(b));
}

void NetworkControl::heal_all() {
  world_.fabric.unblock_all();
}

void NetworkControl::cut(std::string_view a, std::string_view b) {
  world_.fabric.cut(id_of(a), id_of(b));
}

void NetworkControl::set_cuts_per_million(std::uint32_t rate) {
  world_.fabric.set_cuts_per_million(rate);
}

void NetworkControl::set_delay(std::chrono::nanoseconds min, std::chrono::nanoseconds max) {
  world_.fabric.set_delay({min.count(), max.count()});
}

void NetworkControl::set_delay_of(std::string_view machine, std::chrono::nanoseconds min,
                                  std::chrono::nanoseconds max) {
  world_.fabric.set_delay_of(id_of(machine), {min.count(), max.count()});
}

}  // namespace exclave::sim
