// The small facades: clock, random, log, fake commands.
#include <algorithm>

#include "base/text.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim::detail {
namespace {

class SimClock final : public env::Clock {
 public:
  explicit SimClock(MachineCore& core) : core_(core) {}

  env::Timestamp now() override {
    core_.enter();
    const env::Timestamp now = core_.civil_now();
    core_.world.scheduler.record({.name = "now", .a = static_cast<std::uint64_t>(now.nanoseconds)});
    return now;
  }
  env::Instant monotonic() override {
    core_.enter();
    const env::Instant now = core_.monotonic_now();
    core_.world.scheduler.record({.name = "monotonic", .a = static_cast<std::uint64_t>(now.nanoseconds)});
    return now;
  }
  Status sleep_until(env::Instant deadline) override {
    const std::uint64_t incarnation = core_.incarnation;
    const std::int64_t until = core_.to_universe(deadline);
    return core_.call({.name = "sleep_until", .a = static_cast<std::uint64_t>(deadline.nanoseconds)}, [&]() -> Status {
      while (core_.world.scheduler.now() < until && core_.check_up(incarnation).ok()) {
        core_.world.scheduler.sleep_until(until, {.what = "time"});
      }
      if (!core_.check_up(incarnation).ok()) return Error(Code::Cancelled, core_.name + ": machine is down");
      return {};
    });
  }

 private:
  MachineCore& core_;
};

class SimRandom final : public env::Random {
 public:
  explicit SimRandom(MachineCore& core) : core_(core) {}

  Status fill(MutableByteView out) override {
    return core_.call({.name = "random", .a = out.size()}, [&]() -> Status {
      TRY(core_.check_up(core_.incarnation));
      for (std::size_t at = 0; at < out.size(); at += 8) {
        const std::uint64_t word = core_.random_rng.next();
        std::memcpy(out.data() + at, &word, std::min<std::size_t>(8, out.size() - at));
      }
      return {};
    });
  }

 private:
  MachineCore& core_;
};

class SimLog final : public env::Log {
 public:
  explicit SimLog(MachineCore& core) : core_(core) {}

  void write(env::LogLevel level, std::string_view message) override {
    core_.enter();
    core_.world.scheduler.record({.name = "log", .object = message, .a = static_cast<std::uint64_t>(level)});
    if (core_.up) core_.log_lines.push_back({.level = level, .message = std::string(message)});
  }

 private:
  MachineCore& core_;
};

class FakeRun final : public env::RunningCommand {
 public:
  FakeRun(MachineCore& core, FakeCommand command)
      : core_(core), incarnation_(core.incarnation), command_(std::move(command)) {}

  Result<std::size_t> read_output(MutableByteView out, const std::stop_token& stop) override {
    if (stop.stop_requested()) return Error(Code::Cancelled, "interrupted while reading a command's output");
    return core_.call({.name = "read_output", .a = out.size()}, [&]() -> Result<std::size_t> {
      TRY(core_.check_up(incarnation_));
      const std::size_t left = std::min(out.size(), command_.output.size() - at_);
      if (left == 0) return std::size_t{0};
      const std::size_t count = 1 + static_cast<std::size_t>(core_.disk_rng.below(left));
      std::memcpy(out.data(), command_.output.data() + at_, count);
      at_ += count;
      return count;
    });
  }
  Result<int> wait() override {
    return core_.call({.name = "wait_command"}, [&]() -> Result<int> {
      TRY(core_.check_up(incarnation_));
      return command_.exit_status;
    });
  }

 private:
  MachineCore& core_;
  const std::uint64_t incarnation_;
  const FakeCommand command_;
  std::size_t at_ = 0;
};

class SimProcesses final : public env::Processes {
 public:
  explicit SimProcesses(MachineCore& core) : core_(core) {}

  Result<std::unique_ptr<env::RunningCommand>> start(const std::vector<std::string>& arguments) override {
    const std::string name = arguments.empty() ? "" : arguments.front();
    using Started = std::unique_ptr<env::RunningCommand>;
    return core_.call({.name = "start_command", .object = name}, [&]() -> Result<Started> {
      TRY(core_.check_up(core_.incarnation));
      if (name.empty()) return Error(Code::InvalidInput, "no command given");
      const auto command = core_.commands.find(name);
      if (command == core_.commands.end()) {
        return Error(Code::Unsupported, printable(name) + ": no such command is registered with the simulated machine");
      }
      return Started(std::make_unique<FakeRun>(core_, command->second));
    });
  }

 private:
  MachineCore& core_;
};

}  // namespace

std::unique_ptr<env::Clock> make_clock(MachineCore& core) {
  return std::make_unique<SimClock>(core);
}
std::unique_ptr<env::Random> make_random(MachineCore& core) {
  return std::make_unique<SimRandom>(core);
}
std::unique_ptr<env::Log> make_log(MachineCore& core) {
  return std::make_unique<SimLog>(core);
}
std::unique_ptr<env::Processes> make_processes(MachineCore& core) {
  return std::make_unique<SimProcesses>(core);
}

}  // namespace exclave::sim::detail
