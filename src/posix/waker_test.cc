#include <gtest/gtest.h>

#include <array>

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

TEST_F(WakerTest, it_tells_which_of_two_watched_connections_it_was) {
  env::Env env = world_.env();
  const env::Instant deadline = env.clock.monotonic() + kForever;
  auto listener = env.network.listen("127.0.0.1:0").take();
  std::array<std::unique_ptr<env::Connection>, 2> clients;
  std::array<std::unique_ptr<env::Connection>, 2> servers;
  for (std::size_t i = 0; i < 2; ++i) {
    clients.at(i) = env.network.connect(listener->address(), deadline).take();
    servers.at(i) = listener->accept().take();
  }
  const auto first = clients[0]->wake_when_readable(*waker_);
  const auto second = clients[1]->wake_when_readable(*waker_);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_FALSE(first->has_come() || second->has_come());

  ASSERT_TRUE(env::write_all(*servers[1], as_bytes("x"), deadline).ok());
  EXPECT_LT(waited(kForever), kForever);
  EXPECT_FALSE(first->has_come());
  EXPECT_TRUE(second->has_come());

  const auto again = clients[1]->wake_when_readable(*waker_);
  waker_->wake();
  waker_->look();
  EXPECT_TRUE(again->has_come()) << "what lay there when it was watched";
  EXPECT_LT(waited(kForever), kForever) << "a wake is not lost to who looks";
  EXPECT_GE(waited(20ms), 20ms) << "what was looked at ends no wait";
  servers[0].reset();
  EXPECT_LT(waited(kForever), kForever);
  EXPECT_TRUE(first->has_come()) << "the end, too";
}

TEST_F(WakerTest, a_watched_connection_wakes_once_each_time_it_is_watched) {
  env::Env env = world_.env();
  const env::Instant deadline = env.clock.monotonic() + kForever;
  auto listener = env.network.listen("127.0.0.1:0").take();
  auto client = env.network.connect(listener->address(), deadline).take();
  auto server = listener->accept().take();

  client->wake_when_readable(*waker_);
  EXPECT_GE(waited(20ms), 20ms) << "nothing has come";
  ASSERT_TRUE(env::write_all(*server, as_bytes("x"), deadline).ok());
  EXPECT_LT(waited(kForever), kForever);
  EXPECT_GE(waited(20ms), 20ms) << "what lies there unread wakes nobody again";
  client->wake_when_readable(*waker_);
  EXPECT_LT(waited(kForever), kForever) << "unless it is watched again";

  client->wake_when_readable(*waker_);
  waker_->wake();
  EXPECT_LT(waited(kForever), kForever);
  EXPECT_GE(waited(20ms), 20ms) << "both were one";

  client->wake_when_readable(*waker_);
  client.reset();
  EXPECT_GE(waited(20ms), 20ms) << "who is gone is forgotten";
  // A newcomer has the number of one that is gone.
  client = env.network.connect(listener->address(), deadline).take();
  server = listener->accept().take();
  client->wake_when_readable(*waker_);
  server.reset();
  EXPECT_LT(waited(kForever), kForever) << "the end can be read, too";
}

}  // namespace
}  // namespace exclave::posix
