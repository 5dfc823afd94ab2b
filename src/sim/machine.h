// Machine: one simulated computer running one process: its env, its life and death, and the faults it suffers.
// Hides: the facades behind env() (detail/machine_core.h).
//
//          start(actor)                  crash() | kill() | ..._at_call(n) reached
//   up -------------------> up, running ------------------------------------------> down, unwinding
//    ^                                                                                     | actors end by themselves:
//    +---- restart() <------------------------------------------------------------- down --+ each env call fails
//
//   death     unsynced data                              peers on the network see
//   crash()   lost, kept or torn, by the seed            silence, and resets once it is up again
//   kill()    survive (they are in the kernel's cache)   a reset or the end of the stream
//
// Units/limits: a thread reports 2 cores; names of machines are used as host names in addresses ("lux:7001").
// I1  While a machine is down each env call of its code returns Unavailable "machine is down" (sleep_until:
//     Cancelled); clocks, monitors and threads go on working, so that code can unwind. Handles from before a death
//     stay dead after the restart.
// I2  restart() waits until every actor of the machine has ended; the disk is decided then, by the seed.
// I3  Actors of one machine use only that machine's env. The test's own thread may use any.
// Threads: any actor, or the test itself.
// See: docs/testing.md, sim/universe.h for an example.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "env/env.h"
#include "sim/disk.h"
#include "sim/faults.h"

namespace exclave::sim {

struct LogLine {
  env::LogLevel level;
  std::string message;
};

class Machine {
 public:
  // Made by Universe::machine.
  explicit Machine(detail::MachineCore& core);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  const std::string& name() const;
  env::Env env();
  Disk& disk() { return disk_; }

  // --- actors ---
  // A thread of this machine's process. It runs when the caller next makes an env call or waits.
  void start(std::string_view actor, std::function<void()> body);
  // The same, and waits until it has ended.
  void run(std::function<void()> body);
  // Until every actor of this machine has ended.
  void wait();

  // --- life ---
  bool is_up() const;
  void crash();    // power loss, now
  void kill();     // of the process, now
  void restart();  // Precondition: not up. Start new actors afterwards.
  // Runs `order` as an actor when this incarnation dies. For daemons whose threads only wait for an order to stop:
  // a monitor does not fail when the machine dies, so somebody has to give the order.
  void when_down(std::function<void()> order);
  // Power loss before the n-th file call from now (0 = the next one). Steps inside compound calls count, so between a
  // draft's sync and its new name there is a crash point too. A restart disarms it. See sim/crash_points.h to enumerate
  // all of them.
  void crash_at_call(std::uint64_t n);
  void kill_at_call(std::uint64_t n);  // the same, but that the process is killed; the later order replaces the earlier
  std::uint64_t file_calls() const;    // so far
  void set_survival(Survival survival);

  // --- faults ---
  void inject(FileFault fault);
  void set_fault_rates(FaultRates rates);
  void clear_faults();

  // --- clock: civil time only; deadlines are not disturbed ---
  void set_clock_offset(std::chrono::nanoseconds offset);  // from true time
  void jump_clock(std::chrono::nanoseconds by);

  // --- randomness ---
  // The random stream goes back to where it was at the last disk().snapshot(), or to its beginning: what a virtual
  // machine sees that is resumed from a snapshot.
  void rewind_random();

  // --- processes and log ---
  // `start({name, ...})` then prints `output` and ends with `exit_status`; any other command is Unsupported.
  void register_command(std::string_view name, Bytes output, int exit_status);
  std::vector<LogLine> log() const;
  bool has_logged(std::string_view part) const;  // of any line

 private:
  detail::MachineCore& core_;
  Disk disk_;
};

}  // namespace exclave::sim
