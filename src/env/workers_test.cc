#include "env/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "env/at_once.h"
#include "posix/world.h"
#include "tests/conformance/few_threads.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::env {
namespace {

using conformance::must;

class WorkersTest : public ::testing::Test {
 protected:
  using Numbers = OrderedPipeline<int, int>;

  void pause(std::chrono::microseconds duration) {
    ignore(world_.env().clock.sleep_until(world_.env().clock.monotonic() + duration), "a pause");
  }
  Threads& threads() { return world_.env().threads; }
  static std::vector<int> first_numbers(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
  }

  posix::World world_;
};

TEST_F(WorkersTest, sink_sees_results_in_the_order_of_submission) {
  std::vector<int> sunk;
  Numbers pipeline(
      threads(), 4, 16,
      [&](int i, std::size_t) -> Result<int> {
        pause(std::chrono::microseconds((i * 7919) % 500));  // so that later items overtake earlier ones
        return i;
      },
      [&](int i) {
        sunk.push_back(i);
        return Status();
      });
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  EXPECT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(sunk, first_numbers(300));
}

TEST_F(WorkersTest, sink_is_called_by_one_thread_at_a_time) {
  std::atomic<int> inside = 0;
  int calls = 0;
  Numbers pipeline(
      threads(), 4, 32, [](int i, std::size_t) -> Result<int> { return i; },
      [&](int) {
        EXPECT_EQ(++inside, 1);
        pause(std::chrono::microseconds(20));
        --inside;
        ++calls;
        return Status();
      });
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  EXPECT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(calls, 200);
}

TEST_F(WorkersTest, no_more_items_are_inside_than_the_depth_allows) {
  constexpr std::size_t kDepth = 3;
  const auto gate = threads().make_monitor();
  bool open = false;
  std::atomic<int> submitted = 0;
  Numbers pipeline(
      threads(), 2, kDepth,
      [&](int i, std::size_t) -> Result<int> {
        const MonitorLock lock(*gate);
        while (!open) gate->wait();
        return i;
      },
      [](int) { return Status(); });
  auto submitter = must(threads().start("submitter", [&] {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(pipeline.submit(i).ok());
      ++submitted;
    }
  }));
  for (int looks = 0; submitted < static_cast<int>(kDepth) && looks < 10'000; ++looks)
    pause(std::chrono::milliseconds(1));
  pause(std::chrono::milliseconds(50));
  EXPECT_EQ(submitted, static_cast<int>(kDepth));
  {
    const MonitorLock lock(*gate);
    open = true;
    gate->notify_all();
  }
  submitter->join();
  EXPECT_TRUE(pipeline.finish().ok());
}

TEST_F(WorkersTest, a_pipeline_with_fewer_threads_than_asked_for_still_ends) {
  conformance::FewThreads few(threads(), 1);
  std::vector<int> sunk;
  Numbers pipeline(
      few, 4, 16, [](int i, std::size_t) -> Result<int> { return i; },
      [&](int i) {
        sunk.push_back(i);
        return Status();
      });
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  EXPECT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(sunk, first_numbers(100));
}

TEST_F(WorkersTest, a_pipeline_without_any_thread_says_why) {
  conformance::FewThreads none(threads(), 0);
  Numbers pipeline(
      none, 4, 16, [](int i, std::size_t) -> Result<int> { return i; }, [](int) { return Status(); });
  EXPECT_TRUE(conformance::failed_with(pipeline.submit(1), Code::Exhausted));
  EXPECT_TRUE(conformance::failed_with(pipeline.finish(), Code::Exhausted));
}

TEST_F(WorkersTest, work_at_once_is_done_once_each_with_fewer_threads_too) {
  for (const int allowed : {0, 1, 10}) {
    conformance::FewThreads few(threads(), allowed);
    std::vector<std::atomic<int>> calls(5);
    at_once(
        few, calls.size(), [](std::size_t i) { return "ask-" + std::to_string(i); },
        [&](std::size_t i) { ++calls[i]; });
    for (const auto& each : calls) EXPECT_EQ(each, 1) << allowed;
  }
}

TEST_F(WorkersTest, error_of_work_ends_everything_and_is_the_answer) {
  std::vector<int> sunk;
  Numbers pipeline(
      threads(), 3, 4,
      [](int i, std::size_t) -> Result<int> {
        if (i == 10) return Error(Code::Corrupt, "item ten");
        return i;
      },
      [&](int i) {
        sunk.push_back(i);
        return Status();
      });
  Status status;
  for (int i = 0; i < 1'000 && status.ok(); ++i) status = pipeline.submit(i);
  const Status end = pipeline.finish();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code(), Code::Corrupt);
  EXPECT_EQ(end.error().message(), "item ten");
  ASSERT_FALSE(status.ok()) << "submit tells, so that the caller stops";
  EXPECT_EQ(status.error().message(), "item ten");
  EXPECT_LE(sunk.size(), 10U);
  EXPECT_EQ(sunk, first_numbers(static_cast<int>(sunk.size())));
}

TEST_F(WorkersTest, error_of_the_sink_ends_everything_and_no_further_result_is_sunk) {
  std::atomic<int> calls = 0;
  Numbers pipeline(
      threads(), 3, 8, [](int i, std::size_t) -> Result<int> { return i; },
      [&](int i) -> Status {
        ++calls;
        if (i == 5) return Error(Code::Exhausted, "disk full");
        return {};
      });
  Status status;
  for (int i = 0; i < 1'000 && status.ok(); ++i) status = pipeline.submit(i);
  const Status end = pipeline.finish();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().message(), "disk full");
  EXPECT_EQ(calls, 6);
}

TEST_F(WorkersTest, first_error_wins) {
  Numbers pipeline(
      threads(), 1, 4, [](int i, std::size_t) -> Result<int> { return Error(Code::Corrupt, std::to_string(i)); },
      [](int) { return Status(); });
  Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = pipeline.submit(i);
  EXPECT_EQ(pipeline.finish().error().message(), "0");
  EXPECT_EQ(pipeline.submit(1).error().message(), "0");
}

TEST_F(WorkersTest, worker_numbers_allow_contexts_without_locks) {
  constexpr std::size_t kWorkers = 4;
  std::vector<int> counts(kWorkers);
  Numbers pipeline(
      threads(), kWorkers, 16,
      [&](int i, std::size_t worker) -> Result<int> {
        ++counts.at(worker);
        return i;
      },
      [](int) { return Status(); });
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  ASSERT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 500);
}

TEST_F(WorkersTest, dropped_pipeline_stops_its_threads) {
  std::atomic<int> worked = 0;
  {
    Numbers pipeline(
        threads(), 2, 100,
        [&](int i, std::size_t) -> Result<int> {
          pause(std::chrono::milliseconds(1));
          ++worked;
          return i;
        },
        [](int) { return Status(); });
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  }
  const int at_the_end = worked;
  pause(std::chrono::milliseconds(20));
  EXPECT_EQ(worked, at_the_end);
}

TEST_F(WorkersTest, nothing_submitted_is_a_success) {
  Numbers pipeline(
      threads(), 2, 2, [](int i, std::size_t) -> Result<int> { return i; }, [](int) { return Status(); });
  EXPECT_TRUE(pipeline.finish().ok());
}

TEST_F(WorkersTest, zero_workers_and_zero_depth_mean_one) {
  int sum = 0;
  Numbers pipeline(
      threads(), 0, 0, [](int i, std::size_t) -> Result<int> { return i; },
      [&](int i) {
        sum += i;
        return Status();
      });
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pipeline.submit(i).ok());
  EXPECT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(sum, 45);
}

TEST_F(WorkersTest, items_and_results_need_only_move) {
  using Box = std::unique_ptr<int>;
  int sum = 0;
  OrderedPipeline<Box, Box> pipeline(
      threads(), 2, 2, [](Box box, std::size_t) -> Result<Box> { return box; },
      [&](Box box) {
        sum += *box;
        return Status();
      });
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(pipeline.submit(std::make_unique<int>(i)).ok());
  EXPECT_TRUE(pipeline.finish().ok());
  EXPECT_EQ(sum, 45);
}

}  // namespace
}  // namespace exclave::env
