// The conformance suite of env::Threads, env::Monitor and env::Clock.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

class ThreadsConformance : public WorldConformance {
 protected:
  static constexpr auto kShort = std::chrono::milliseconds(50);
  static constexpr auto kLong = std::chrono::seconds(60);      // never waited for in full
  static constexpr auto kTolerance = std::chrono::seconds(5);  // a scheduling delay on a loaded machine
};

TEST_P(ThreadsConformance, thread_runs_and_join_waits_for_its_end) {
  run([](env::Env env, const std::string&) {
    std::atomic<bool> done = false;
    auto thread = must(env.threads.start("worker", [&] {
      ASSERT_TRUE(is_ok(env.clock.sleep_until(env.clock.monotonic() + kShort)));
      done = true;
    }));
    thread->join();
    EXPECT_TRUE(done);
    thread->join();
  });
}

TEST_P(ThreadsConformance, dropping_a_thread_joins_it) {
  run([](env::Env env, const std::string&) {
    std::atomic<bool> done = false;
    {
      const auto thread = must(env.threads.start("a name that is longer than the system allows", [&] {
        ASSERT_TRUE(is_ok(env.clock.sleep_until(env.clock.monotonic() + kShort)));
        done = true;
      }));
    }
    EXPECT_TRUE(done);
  });
}

TEST_P(ThreadsConformance, cores_are_between_1_and_64) {
  run([](env::Env env, const std::string&) {
    EXPECT_GE(env.threads.cores(), 1U);
    EXPECT_LE(env.threads.cores(), 64U);
  });
}

TEST_P(ThreadsConformance, monitor_excludes) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    int counter = 0;
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (int i = 0; i < 4; ++i) {
      threads.push_back(must(env.threads.start("counter", [&] {
        for (int j = 0; j < 1'000; ++j) {
          const env::MonitorLock lock(*monitor);
          const int seen = counter;
          counter = seen + 1;
        }
      })));
    }
    for (auto& thread : threads) thread->join();
    EXPECT_EQ(counter, 4'000);
  });
}

TEST_P(ThreadsConformance, notify_wakes_every_waiter) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    bool go = false;
    int woken = 0;
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (int i = 0; i < 3; ++i) {
      threads.push_back(must(env.threads.start("waiter", [&] {
        const env::MonitorLock lock(*monitor);
        while (!go) monitor->wait();
        ++woken;
      })));
    }
    {
      const env::MonitorLock lock(*monitor);
      go = true;
      monitor->notify_all();
    }
    for (auto& thread : threads) thread->join();
    EXPECT_EQ(woken, 3);
  });
}

TEST_P(ThreadsConformance, waiting_releases_the_lock) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    int turn = 0;  // the two can only alternate if each wait lets the other in
    const auto play = [&](int mine) {
      for (int i = 0; i < 100; ++i) {
        const env::MonitorLock lock(*monitor);
        while (turn % 2 != mine) monitor->wait();
        ++turn;
        monitor->notify_all();
      }
    };
    auto even = must(env.threads.start("even", [&] { play(0); }));
    auto odd = must(env.threads.start("odd", [&] { play(1); }));
    even->join();
    odd->join();
    EXPECT_EQ(turn, 200);
  });
}

TEST_P(ThreadsConformance, wait_until_ends_at_its_deadline) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    const env::Instant begin = env.clock.monotonic();
    const env::Instant deadline = begin + kShort;
    const env::MonitorLock lock(*monitor);
    while (env.clock.monotonic() < deadline) monitor->wait_until(deadline);
    EXPECT_LT((env.clock.monotonic() - deadline).count(), std::chrono::nanoseconds(kTolerance).count());
  });
}

TEST_P(ThreadsConformance, wait_until_a_passed_deadline_returns_at_once) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    const env::Instant begin = env.clock.monotonic();
    const env::MonitorLock lock(*monitor);
    monitor->wait_until(begin + -kShort);
    monitor->wait_until(env::Instant{});
    EXPECT_LT((env.clock.monotonic() - begin).count(), std::chrono::nanoseconds(kTolerance).count());
  });
}

TEST_P(ThreadsConformance, notify_ends_wait_until_before_its_deadline) {
  run([](env::Env env, const std::string&) {
    const auto monitor = env.threads.make_monitor();
    bool go = false;
    const env::Instant begin = env.clock.monotonic();
    auto thread = must(env.threads.start("notifier", [&] {
      ASSERT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
      const env::MonitorLock lock(*monitor);
      go = true;
      monitor->notify_all();
    }));
    {
      const env::MonitorLock lock(*monitor);
      while (!go && env.clock.monotonic() < begin + kLong) monitor->wait_until(begin + kLong);
    }
    EXPECT_TRUE(go);
    EXPECT_LT((env.clock.monotonic() - begin).count(), std::chrono::nanoseconds(kLong).count());
    thread->join();
  });
}

TEST_P(ThreadsConformance, sleep_never_ends_early_and_returns_at_once_for_the_past) {
  run([](env::Env env, const std::string&) {
    const env::Instant begin = env.clock.monotonic();
    EXPECT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
    const env::Instant after = env.clock.monotonic();
    EXPECT_GE(after, begin + kShort);
    EXPECT_TRUE(is_ok(env.clock.sleep_until(begin)));
    EXPECT_TRUE(is_ok(env.clock.sleep_until(env::Instant{-1})));
    EXPECT_LT((env.clock.monotonic() - begin).count(), std::chrono::nanoseconds(kTolerance).count());
  });
}

TEST_P(ThreadsConformance, clocks_do_not_run_backwards) {
  run([](env::Env env, const std::string&) {
    env::Instant last = env.clock.monotonic();
    for (int i = 0; i < 1'000; ++i) {
      const env::Instant now = env.clock.monotonic();
      ASSERT_GE(now, last);
      last = now;
    }
    EXPECT_GT(env.clock.now(), env::Timestamp::from_seconds(1'000'000'000)) << "a date after 2001";
  });
}

}  // namespace exclave::conformance
