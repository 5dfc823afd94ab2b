#include "sim/machine.h"

#include <algorithm>

#include "base/check.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim {

Machine::Machine(detail::MachineCore& core) : core_(core), disk_(core) {}

const std::string& Machine::name() const {
  return core_.name;
}

env::Env Machine::env() {
  return {.clock = *core_.clock,
          .random = *core_.random,
          .files = *core_.files,
          .network = *core_.network,
          .processes = *core_.processes,
          .log = *core_.log,
          .threads = *core_.threads};
}

void Machine::start(std::string_view actor, std::function<void()> body) {
  core_.start(actor, std::move(body));
}

void Machine::run(std::function<void()> body) {
  detail::Actor& actor = core_.world.scheduler.start(core_.name + "/main", core_.id, std::move(body));
  core_.world.scheduler.join(actor);
}

void Machine::wait() {
  core_.world.scheduler.wait_until_ended(core_.id);
}

bool Machine::is_up() const {
  return core_.up;
}
void Machine::crash() {
  core_.die(detail::Death::Power);
}
void Machine::kill() {
  core_.die(detail::Death::Kill);
}
void Machine::restart() {
  core_.restart();
}
void Machine::when_down(std::function<void()> order) {
  core_.when_down.push_back(std::move(order));
}

void Machine::crash_at_call(std::uint64_t n) {
  core_.faults.die_at(core_.faults.calls() + n, detail::Death::Power);
}
void Machine::kill_at_call(std::uint64_t n) {
  core_.faults.die_at(core_.faults.calls() + n, detail::Death::Kill);
}
std::uint64_t Machine::file_calls() const {
  return core_.faults.calls();
}
void Machine::set_survival(Survival survival) {
  core_.set_survival(survival);
}

void Machine::inject(FileFault fault) {
  core_.faults.inject(std::move(fault));
}
void Machine::set_fault_rates(FaultRates rates) {
  core_.faults.set_rates(rates);
}
void Machine::clear_faults() {
  core_.faults.clear();
}

void Machine::set_clock_offset(std::chrono::nanoseconds offset) {
  core_.clock_offset = offset.count();
}
void Machine::jump_clock(std::chrono::nanoseconds by) {
  core_.clock_offset += by.count();
}

void Machine::rewind_random() {
  core_.random_rng.set_position(core_.random_mark);
}

void Machine::register_command(std::string_view name, Bytes output, int exit_status) {
  CHECK(exit_status >= 0 && exit_status < 256);
  core_.commands.insert_or_assign(std::string(name),
                                  detail::FakeCommand{.output = std::move(output), .exit_status = exit_status});
}

std::vector<LogLine> Machine::log() const {
  std::vector<LogLine> lines;
  for (const auto& line : core_.log_lines) lines.push_back({.level = line.level, .message = line.message});
  return lines;
}

bool Machine::has_logged(std::string_view part) const {
  return std::any_of(core_.log_lines.begin(), core_.log_lines.end(),
                     [&](const auto& line) { return line.message.find(part) != std::string::npos; });
}

}  // namespace exclave::sim
