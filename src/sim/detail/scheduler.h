// Scheduler: runs real threads as actors of which exactly one runs at a time, chosen by the seed; keeps virtual time.
// Hides: the baton, the timers, who is picked next.
//
//             start            picked                     body ended
//   (none) ----------> Runnable <-----> running ------------------------> Ended
//                          ^  woken, or deadline reached   |
//                          +---------- Blocked <-----------+ block
//
// Units: virtual nanoseconds since the start of the universe.
// I1  Only the holder of the baton runs; every other actor's thread sleeps in Baton::take.
// I2  Time moves by a small seeded cost per call, and to the earliest deadline when nobody can run.
// I3  Nobody runnable and no deadline: the run is stuck; it is dumped and aborted.
// I4  An actor may be woken without reason; who blocks does so in a loop around its condition.
// Threads: the thread that creates the scheduler is its first actor, the driver. All calls are made by the holder
//          of the baton, so the fields need no lock; the baton's mutex orders them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sim/detail/seeded.h"
#include "sim/detail/trace.h"

namespace exclave::sim::detail {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
inline constexpr std::uint32_t kNoGroup = ~std::uint32_t{0};

// Not std::atomic::wait: libstdc++ 12 yields the processor some times before it sleeps, which on a loaded machine costs
// a time slice each (measured with 14 runnable processes on 2 cores: 2,000 us per switch against 12).
class Baton {
 public:
  void give() {
    {
      const std::lock_guard lock(mutex_);
      held_ = true;
    }
    given_.notify_one();
  }
  void take() {
    std::unique_lock lock(mutex_);
    given_.wait(lock, [&] { return held_; });
    held_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  bool held_ = false;
};

struct Actor;

// Who waits for one thing, in order of arrival. Outlives their waiting.
class WaitList {
 public:
  bool empty() const { return actors_.empty(); }

 private:
  friend class Scheduler;
  std::vector<Actor*> actors_;
};

// For the dump of a stuck run. The texts live as long as the actor waits.
struct WaitReason {
  const char* what = "";
  std::string_view object = {};
  const Actor* holder = nullptr;  // of a lock
};

struct Actor {
  enum class State : std::uint8_t { Runnable, Blocked, Ended };

  std::uint32_t id = 0;
  std::string name;
  std::uint32_t group = kNoGroup;   // its machine
  std::uint32_t visits = kNoGroup;  // the machine whose env it used last: the driver may use any
  std::uint32_t weight = 1;         // in the draw of who runs next
  State state = State::Runnable;
  std::size_t place = 0;         // in the list of runnable actors
  WaitList* waits_in = nullptr;  // while blocked
  std::int64_t deadline = kNever;
  WaitReason reason;
  std::uint64_t calls_after_death = 0;  // of its machine
  WaitList joiners;
  WaitList nap;  // where it waits for time alone
  Baton baton;
  std::thread thread;
};

class Scheduler {
 public:
  // `stay_percent`: how often an actor goes on although others could run. `max_calls`: then abort.
  Scheduler(std::uint64_t seed, Trace& trace, std::uint32_t stay_percent, std::uint64_t max_calls);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  // Precondition: every actor but the driver has ended.
  ~Scheduler();

  Actor& start(std::string name, std::uint32_t group, std::function<void()> body);
  Actor& current();
  std::int64_t now() const { return now_; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t switches() const { return switches_; }

  // Every env call comes through here first: time passes, and another actor may run.
  void point();
  // Parks the caller until it is woken or `deadline` is reached.
  void block(WaitList& list, const WaitReason& reason, std::int64_t deadline = kNever);
  void sleep_until(std::int64_t deadline, const WaitReason& reason) { block(current().nap, reason, deadline); }
  void wake_all(WaitList& list);
  void wake_one(WaitList& list);  // the seed picks which
  void wake_group(std::uint32_t group);

  void join(Actor& actor);
  // Blocks until no actor of the group runs any more; kNoGroup: no actor but the driver.
  void wait_until_ended(std::uint32_t group);
  bool has_ended(std::uint32_t group) const;

  void record(const CallText& call, const Outcome& outcome = {}) {
    const Actor& self = current();
    trace_.record(now_, self.id, self.name, call, outcome);
  }
  // Prints the seed, the reason, what every actor waits for and the last calls; aborts.
  [[noreturn]] void abort_run(std::string_view reason);

 private:
  struct Timer {
    std::int64_t deadline;
    std::uint32_t id;
    Actor* actor;
    bool operator<(const Timer& other) const {
      return deadline != other.deadline ? deadline < other.deadline : id < other.id;
    }
  };

  Actor& add(std::string name, std::uint32_t group);
  void run(Actor& self, const std::function<void()>& body);
  void wake(Actor& actor);
  void release_due();
  void make_runnable(Actor& actor);
  void remove_runnable(Actor& actor);
  Actor& pick();
  Actor& next();
  void hand_over(Actor& self, Actor& next);
  void reap();

  const std::uint64_t seed_;
  const std::uint32_t stay_percent_;
  const std::uint64_t max_calls_;
  const std::thread::id driver_thread_ = std::this_thread::get_id();
  Trace& trace_;
  Rng rng_;
  std::int64_t now_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t switches_ = 0;
  std::deque<Actor> actors_;  // all that ever were: a late notify on a baton must find it
  Actor* holder_ = nullptr;
  std::vector<Actor*> runnable_;  // the running one included
  std::uint64_t runnable_weight_ = 0;
  std::set<Timer> timers_;
  std::vector<Actor*> ended_;                   // their threads are still to be joined
  std::map<std::uint32_t, std::size_t> alive_;  // by group, the driver not counted
  WaitList watchers_;                           // of actors' ends
};

}  // namespace exclave::sim::detail
