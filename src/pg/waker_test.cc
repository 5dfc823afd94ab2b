#include "pg/waker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace exclave::pg {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kForever = 30s;

TEST(waker, a_wake_before_the_wait_ends_it_once) {
  const auto waker = Waker::create();
  ASSERT_TRUE(waker.ok());
  waker.value().wake();
  waker.value().wake();
  auto began = Clock::now();
  waker.value().wait(kForever);
  EXPECT_LT(Clock::now() - began, kForever);
  began = Clock::now();
  waker.value().wait(20ms);
  EXPECT_GE(Clock::now() - began, 20ms) << "two wakes are one, and the wait took it";
}

TEST(waker, another_thread_ends_the_wait) {
  const auto waker = Waker::create();
  ASSERT_TRUE(waker.ok());
  const auto began = Clock::now();
  std::thread other([&] { waker.value().wake(); });
  waker.value().wait(kForever);
  other.join();
  EXPECT_LT(Clock::now() - began, kForever);
}

}  // namespace
}  // namespace exclave::pg
