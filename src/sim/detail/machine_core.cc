#include "sim/detail/machine_core.h"

#include "base/check.h"

namespace exclave::sim::detail {
namespace {

constexpr std::uint64_t kMaxCallsAfterDeath = 100'000;

std::uint32_t stay_percent(std::uint64_t seed, const Options& options) {
  constexpr std::uint32_t kStyles[] = {0, 50, 90};
  return options.stay_percent.value_or(kStyles[Rng(seed, "style").below(3)]);
}

}  // namespace

World::World(std::uint64_t run_seed, Options run_options)
    : seed(run_seed),
      options(std::move(run_options)),
      trace(options.trace),
      scheduler(seed, trace, stay_percent(seed, options), options.max_calls),
      fabric(*this) {}

MachineCore::MachineCore(World& shared_world, std::string machine_name, std::uint32_t machine_id)
    : world(shared_world),
      name(std::move(machine_name)),
      id(machine_id),
      random_rng(shared_world.seed, "random of " + name),
      random_mark(random_rng.position()),
      disk_rng(shared_world.seed, "disk of " + name),
      clock(make_clock(*this)),
      random(make_random(*this)),
      files(make_file_system(*this)),
      network(make_network(*this)),
      processes(make_processes(*this)),
      log(make_log(*this)),
      threads(make_threads(*this)) {
  monotonic_base_ = static_cast<std::int64_t>(disk_rng.below(std::uint64_t{1} << 45));
}

MachineCore::~MachineCore() = default;

void MachineCore::enter() {
  Actor& self = world.scheduler.current();
  if (self.group != kNoGroup && self.group != id) {
    world.scheduler.abort_run("actor " + self.name + " used the env of machine " + name);
  }
  self.visits = id;
  if (!up && self.group == id && ++self.calls_after_death > kMaxCallsAfterDeath) {
    world.scheduler.abort_run("actor " + self.name + " goes on calling though machine " + name + " is down");
  }
  world.scheduler.point();
}

Status MachineCore::check_up(std::uint64_t of_incarnation) const {
  if (up && of_incarnation == incarnation) return {};
  return Error(Code::Unavailable, name + ": machine is down");
}

Status MachineCore::begin_file_call(std::uint64_t of_incarnation) {
  TRY(check_up(of_incarnation));
  if (const auto death = faults.death_now()) die(*death);
  return check_up(of_incarnation);
}

void MachineCore::start(std::string_view actor, std::function<void()> body) {
  world.scheduler.start(name + "/" + std::string(actor), id, std::move(body));
}

void MachineCore::die(Death cause) {
  if (!up) {
    // Power may fail after a kill, before the restart.
    if (cause == Death::Power) last_death_ = cause;
    return;
  }
  up = false;
  last_death_ = cause;
  world.scheduler.record({.name = cause == Death::Power ? "POWER LOSS" : "KILL", .object = name});
  world.fabric.machine_died(*this, cause);
  world.scheduler.wake_group(id);
  for (const auto& order : when_down) start("when-down", order);
}

void MachineCore::restart() {
  CHECK(!up);
  CHECK(world.scheduler.current().group != id);
  world.scheduler.wait_until_ended(id);
  world.scheduler.record({.name = "RESTART", .object = name});
  if (last_death_ == Death::Power) {
    constexpr std::uint32_t kKeepPercent[] = {0, 25, 50, 75, 100};
    std::uint32_t keep = kKeepPercent[disk_rng.below(5)];
    if (survival_ == Survival::Nothing) keep = 0;
    if (survival_ == Survival::Everything) keep = 100;
    volume.power_loss(disk_rng, keep);
  }
  faults.live_on();
  locked_inodes.clear();
  when_down.clear();
  ++incarnation;
  monotonic_base_ = static_cast<std::int64_t>(disk_rng.below(std::uint64_t{1} << 45));
  up = true;
}

env::Timestamp MachineCore::civil_now() const {
  return world.options.start + std::chrono::nanoseconds(world.scheduler.now() + clock_offset);
}

env::Instant MachineCore::monotonic_now() const {
  return {world.scheduler.now() + monotonic_base_};
}

std::int64_t MachineCore::to_universe(env::Instant instant) const {
  constexpr std::int64_t kFar = kNever / 2;
  if (instant.nanoseconds < 0) return 0;
  if (instant.nanoseconds > kFar) return kNever;
  return instant.nanoseconds - monotonic_base_;
}

}  // namespace exclave::sim::detail
