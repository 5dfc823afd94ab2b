#include "sim/crash_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/detail/seeded.h"

namespace exclave::sim {
namespace {

constexpr std::size_t kMaxKeptFailures = 10;

struct Run {
  std::uint64_t seed;
  std::uint64_t point;
  Survival survival;
  std::optional<std::uint64_t> second_loss = {};  // before which call of check
};

struct Ran {
  Status checked;
  bool has_died = false;          // at its point
  bool has_died_again = false;    // in check
  std::uint64_t check_calls = 0;  // of the last check
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

// The last call of a run without crash: how many points there are. And that such a run promises what it should.
std::uint64_t count_calls(const CrashPlan& plan, const CrashScenario& scenario, Status& finished) {
  Universe universe(plan.seed, plan.options);
  Machine& machine = universe.machine("crasher");
  if (scenario.prepare) machine.run([&] { scenario.prepare(machine); });
  machine.wait();
  const std::uint64_t before = machine.file_calls();
  machine.run([&] { scenario.work(machine); });
  machine.wait();
  const std::uint64_t calls = machine.file_calls() - before;
  if (scenario.finished) {
    machine.run([&] { finished = scenario.finished(machine); });
    machine.wait();
  }
  return calls;
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

Ran run_once(const CrashPlan& plan, const CrashScenario& scenario, const Run& run) {
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
  Ran ran;
  ran.has_died = !machine.is_up();
  power_off_and_on(machine);
  if (run.second_loss.has_value()) {
    machine.crash_at_call(*run.second_loss);
    ignore(run_check(machine, scenario), "the power failed in it; the next check decides");
    ran.has_died_again = !machine.is_up();
    power_off_and_on(machine);
  }
  const std::uint64_t before = machine.file_calls();
  ran.checked = run_check(machine, scenario);
  ran.check_calls = machine.file_calls() - before;
  if (ran.checked.ok()) return ran;
  const std::string again =
      run.second_loss.has_value() ? fmt::format(" and in recovery before call {}", *run.second_loss) : "";
  ran.checked = std::move(ran.checked).in([&] {
    return fmt::format("power loss before call {}{}, {}, seed {}", run.point, again, name_of(run.survival), run.seed);
  });
  return ran;
}

}  // namespace

bool CrashReport::ok() const {
  if (runs == 0 || failed_runs != 0) return false;
  // Work with threads makes more or fewer calls by the seed, so some runs end before their point.
  const std::uint64_t due_deaths = runs - runs / points;
  return 2 * deaths >= due_deaths && late_second_losses > 0;
}

std::string CrashReport::to_string() const {
  std::string text =
      fmt::format("{} crash points, {} runs, {} died at their point; {} second losses, {} of them late; {} failed\n",
                  points, runs, deaths, second_losses, late_second_losses, failed_runs);
  for (const std::string& failure : failures) text += "  " + failure + "\n";
  return text;
}

CrashReport enumerate_crash_points(const CrashPlan& plan, const std::function<CrashScenario()>& make) {
  CrashReport report;
  const auto fail = [&](const Error& error) {
    ++report.failed_runs;
    if (report.failures.size() < kMaxKeptFailures) report.failures.push_back(error.message());
  };
  Status finished;
  report.points = count_calls(plan, make(), finished) + 1;
  if (!finished.ok()) fail(finished.take_error().in("without a power loss"));
  const auto perform = [&](const Run& run) {
    Ran ran = run_once(plan, make(), run);
    ++report.runs;
    if (ran.has_died) ++report.deaths;
    if (ran.has_died_again) ++report.second_losses;
    if (!ran.checked.ok()) fail(ran.checked.error());
    return ran;
  };
  // The second loss may fall at any call of the check that the first run has counted, the last ones included: a check
  // that opens a store begins with hundreds of calls that only list directories.
  const auto perform_both = [&](Run run) {
    const std::uint64_t calls = std::max<std::uint64_t>(1, perform(run).check_calls);
    run.second_loss = detail::Rng(run.seed + run.point, "second power loss").below(calls);
    const Ran ran = perform(run);
    if (ran.has_died_again && *run.second_loss >= calls / 2) ++report.late_second_losses;
  };
  for (std::uint64_t point = 0; point < report.points; ++point) {
    perform_both({.seed = plan.seed, .point = point, .survival = Survival::Nothing});
    perform_both({.seed = plan.seed, .point = point, .survival = Survival::Everything});
    for (unsigned i = 0; i < plan.lotteries; ++i) {
      perform_both({.seed = plan.seed + (point + 1) * 1000 + i, .point = point, .survival = Survival::Seeded});
    }
  }
  return report;
}

}  // namespace exclave::sim
