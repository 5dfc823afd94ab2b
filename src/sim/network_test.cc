// What the network between machines does to a conversation.
#include <gtest/gtest.h>

#include <set>

#include "sim/universe.h"

namespace exclave::sim {
namespace {

using namespace std::chrono_literals;

class NetworkTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  // Serves every peer of lux:7001, one after the other, by sending back what comes, until the peer closes.
  void start_echo() {
    lux.start("echo", [this] {
      auto listener = lux.env().network.listen("lux:7001");
      ASSERT_TRUE(listener.ok());
      while (true) {
        auto peer = listener.value()->accept();
        if (!peer.ok()) return;
        peers.insert(peer.value()->peer_address());
        Bytes buffer(1000);
        while (true) {
          const auto count = peer.value()->read_some(buffer, soon(lux, 1h));
          if (!count.ok() || count.value() == 0) break;
          if (!env::write_all(*peer.value(), ByteView(buffer).first(count.value()), soon(lux, 1h)).ok()) break;
        }
      }
    });
  }
  static env::Instant soon(Machine& machine, std::chrono::nanoseconds delay) {
    return machine.env().clock.monotonic() + delay;
  }
  Result<std::unique_ptr<env::Connection>> connect(std::chrono::nanoseconds patience = 10s) {
    return home.env().network.connect("lux:7001", soon(home, patience));
  }
  static Result<std::string> ask(Machine& machine, env::Connection& connection, std::string_view question,
                                 std::chrono::nanoseconds patience = 10s) {
    const env::Instant deadline = soon(machine, patience);
    TRY(env::write_all(connection, as_bytes(question), deadline));
    std::string answer;
    while (answer.size() < question.size()) {
      Bytes buffer(question.size() - answer.size());
      const std::size_t count = TRY(connection.read_some(buffer, deadline));
      if (count == 0) return Error(Code::Unavailable, "closed");
      answer += as_text(ByteView(buffer).first(count));
    }
    return answer;
  }

  // There and back, over a connection that is made already.
  std::chrono::nanoseconds time_of_a_question() {
    start_echo();
    universe.run_for(1s);
    auto connection = connect().take();
    const auto begin = universe.elapsed();
    EXPECT_TRUE(ask(home, *connection, "q").ok());
    return universe.elapsed() - begin;
  }

  Universe universe{GetParam()};
  Machine& lux = universe.machine("lux");
  Machine& home = universe.machine("home");
  std::set<std::string> peers;
};

INSTANTIATE_TEST_SUITE_P(Seeds, NetworkTest, ::testing::Range<std::uint64_t>(0, 25));

TEST_P(NetworkTest, peer_address_is_the_machines_name) {
  start_echo();
  universe.run_for(1s);
  home.run([&] {
    auto connection = connect().take();
    EXPECT_EQ(connection->peer_address(), "lux");
    EXPECT_EQ(ask(home, *connection, "hello").value(), "hello");
  });
  EXPECT_EQ(peers, std::set<std::string>{"home"});
}

TEST_P(NetworkTest, nobody_listening_is_refused_at_once) {
  home.run([&] {
    EXPECT_EQ(connect(1h).error().code(), Code::Unavailable);
    EXPECT_EQ(home.env().network.connect("nowhere:1", soon(home, 1h)).error().code(), Code::Unavailable);
  });
  EXPECT_LT(universe.elapsed(), 1s);
}

TEST_P(NetworkTest, partition_silences_and_heal_brings_back_or_resets) {
  start_echo();
  universe.run_for(1s);
  auto connection = connect().take();
  EXPECT_EQ(ask(home, *connection, "before").value(), "before");
  universe.network().partition("home", "lux");
  const auto begin = universe.elapsed();
  EXPECT_EQ(ask(home, *connection, "lost?", 5s).error().code(), Code::Unavailable);
  EXPECT_EQ(connect(5s).error().code(), Code::Unavailable);
  EXPECT_GE(universe.elapsed() - begin, 10s) << "silence lasts until the deadlines";
  EXPECT_LT(universe.elapsed() - begin, 11s);
  universe.network().heal("home", "lux");
  Bytes late(5);
  const auto arrived = connection->read_some(late, soon(home, 5s));
  if (arrived.ok()) {
    EXPECT_EQ(as_text(ByteView(late).first(arrived.value())), std::string_view("lost?").substr(0, arrived.value()));
  } else {
    EXPECT_NE(arrived.error().message().find("reset"), std::string::npos);
  }
  connection.reset();
  auto again = connect().take();
  EXPECT_EQ(ask(home, *again, "after").value(), "after");
}

TEST_P(NetworkTest, one_way_partition_holds_back_one_direction_only) {
  start_echo();
  universe.run_for(1s);
  auto connection = connect().take();
  EXPECT_EQ(ask(home, *connection, "warm").value(), "warm");
  universe.network().block("lux", "home");
  EXPECT_FALSE(ask(home, *connection, "question", 2s).ok());
  bool arrived = false;
  universe.network().heal_all();
  Bytes buffer(8);
  const auto answer = connection->read_some(buffer, soon(home, 10ms));
  arrived = answer.ok();  // it was asked, answered and held back
  EXPECT_TRUE(arrived || answer.error().message().find("reset") != std::string::npos);
}

TEST_P(NetworkTest, isolated_machine_reaches_nobody_and_others_go_on) {
  Machine& narva = universe.machine("narva");
  start_echo();
  universe.run_for(1s);
  universe.network().isolate("home");
  EXPECT_FALSE(connect(1s).ok());
  narva.run([&] {
    auto connection = narva.env().network.connect("lux:7001", soon(narva, 1s)).take();
    EXPECT_EQ(ask(narva, *connection, "still here").value(), "still here");
  });
}

TEST_P(NetworkTest, power_loss_is_silent_until_the_restart) {
  start_echo();
  universe.run_for(1s);
  auto connection = connect().take();
  EXPECT_TRUE(ask(home, *connection, "x").ok());
  lux.crash();
  const auto begin = universe.elapsed();
  const auto answer = ask(home, *connection, "y", 3s);
  EXPECT_NE(answer.error().message().find("deadline"), std::string::npos) << answer.error().message();
  EXPECT_GE(universe.elapsed() - begin, 3s);
  EXPECT_NE(connect(3s).error().message().find("deadline"), std::string::npos);
  lux.restart();
  EXPECT_NE(connect(3s).error().message().find("refused"), std::string::npos) << "up, but nobody listens yet";
  EXPECT_NE(ask(home, *connection, "z", 3s).error().message().find("reset"), std::string::npos);
  start_echo();
  universe.run_for(1s);
  EXPECT_TRUE(connect().ok());
}

TEST_P(NetworkTest, killed_process_is_noticed_at_once) {
  start_echo();
  universe.run_for(1s);
  auto connection = connect().take();
  EXPECT_TRUE(ask(home, *connection, "x").ok());
  lux.kill();
  const auto begin = universe.elapsed();
  Bytes buffer(1);
  const auto seen = connection->read_some(buffer, soon(home, 1h));
  EXPECT_TRUE(!seen.ok() || seen.value() == 0) << "a reset or the end of the stream";
  EXPECT_LT(universe.elapsed() - begin, 1s);
  EXPECT_NE(connect(1h).error().message().find("refused"), std::string::npos);
}

TEST_P(NetworkTest, cut_resets_both_ends) {
  start_echo();
  universe.run_for(1s);
  auto connection = connect().take();
  EXPECT_TRUE(ask(home, *connection, "x").ok());
  universe.network().cut("lux", "home");
  EXPECT_NE(ask(home, *connection, "y").error().message().find("reset"), std::string::npos);
  EXPECT_TRUE(connect().ok()) << "the echo server went on to the next peer";
}

TEST_P(NetworkTest, bulk_survives_short_transfers_and_back_pressure) {
  lux.start("slow reader", [&] {
    auto listener = lux.env().network.listen("lux:7001").take();
    auto peer = listener->accept().take();
    Bytes received, buffer(30'000);
    while (true) {
      EXPECT_TRUE(lux.env().clock.sleep_until(soon(lux, 10ms)).ok());
      const std::size_t count = peer->read_some(buffer, soon(lux, 1min)).value();
      if (count == 0) break;
      append(received, ByteView(buffer).first(count));
    }
    ASSERT_EQ(received.size(), 2'000'000U);
    for (std::size_t i = 0; i < received.size(); i += 997) ASSERT_EQ(received[i], static_cast<Byte>(i / 7));
  });
  universe.run_for(1s);
  home.run([&] {
    Bytes data(2'000'000);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<Byte>(i / 7);
    auto connection = connect().take();
    EXPECT_TRUE(env::write_all(*connection, data, soon(home, 1h)).ok());
  });
  universe.run();
}

TEST_P(NetworkTest, random_cuts_end_every_conversation_some_day) {
  start_echo();
  universe.run_for(1s);
  universe.network().set_cuts_per_million(20'000);
  auto connection = connect().take();
  int answered = 0;
  while (answered < 10'000 && ask(home, *connection, "question").ok()) ++answered;
  EXPECT_LT(answered, 1'000);
}

TEST_P(NetworkTest, delays_are_as_set) {
  universe.network().set_delay(100ms, 120ms);
  const auto took = time_of_a_question();
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 260ms);
}

TEST_P(NetworkTest, a_slow_machine_is_slow_to_everybody_else_alone) {
  universe.network().set_delay(1ms, 1ms);
  universe.network().set_delay_of("home", 100ms, 120ms);
  const auto took = time_of_a_question();
  EXPECT_GE(took, 202ms);
  EXPECT_LT(took, 262ms);
}

}  // namespace
}  // namespace exclave::sim
