// MachineCore: the state of one simulated machine, and the gate through which each env call of its code goes.
// Hides: life and death. The env facades (clock, files, network ...) hold a reference to it and nothing else.
//
//           +----- restart (actors have ended; power loss: unsynced data are decided) ------+
//           v                                                                               |
//          up --- die(Power) / die(Kill) ---> down: calls fail, code unwinds, actors end ---+
//
// I1  `incarnation` grows at each restart; a handle of an earlier one is dead for ever.
// I2  An actor of one machine never uses the env of another (aborts: it is a mistake in the test).
// I3  While down, nothing the machine does changes its disk or reaches the network.
// Threads: the holder of the baton.
// Errors: Unavailable ("... is down") from every call of a machine that is down.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/env.h"
#include "sim/detail/file_faults.h"
#include "sim/detail/volume.h"
#include "sim/detail/world.h"

namespace exclave::sim::detail {

struct FakeCommand {
  Bytes output;
  int exit_status = 0;
};

struct LoggedLine {
  env::LogLevel level;
  std::string message;
};

class MachineCore {
 public:
  MachineCore(World& shared_world, std::string machine_name, std::uint32_t machine_id);
  MachineCore(const MachineCore&) = delete;
  MachineCore& operator=(const MachineCore&) = delete;
  ~MachineCore();

  // --- the gate ---
  void enter();  // a scheduling point
  Status check_up(std::uint64_t of_incarnation) const;
  template <typename Body>
  auto call(const CallText& text, Body&& body) -> std::invoke_result_t<Body> {
    enter();
    auto result = std::forward<Body>(body)();
    world.scheduler.record(text, outcome_of(result));
    return result;
  }
  // For a file call: also a crash point, and subject to faults.
  template <typename Body>
  auto file_call(FileCall kind, std::uint64_t of_incarnation, const CallText& text, Body&& body)
      -> std::invoke_result_t<Body> {
    return call(text, [&]() -> std::invoke_result_t<Body> {
      TRY(begin_file_call(of_incarnation));
      if (auto error = faults.failure(kind, text.object, disk_rng)) return std::move(*error);
      return std::forward<Body>(body)();
    });
  }
  // Fails if the machine is down, or goes down now because this is the call to crash at.
  Status begin_file_call(std::uint64_t of_incarnation);

  // --- life ---
  void start(std::string_view actor, std::function<void()> body);
  void die(Death cause);
  void restart();
  // Down without power: it answers nobody, not even with a refusal.
  bool is_dark() const { return !up && last_death_ == Death::Power; }
  void set_survival(Survival survival) { survival_ = survival; }

  // --- clocks ---
  env::Timestamp civil_now() const;
  env::Instant monotonic_now() const;
  // Where an instant of this machine lies on the universe's scale; far ones become kNever.
  std::int64_t to_universe(env::Instant instant) const;

  World& world;
  const std::string name;
  const std::uint32_t id;  // also its group of actors
  bool up = true;
  std::uint64_t incarnation = 1;
  std::vector<std::function<void()>> when_down;

  std::int64_t clock_offset = 0;  // ns, of civil time
  Rng random_rng;
  std::uint64_t random_mark;  // where rewind_random goes
  Rng disk_rng;
  Volume volume;
  FileFaults faults;
  std::set<std::uint64_t> locked_inodes;
  std::map<std::string, FakeCommand, std::less<>> commands;
  std::vector<LoggedLine> log_lines;

  const std::unique_ptr<env::Clock> clock;
  const std::unique_ptr<env::Random> random;
  const std::unique_ptr<env::FileSystem> files;
  const std::unique_ptr<env::Network> network;
  const std::unique_ptr<env::Processes> processes;
  const std::unique_ptr<env::Log> log;
  const std::unique_ptr<env::Threads> threads;

 private:
  Death last_death_ = Death::Kill;
  Survival survival_ = Survival::Seeded;
  std::int64_t monotonic_base_ = 0;  // ns; differs per incarnation, so that a kept Instant is found out
};

// The facades. Each keeps the reference.
std::unique_ptr<env::Clock> make_clock(MachineCore& core);
std::unique_ptr<env::Random> make_random(MachineCore& core);
std::unique_ptr<env::Processes> make_processes(MachineCore& core);
std::unique_ptr<env::Log> make_log(MachineCore& core);
std::unique_ptr<env::Threads> make_threads(MachineCore& core);
std::unique_ptr<env::FileSystem> make_file_system(MachineCore& core);
std::unique_ptr<env::Network> make_network(MachineCore& core);

}  // namespace exclave::sim::detail
