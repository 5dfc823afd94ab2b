// Universe: a whole realm in one process, repeatable from one number: machines, their disks, clocks and network.
// Hides: that its actors are real threads passing a baton, of which exactly one runs at any time.
//
// A test reads like this:
//
//   for (std::uint64_t seed = 0; seed < 200; ++seed) {
//     sim::Universe universe(seed);
//     sim::Machine& lux = universe.machine("lux");
//     sim::Machine& home = universe.machine("home");
//
//     lux.start("vault", [&] { serve(lux.env(), "lux:7001"); });         // runs when we wait below
//     home.start("agent", [&] { capture(home.env(), "lux:7001"); });
//     universe.run_for(10s);                                             // virtual time: takes milliseconds
//
//     universe.network().partition("home", "lux");                       // the test's thread is an actor too:
//     universe.run_for(1min);                                            // between two waits it stands outside,
//     universe.network().heal("home", "lux");                            // and nobody moves
//
//     lux.crash();                                                       // power loss: code unwinds by errors
//     lux.restart();                                                     // unsynced data: kept, lost or torn
//     lux.start("vault", [&] { serve(lux.env(), "lux:7001"); });
//     home.wait();                                                       // until home's actors have ended
//     EXPECT_EQ(receipts(), stored(lux.disk())) << "seed " << seed << "\n" << universe.recent_calls();
//   }                                                                    // kills what still runs: serve() unwinds
//
// What the seed decides: who runs next at each env call, how long calls take, network delays and short transfers,
// what a power loss spares, each machine's random bytes, spurious wake-ups. What it does not: the program.
//
//   env call := scheduling point, then (machine up?) -> (fault?) -> effect -> one record in the trace
//
// Units/limits: virtual nanoseconds; Options::max_calls env calls per run; hundreds of actors.
// I1  Same seed, same program: same trace_hash(). A program that differs between runs by itself (addresses, hash
//     order, wall clocks, threads of a library) breaks this.
// I2  Virtual time moves by 1..2,000 ns per call, and jumps to the earliest deadline when nobody can run. So an hour
//     of timeouts costs nothing.
// I3  If nobody can run and nobody waits for a time, the run aborts and prints who waits for what.
// Threads: made, used as driver and destroyed by one thread (the test). It outlives every object made through its envs.
//          Code under test blocks only in env calls; anything else that waits hangs the run.
// Errors: none; misuse aborts.
// See: docs/testing.md (fault model), sim/machine.h, sim/network_control.h, sim/crash_points.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "sim/faults.h"
#include "sim/machine.h"
#include "sim/network_control.h"

namespace exclave::sim {

class Universe {
 public:
  explicit Universe(std::uint64_t seed, Options options = {});
  Universe(const Universe&) = delete;
  Universe& operator=(const Universe&) = delete;
  // Kills every machine and waits until their actors have unwound. Threads that wait only for an order to stop need
  // Machine::when_down, or this aborts as a stuck run.
  ~Universe();

  // The machine of that name, made at the first mention. It lives as long as the universe.
  Machine& machine(std::string_view name);
  NetworkControl& network();

  // --- waiting: the only times at which actors run (besides env calls of the test's own thread) ---
  void run();                                       // until every actor has ended
  void run_for(std::chrono::nanoseconds duration);  // of virtual time
  // Until `condition` holds, looking every virtual millisecond; false if it did not within `limit`.
  bool run_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit);

  std::uint64_t seed() const;
  std::chrono::nanoseconds elapsed() const;  // virtual time since the beginning
  // Of all env calls so far with their arguments and outcomes.
  std::uint64_t trace_hash() const;
  // The last calls, one a line: for the message of a failed assertion. At most 256 are kept.
  std::string recent_calls(std::size_t count = 50) const;
  std::uint64_t calls() const;
  std::uint64_t switches() const;  // of the baton

 private:
  const std::unique_ptr<detail::World> world_;
  NetworkControl network_;
  struct Owned;
  std::map<std::string, std::unique_ptr<Owned>, std::less<>> machines_;
};

}  // namespace exclave::sim
