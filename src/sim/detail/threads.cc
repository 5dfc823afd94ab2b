// Threads and monitors under the baton.
#include "base/check.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim::detail {
namespace {

class SimThread final : public env::Thread {
 public:
  SimThread(MachineCore& core, Actor& actor) : core_(core), actor_(actor) {}
  SimThread(const SimThread&) = delete;
  SimThread& operator=(const SimThread&) = delete;
  ~SimThread() override { join(); }

  void join() override {
    if (joined_) return;
    core_.enter();
    core_.world.scheduler.join(actor_);
    core_.world.scheduler.record({.name = "join", .object = actor_.name});
    joined_ = true;
  }

 private:
  MachineCore& core_;
  Actor& actor_;
  bool joined_ = false;
};

// Works on a dead machine as well: code that unwinds still has to unlock and to wake its peers.
class SimMonitor final : public env::Monitor {
 public:
  SimMonitor(MachineCore& core, std::uint64_t number) : core_(core), number_(number) {}
  SimMonitor(const SimMonitor&) = delete;
  SimMonitor& operator=(const SimMonitor&) = delete;
  ~SimMonitor() override { CHECK(holder_ == nullptr && lockers_.empty() && waiters_.empty()); }

  void lock() override {
    core_.enter();
    acquire();
    note("lock");
  }
  void unlock() override {
    CHECK(holder_ == &scheduler().current());
    note("unlock");
    release();
    core_.enter();
  }
  void wait() override { wait_for(kNever); }
  void wait_until(env::Instant deadline) override { wait_for(core_.to_universe(deadline)); }
  void notify_all() override {
    CHECK(holder_ == &scheduler().current());
    core_.enter();
    note("notify_all");
    scheduler().wake_all(waiters_);
  }

 private:
  Scheduler& scheduler() { return core_.world.scheduler; }
  void note(const char* name) { scheduler().record({.name = name, .a = number_}); }
  void acquire() {
    Actor& self = scheduler().current();
    CHECK(holder_ != &self);  // not recursive
    while (holder_ != nullptr) scheduler().block(lockers_, {.what = "a monitor", .holder = holder_});
    holder_ = &self;
  }
  void release() {
    holder_ = nullptr;
    scheduler().wake_one(lockers_);
  }
  void wait_for(std::int64_t deadline) {
    CHECK(holder_ == &scheduler().current());
    note("wait");
    release();
    if (core_.disk_rng.percent(core_.world.options.spurious_wakeup_percent) || deadline <= scheduler().now()) {
      core_.enter();
    } else {
      scheduler().block(waiters_, {.what = "a notification of a monitor"}, deadline);
    }
    acquire();
    note("waited");
  }

  MachineCore& core_;
  const std::uint64_t number_;
  Actor* holder_ = nullptr;
  WaitList lockers_;
  WaitList waiters_;
};

class SimThreads final : public env::Threads {
 public:
  explicit SimThreads(MachineCore& core) : core_(core) {}

  Result<std::unique_ptr<env::Thread>> start(std::string_view name, std::function<void()> body) override {
    core_.enter();
    Actor& actor = core_.world.scheduler.start(core_.name + "/" + std::string(name), core_.id, std::move(body));
    core_.world.scheduler.record({.name = "start", .object = actor.name});
    return std::unique_ptr<env::Thread>(std::make_unique<SimThread>(core_, actor));
  }
  std::unique_ptr<env::Monitor> make_monitor() override {
    return std::make_unique<SimMonitor>(core_, ++core_.world.monitors_made);
  }
  unsigned cores() const override { return 2; }

 private:
  MachineCore& core_;
};

}  // namespace

std::unique_ptr<env::Threads> make_threads(MachineCore& core) {
  return std::make_unique<SimThreads>(core);
}

}  // namespace exclave::sim::detail
