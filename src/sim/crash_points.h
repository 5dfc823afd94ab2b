// Crash points: runs a piece of work again and again, with the power failing before each of its file calls in turn, and
// after its end; then restarts the machine and lets the test check what is left. H7 of docs/threat-model.md.
// Hides: counting, seeds, what survives of the unsynced.
//
//   struct Deposit {                                    // made anew for each run
//     std::set<std::string> promised;                   // what was claimed: outside the machine, so it survives
//     void prepare(Machine& machine);                   // optional: durable state before the work; power is stable
//     void work(Machine& machine);                      // the code under test; the power fails somewhere in it
//     Status finished(Machine& machine);                // optional: after work without power loss; an error names what
//                                                       // it should have promised, so that check has something to ask
//     Status check(Machine& machine);                   // after the restart: an error names the broken promise
//   };
//   EXPECT_TRUE(sim::for_each_crash_point<Deposit>({.seed = 7}).ok());
//
//   runs of one point := nothing unsynced survives | everything does | seeded, `lotteries` times
//                        each once more with a second power loss, at a seeded call of check (recovery must bear it)
//
// I1  All functions run as actors of the machine, with virtual time; work and check may use threads, not peers.
// I2  check must hold if it is run again on the state it left. It makes file calls.
// I3  The second power loss may fall at any call of check, its last ones included.
// Units/limits: cost = points x (2 + lotteries) x 2 runs of the work. At most 10 failures are kept.
// Errors: failures are values in the report, so that a test can also show that a wrong program is caught.
// See: docs/testing.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/universe.h"

namespace exclave::sim {

struct CrashPlan {
  std::uint64_t seed = 1;
  unsigned lotteries = 3;  // runs with seeded survival, per point
  Options options = {};
};

struct CrashReport {
  std::uint64_t points = 0;  // file calls of the work, and its end
  std::uint64_t runs = 0;
  std::uint64_t deaths = 0;              // runs whose machine really died at its point
  std::uint64_t second_losses = 0;       // runs whose machine really died in check
  std::uint64_t late_second_losses = 0;  // those in the second half of check's calls
  std::uint64_t failed_runs = 0;         // also the one without a power loss
  std::vector<std::string> failures;     // point, survival, seed, and the error of check or finished

  // Nothing failed, and it could have: machines died at their points, and late in check.
  bool ok() const;
  std::string to_string() const;
};
inline std::ostream& operator<<(std::ostream& out, const CrashReport& report) {
  return out << report.to_string();
}

// What the enumeration needs of a scenario; for_each_crash_point makes it from a class.
struct CrashScenario {
  std::function<void(Machine&)> prepare;
  std::function<void(Machine&)> work;
  std::function<Status(Machine&)> finished;  // may be empty, as prepare
  std::function<Status(Machine&)> check;
};
CrashReport enumerate_crash_points(const CrashPlan& plan, const std::function<CrashScenario()>& make);

template <typename Scenario>
CrashReport for_each_crash_point(const CrashPlan& plan) {
  return enumerate_crash_points(plan, [] {
    // Shared by the functions of one run.
    const auto scenario = std::make_shared<Scenario>();
    CrashScenario made;
    if constexpr (requires(Machine & machine) { scenario->prepare(machine); }) {
      made.prepare = [scenario](Machine& machine) { scenario->prepare(machine); };
    }
    made.work = [scenario](Machine& machine) { scenario->work(machine); };
    if constexpr (requires(Machine & machine) { scenario->finished(machine); }) {
      made.finished = [scenario](Machine& machine) { return scenario->finished(machine); };
    }
    made.check = [scenario](Machine& machine) { return scenario->check(machine); };
    return made;
  });
}

}  // namespace exclave::sim
