#include "env/queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "posix/world.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::env {
namespace {

using conformance::must;

class QueueTest : public ::testing::Test {
 protected:
  // Long enough that a thread which does not wait would have gone on.
  void let_others_run() {
    ignore(world_.env().clock.sleep_until(world_.env().clock.monotonic() + std::chrono::milliseconds(30)), "a pause");
  }
  Threads& threads() { return world_.env().threads; }

  posix::World world_;
};

TEST_F(QueueTest, items_leave_in_the_order_in_which_they_came) {
  Queue<int> queue(threads(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(queue.push(i));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.pop(), i);
}

TEST_F(QueueTest, full_queue_holds_its_producer_back) {
  Queue<int> queue(threads(), 2);
  std::atomic<int> pushed = 0;
  auto producer = must(threads().start("producer", [&] {
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(queue.push(i));
      ++pushed;
    }
  }));
  let_others_run();
  EXPECT_LE(pushed, 2);
  EXPECT_EQ(queue.pop(), 0);
  let_others_run();
  EXPECT_LE(pushed, 3);
  for (int i = 1; i < 5; ++i) EXPECT_EQ(queue.pop(), i);
  producer->join();
  EXPECT_EQ(pushed, 5);
}

TEST_F(QueueTest, empty_queue_holds_its_consumer_until_an_item_comes) {
  Queue<std::string> queue(threads(), 1);
  std::optional<std::string> got;
  auto consumer = must(threads().start("consumer", [&] { got = queue.pop(); }));
  let_others_run();
  EXPECT_TRUE(queue.push("item"));
  consumer->join();
  EXPECT_EQ(got, "item");
}

TEST_F(QueueTest, closed_queue_drains_then_ends_and_takes_no_more) {
  Queue<int> queue(threads(), 10);
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  queue.close();
  queue.close();
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST_F(QueueTest, close_wakes_waiting_producers_and_consumers) {
  Queue<int> full(threads(), 1);
  Queue<int> empty(threads(), 1);
  EXPECT_TRUE(full.push(1));
  auto producer = must(threads().start("producer", [&] { EXPECT_FALSE(full.push(2)); }));
  auto consumer = must(threads().start("consumer", [&] { EXPECT_EQ(empty.pop(), std::nullopt); }));
  let_others_run();
  full.close();
  empty.close();
  producer->join();
  consumer->join();
  EXPECT_EQ(full.pop(), 1);
  EXPECT_EQ(full.pop(), std::nullopt) << "the refused item was dropped";
}

TEST_F(QueueTest, many_producers_and_consumers_lose_and_double_nothing) {
  constexpr int kEach = 2'000;
  Queue<int> queue(threads(), 8);
  std::vector<std::unique_ptr<Thread>> producers;
  std::vector<std::unique_ptr<Thread>> consumers;
  std::vector<std::vector<int>> got(3);
  for (int p = 0; p < 3; ++p) {
    producers.push_back(must(threads().start("producer", [&queue, p] {
      for (int i = 0; i < kEach; ++i) ASSERT_TRUE(queue.push(p * kEach + i));
    })));
  }
  for (auto& mine : got) {
    consumers.push_back(must(threads().start("consumer", [&queue, &mine] {
      while (const auto item = queue.pop()) mine.push_back(*item);
    })));
  }
  for (auto& producer : producers) producer->join();
  queue.close();
  for (auto& consumer : consumers) consumer->join();
  std::set<int> all;
  for (const auto& mine : got) {
    std::vector<int> last(3, -1);
    for (const int item : mine) {
      EXPECT_TRUE(all.insert(item).second) << item;
      const auto producer = static_cast<std::size_t>(item / kEach);
      EXPECT_GT(item, last[producer]) << "one producer's items stay in order for one consumer";
      last[producer] = item;
    }
  }
  EXPECT_EQ(all.size(), 3U * kEach);
}

TEST_F(QueueTest, items_need_only_move) {
  Queue<std::unique_ptr<int>> queue(threads(), 1);
  EXPECT_TRUE(queue.push(std::make_unique<int>(5)));
  EXPECT_EQ(**queue.pop(), 5);
}

}  // namespace
}  // namespace exclave::env
