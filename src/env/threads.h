// Threads and Monitor: the only ways to run beside and to wait for another. Queue and Workers are built on them.
// Hides: std::jthread and condition variables; in sim, a seeded baton that lets exactly one thread run.
//
// I1  Code blocks only in env calls. A thread that waits otherwise would hang a simulation.
// I2  A Thread is joined before it is dropped (the destructor joins).
// I3  A thread that cannot be started is an error like any other: who has one connection or one piece of work fewer goes
//     on; a daemon does not end because a stranger made it busy.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "env/time.h"

namespace exclave::env {

class Thread {
 public:
  virtual ~Thread() = default;  // joins
  virtual void join() = 0;      // idempotent
};

// A lock with a condition: the monitor of the text books.
class Monitor {
 public:
  virtual ~Monitor() = default;
  virtual void lock() = 0;
  virtual void unlock() = 0;
  // Precondition for the rest: locked by the caller. Wake-ups may be spurious.
  virtual void wait() = 0;
  virtual void wait_until(Instant deadline) = 0;
  virtual void notify_all() = 0;
};

class MonitorLock {
 public:
  explicit MonitorLock(Monitor& monitor) : monitor_(monitor) { monitor_.lock(); }
  ~MonitorLock() { monitor_.unlock(); }
  MonitorLock(const MonitorLock&) = delete;
  MonitorLock& operator=(const MonitorLock&) = delete;

 private:
  Monitor& monitor_;
};

class Threads {
 public:
  virtual ~Threads() = default;
  // Exhausted: the machine allows no more threads; `body` was not called.
  virtual Result<std::unique_ptr<Thread>> start(std::string_view name, std::function<void()> body) = 0;
  virtual std::unique_ptr<Monitor> make_monitor() = 0;
  virtual unsigned cores() const = 0;  // how many CPU-bound workers make sense; 1..64
};

}  // namespace exclave::env
