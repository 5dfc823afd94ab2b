#include "posix/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace exclave::posix {
namespace {

constexpr std::size_t kNameLimit = 15;
constexpr int kCoreLimit = 64;

class Thread : public env::Thread {
 public:
  Thread(std::string name, std::function<void()> body)
      : thread_([name = std::move(name), body = std::move(body)] {
          ::pthread_setname_np(::pthread_self(), name.c_str());
          body();
        }) {}

  void join() override {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::jthread thread_;
};

class Monitor : public env::Monitor {
 public:
  void lock() override { mutex_.lock(); }
  void unlock() override { mutex_.unlock(); }
  void wait() override {
    std::unique_lock lock(mutex_, std::adopt_lock);
    changed_.wait(lock);
    lock.release();
  }
  void wait_until(env::Instant deadline) override {
    // env::Instant and steady_clock are both CLOCK_MONOTONIC.
    const std::chrono::steady_clock::time_point at(
        std::chrono::nanoseconds(std::max<std::int64_t>(deadline.nanoseconds, 0)));
    std::unique_lock lock(mutex_, std::adopt_lock);
    static_cast<void>(changed_.wait_until(lock, at));  // the caller looks at its condition and at the clock
    lock.release();
  }
  void notify_all() override { changed_.notify_all(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace

Result<std::unique_ptr<env::Thread>> Threads::start(std::string_view name, std::function<void()> body) {
  try {
    return std::unique_ptr<env::Thread>(
        std::make_unique<Thread>(std::string(name.substr(0, kNameLimit)), std::move(body)));
  } catch (const std::system_error& error) {  // EAGAIN: of the user's, the service's or the machine's limits
    return Error(Code::Exhausted, "thread '" + std::string(name) + "' cannot be started: " + error.code().message())
        .hint("raise the limit of tasks (TasksMax of the service, ulimit -u)");
  }
}

std::unique_ptr<env::Monitor> Threads::make_monitor() {
  return std::make_unique<Monitor>();
}

unsigned Threads::cores() const {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more cores than the set holds.
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return kCoreLimit;
  return static_cast<unsigned>(std::clamp(CPU_COUNT(&set), 1, kCoreLimit));
}

}  // namespace exclave::posix
