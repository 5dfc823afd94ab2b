#include <gtest/gtest.h>

#include "posix/world.h"

namespace exclave::posix {
namespace {

using namespace std::chrono_literals;

constexpr auto kForever = 30s;

class WakerTest : public ::testing::Test {
 protected:
  std::chrono::nanoseconds waited(std::chrono::nanoseconds longest) {
    const env::Instant began = world_.env().clock.monotonic();
    waker_->wait(longest);
    return world_.env().clock.monotonic() - began;
  }
  World world_;
  const std::unique_ptr<env::Waker> waker_ = world_.env().network.make_waker().take();
};

TEST_F(WakerTest, a_wake_before_the_wait_ends_it_once) {
  waker_->wake();
  waker_->wake();
  EXPECT_LT(waited(kForever), kForever);
  EXPECT_GE(waited(20ms), 20ms) << "two wakes are one, and the wait took it";
}

TEST_F(WakerTest, another_thread_ends_the_wait) {
  auto other = world_.env().threads.start("other", [this] { waker_->wake(); });
  ASSERT_TRUE(other.ok());
  EXPECT_LT(waited(kForever), kForever);
  other.value()->join();
}

}  // namespace
}  // namespace exclave::posix
