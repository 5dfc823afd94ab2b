// What the baton promises: one at a time, repeatable, no lost wake-up, stuck runs explained.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include "env/queue.h"
#include "env/workers.h"
#include "sim/universe.h"

namespace exclave::sim {
namespace {

using namespace std::chrono_literals;

// Several threads, a monitor, random bytes, files and the clock: a program with something to schedule.
std::uint64_t hash_of_busy_run(std::uint64_t seed) {
  Universe universe(seed);
  Machine& lux = universe.machine("lux");
  lux.run([&] {
    env::Env env = lux.env();
    env::Queue<int> queue(env.threads, 3);
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (int i = 0; i < 3; ++i) {
      threads.push_back(env.threads
                            .start("producer",
                                   [&, i] {
                                     for (int j = 0; j < 10; ++j) queue.push(i * 100 + j);
                                   })
                            .take());
    }
    threads.push_back(env.threads
                          .start("consumer",
                                 [&] {
                                   auto log = env.files.open_log("/log");
                                   ASSERT_TRUE(log.ok());
                                   for (int j = 0; j < 30; ++j) {
                                     const auto item = queue.pop();
                                     ASSERT_TRUE(item.has_value());
                                     EXPECT_TRUE(log.value()->append(as_bytes(std::to_string(*item))).ok());
                                     EXPECT_TRUE(env.clock.sleep_until(env.clock.monotonic() + 1ms).ok());
                                   }
                                 })
                          .take());
    for (auto& thread : threads) thread->join();
  });
  return universe.trace_hash();
}

TEST(Scheduler, same_seed_gives_the_same_trace_and_other_seeds_others) {
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const std::uint64_t hash = hash_of_busy_run(seed);
    EXPECT_EQ(hash_of_busy_run(seed), hash) << "seed " << seed;
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), 30U);
}

TEST(Scheduler, trace_tells_apart_what_is_written) {
  const auto hash_of_writing = [](std::string_view text) {
    Universe universe(1);
    Machine& lux = universe.machine("lux");
    EXPECT_TRUE(env::create_file_durably(lux.env().files, "/f", as_bytes(text), 0600).ok());
    return universe.trace_hash();
  };
  EXPECT_EQ(hash_of_writing("one"), hash_of_writing("one"));
  EXPECT_NE(hash_of_writing("one"), hash_of_writing("two"));
}

TEST(Scheduler, exactly_one_actor_runs_at_a_time) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Universe universe(seed);
    Machine& lux = universe.machine("lux");
    std::atomic<int> inside = 0;
    for (int i = 0; i < 20; ++i) {
      lux.start("actor", [&] {
        for (int j = 0; j < 50; ++j) {
          EXPECT_EQ(inside.fetch_add(1), 0);
          EXPECT_EQ(inside.fetch_sub(1), 1);
          static_cast<void>(lux.env().clock.monotonic());
        }
      });
    }
    universe.run();
  }
}

TEST(Scheduler, nobody_moves_while_the_test_stands_outside) {
  Universe universe(5);
  Machine& lux = universe.machine("lux");
  int steps = 0;
  lux.start("stepper", [&] {
    while (steps < 1000) {
      ++steps;
      EXPECT_TRUE(lux.env().clock.sleep_until(lux.env().clock.monotonic() + 1s).ok());
    }
  });
  EXPECT_EQ(steps, 0);
  universe.run_for(10s);
  EXPECT_GE(steps, 9);
  EXPECT_LE(steps, 11);
  EXPECT_TRUE(universe.run_until([&] { return steps >= 20; }, 60s));
  EXPECT_FALSE(universe.run_until([&] { return steps >= 500; }, 10s));
  universe.run();
  EXPECT_EQ(steps, 1000);
}

TEST(Scheduler, a_year_of_sleep_takes_no_time) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  const env::Timestamp before = lux.env().clock.now();
  lux.run([&] { EXPECT_TRUE(lux.env().clock.sleep_until(lux.env().clock.monotonic() + 24h * 365).ok()); });
  EXPECT_GE(lux.env().clock.now() - before, std::chrono::nanoseconds(24h * 365));
  EXPECT_LT(lux.env().clock.now() - before, std::chrono::nanoseconds(24h * 366));
}

TEST(Scheduler, queue_keeps_order_and_loses_nothing_over_200_seeds) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Universe universe(seed);
    Machine& lux = universe.machine("lux");
    constexpr int kProducers = 3, kItems = 20;
    std::map<int, std::vector<int>> received;  // by producer
    lux.run([&] {
      env::Queue<int> queue(lux.env().threads, 1 + seed % 4);
      std::vector<std::unique_ptr<env::Thread>> producers;
      for (int p = 0; p < kProducers; ++p) {
        producers.push_back(lux.env()
                                .threads
                                .start("producer",
                                       [&, p] {
                                         for (int i = 0; i < kItems; ++i) EXPECT_TRUE(queue.push(p * 1000 + i));
                                       })
                                .take());
      }
      auto first = lux.env()
                       .threads
                       .start("first consumer",
                              [&] {
                                while (const auto item = queue.pop()) received[*item / 1000].push_back(*item % 1000);
                              })
                       .take();
      for (auto& producer : producers) producer->join();
      queue.close();
      EXPECT_FALSE(queue.push(1));
      first->join();
    });
    std::vector<int> expected(kItems);
    std::iota(expected.begin(), expected.end(), 0);
    for (int p = 0; p < kProducers; ++p) EXPECT_EQ(received[p], expected) << "seed " << seed;
  }
}

TEST(Scheduler, ordered_pipeline_keeps_order_over_200_seeds) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Universe universe(seed);
    Machine& lux = universe.machine("lux");
    std::vector<int> seen;
    lux.run([&] {
      env::Env env = lux.env();
      const auto square = [&](int item, std::size_t) -> Result<int> {
        TRY(env.clock.sleep_until(env.clock.monotonic() + std::chrono::microseconds(item * 37 % 11)));
        return item * item;
      };
      const auto collect = [&](int item) -> Status {
        seen.push_back(item);
        return {};
      };
      env::OrderedPipeline<int, int> pipe(env.threads, 3, 4, square, collect);
      for (int i = 0; i < 25; ++i) EXPECT_TRUE(pipe.submit(i).ok());
      EXPECT_TRUE(pipe.finish().ok());
    });
    ASSERT_EQ(seen.size(), 25U) << "seed " << seed;
    for (int i = 0; i < 25; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i * i) << "seed " << seed;
  }
}

// The classic mistake: the condition is read outside the lock. Some seed must find it, and most must not.
TEST(Scheduler, some_seeds_find_a_race_that_others_miss) {
  int lost_updates = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Universe universe(seed);
    Machine& lux = universe.machine("lux");
    int counter = 0;
    for (int i = 0; i < 2; ++i) {
      lux.start("careless", [&] {
        const int read = counter;
        static_cast<void>(lux.env().clock.monotonic());  // any env call between reading and writing
        counter = read + 1;
      });
    }
    universe.run();
    lost_updates += counter == 1;
  }
  EXPECT_GT(lost_updates, 5);
  EXPECT_LT(lost_updates, 95);
}

TEST(Scheduler, sixty_four_threads_share_a_monitor) {
  Universe universe(11);
  Machine& lux = universe.machine("lux");
  lux.run([&] {
    const auto monitor = lux.env().threads.make_monitor();
    int turn = 0;
    std::vector<std::unique_ptr<env::Thread>> threads;
    for (int i = 0; i < 64; ++i) {
      threads.push_back(lux.env()
                            .threads
                            .start("thread " + std::to_string(i),
                                   [&, i] {
                                     const env::MonitorLock lock(*monitor);
                                     while (turn != i) monitor->wait();
                                     ++turn;
                                     monitor->notify_all();
                                   })
                            .take());
    }
    for (auto& thread : threads) thread->join();
    EXPECT_EQ(turn, 64);
  });
}

TEST(Scheduler, cost_of_a_switch_is_printed) {
  Options options;
  options.stay_percent = 0;
  Universe universe(3, options);
  Machine& lux = universe.machine("lux");
  constexpr int kCalls = 50'000;
  for (int i = 0; i < 2; ++i) {
    lux.start("pinger", [&] {
      for (int j = 0; j < kCalls; ++j) static_cast<void>(lux.env().clock.monotonic());
    });
  }
  const auto begin = std::chrono::steady_clock::now();
  universe.run();
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  const double per_switch = took.count() / static_cast<double>(universe.switches());
  std::printf("[ measured ] %.2f us per switch (%llu switches, %llu calls)\n", per_switch,
              static_cast<unsigned long long>(universe.switches()), static_cast<unsigned long long>(universe.calls()));
  EXPECT_GT(universe.switches(), 1'000U);
}

TEST(Scheduler, cost_of_a_call_without_a_switch_is_printed) {
  Universe universe(3);
  env::Clock& clock = universe.machine("lux").env().clock;
  constexpr int kCalls = 200'000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kCalls; ++i) static_cast<void>(clock.monotonic());
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  std::printf("[ measured ] %.0f ns per call without switch\n", took.count() / kCalls);
  EXPECT_EQ(universe.switches(), 0U);
}

class SchedulerDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(SchedulerDeathTest, deadlock_is_dumped_with_who_waits_for_what) {
  const auto deadlock = [] {
    Universe universe(42);
    Machine& lux = universe.machine("lux");
    const auto monitor = lux.env().threads.make_monitor();
    lux.start("waiter", [&] {
      const env::MonitorLock lock(*monitor);
      while (true) monitor->wait();
    });
    lux.start("server", [&] {
      auto listener = lux.env().network.listen("lux:7001");
      static_cast<void>(listener.value()->accept());
    });
    universe.run();
  };
  EXPECT_DEATH(deadlock(),
               "seed 42: deadlock(.|\n)*test +waits for the end(.|\n)*lux/waiter +waits for a notification"
               "(.|\n)*lux/server +waits for a peer at lux:7001(.|\n)*last calls(.|\n)*listen +lux:7001");
}

TEST_F(SchedulerDeathTest, two_locks_in_opposite_order_are_found_by_some_seed) {
  const auto cross = [] {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      Universe universe(seed);
      Machine& lux = universe.machine("lux");
      const auto a = lux.env().threads.make_monitor();
      const auto b = lux.env().threads.make_monitor();
      lux.start("ab", [&] {
        const env::MonitorLock first(*a);
        const env::MonitorLock second(*b);
      });
      lux.start("ba", [&] {
        const env::MonitorLock first(*b);
        const env::MonitorLock second(*a);
      });
      universe.run();
    }
  };
  EXPECT_DEATH(cross(), "deadlock(.|\n)*waits for a monitor +held by lux/(ab|ba)");
}

TEST_F(SchedulerDeathTest, endless_polling_is_cut_off) {
  const auto spin = [] {
    Options options;
    options.max_calls = 10'000;
    Universe universe(1, options);
    Machine& lux = universe.machine("lux");
    lux.run([&] {
      while (true) static_cast<void>(lux.env().clock.now());
    });
  };
  EXPECT_DEATH(spin(), "something spins");
}

TEST_F(SchedulerDeathTest, code_that_ignores_the_death_of_its_machine_is_found) {
  const auto stubborn = [] {
    Universe universe(1);
    Machine& lux = universe.machine("lux");
    lux.start("stubborn", [&] {
      while (true) ignore(lux.env().files.stat("/"), "the mistake under test");
    });
    universe.run_for(1ms);
    lux.crash();
    lux.restart();
  };
  EXPECT_DEATH(stubborn(), "lux/stubborn goes on calling though machine lux is down");
}

TEST_F(SchedulerDeathTest, an_actor_must_not_use_another_machine) {
  const auto trespass = [] {
    Universe universe(1);
    Machine& lux = universe.machine("lux");
    Machine& home = universe.machine("home");
    lux.run([&] { static_cast<void>(home.env().clock.now()); });
  };
  EXPECT_DEATH(trespass(), "actor lux/main used the env of machine home");
}

}  // namespace
}  // namespace exclave::sim
