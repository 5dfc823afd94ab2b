#include "sim/crash_points.h"

#include <fmt/format.h>

#include "sim/detail/seeded.h"

namespace exclave::sim {
namespace {

constexpr std::size_t kMaxKeptFailures = 10;

struct Run {
  std::uint64_t seed;
  std::uint64_t point;
  Survival survival;
  bool fails_twice;
};

std::string_view name_of(Survival survival) {
  switch (survival) {
    case Survival::Seeded:
      return "a seeded part of the unsynced survives";
    case Survival::Nothing:
      return "nothing unsynced survives";
    case Survival::Everything:
      return "everything survives";
  }
  return "?";
}

// The last call of a run without crash: how many points there are.
std::uint64_t count_calls(const CrashPlan& plan, const CrashScenario& scenario) {
  Universe universe(plan.seed, plan.options);
  Machine& machine = universe.machine("crasher");
  if (scenario.prepare) machine.run([&] { scenario.prepare(machine); });
  machine.wait();
  const std::uint64_t before = machine.file_calls();
  machine.run([&] { scenario.work(machine); });
  machine.wait();
  return machine.file_calls() - before;
}

void power_off_and_on(Machine& machine) {
  machine.crash();
  machine.restart();
}

Status run_check(Machine& machine, const CrashScenario& scenario) {
  Status checked;
  machine.run([&] { checked = scenario.check(machine); });
  machine.wait();
  return checked;
}

Status run_once(const CrashPlan& plan, const CrashScenario& scenario, const Run& run) {
  Universe universe(run.seed, plan.options);
  Machine& machine = universe.machine("crasher");
  machine.set_survival(run.survival);
  if (scenario.prepare) {
    machine.run([&] { scenario.prepare(machine); });
    machine.wait();
  }
  machine.crash_at_call(run.point);
  machine.run([&] { scenario.work(machine); });
  machine.wait();
  power_off_and_on(machine);
  if (run.fails_twice) {
    // Recovery is short: most draws from this range hit it.
    constexpr std::uint64_t kRecoveryCalls = 24;
    machine.crash_at_call(detail::Rng(run.seed, "second power loss").below(kRecoveryCalls));
    ignore(run_check(machine, scenario), "the power failed in it; the next check decides");
    power_off_and_on(machine);
  }
  Status checked = run_check(machine, scenario);
  if (checked.ok()) return checked;
  return std::move(checked).in([&] {
    return fmt::format("power loss before call {}{}, {}, seed {}", run.point, run.fails_twice ? " and in recovery" : "",
                       name_of(run.survival), run.seed);
  });
}

}  // namespace

std::string CrashReport::to_string() const {
  std::string text = fmt::format("{} crash points, {} runs, {} failed\n", points, runs, failed_runs);
  for (const std::string& failure : failures) text += "  " + failure + "\n";
  return text;
}

CrashReport enumerate_crash_points(const CrashPlan& plan, const std::function<CrashScenario()>& make) {
  CrashReport report;
  report.points = count_calls(plan, make()) + 1;
  const auto perform = [&](const Run& run) {
    ++report.runs;
    const Status checked = run_once(plan, make(), run);
    if (checked.ok()) return;
    ++report.failed_runs;
    if (report.failures.size() < kMaxKeptFailures) report.failures.push_back(checked.error().message());
  };
  for (std::uint64_t point = 0; point < report.points; ++point) {
    for (const bool fails_twice : {false, true}) {
      perform({.seed = plan.seed, .point = point, .survival = Survival::Nothing, .fails_twice = fails_twice});
      perform({.seed = plan.seed, .point = point, .survival = Survival::Everything, .fails_twice = fails_twice});
      for (unsigned i = 0; i < plan.lotteries; ++i) {
        const std::uint64_t seed = plan.seed + (point + 1) * 1000 + i;
        perform({.seed = seed, .point = point, .survival = Survival::Seeded, .fails_twice = fails_twice});
      }
    }
  }
  return report;
}

}  // namespace exclave::sim
