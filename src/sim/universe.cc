#include "sim/universe.h"

#include "base/check.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim {

struct Universe::Owned {
  Owned(detail::World& world, std::string_view name, std::uint32_t id)
      : core(world, std::string(name), id), machine(core) {}
  detail::MachineCore core;
  Machine machine;
};

Universe::Universe(std::uint64_t seed, Options options)
    : world_(std::make_unique<detail::World>(seed, std::move(options))), network_(*world_) {}

Universe::~Universe() {
  for (auto& [name, owned] : machines_) owned->machine.kill();
  run();
}

Machine& Universe::machine(std::string_view name) {
  const auto found = machines_.find(name);
  if (found != machines_.end()) return found->second->machine;
  CHECK(!name.empty() && name.find(':') == std::string_view::npos);
  auto owned = std::make_unique<Owned>(*world_, name, static_cast<std::uint32_t>(machines_.size()));
  world_->machines.emplace(name, &owned->core);
  return machines_.emplace(name, std::move(owned)).first->second->machine;
}

NetworkControl& Universe::network() {
  return network_;
}

void Universe::run() {
  world_->scheduler.wait_until_ended(detail::kNoGroup);
}

void Universe::run_for(std::chrono::nanoseconds duration) {
  const std::int64_t until = world_->scheduler.now() + duration.count();
  while (world_->scheduler.now() < until) world_->scheduler.sleep_until(until, {.what = "time"});
}

bool Universe::run_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
  const std::chrono::nanoseconds end = elapsed() + limit;
  while (!condition()) {
    if (elapsed() >= end) return false;
    run_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::uint64_t Universe::seed() const {
  return world_->seed;
}
std::chrono::nanoseconds Universe::elapsed() const {
  return std::chrono::nanoseconds(world_->scheduler.now());
}
std::uint64_t Universe::trace_hash() const {
  return world_->trace.hash();
}
std::string Universe::recent_calls(std::size_t count) const {
  return world_->trace.tail(count);
}
std::uint64_t Universe::calls() const {
  return world_->scheduler.calls();
}
std::uint64_t Universe::switches() const {
  return world_->scheduler.switches();
}

}  // namespace exclave::sim
