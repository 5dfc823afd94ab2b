// The conformance suite of env::Network: deadlines that hold, ends that wake, bytes that arrive in order.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

class NetworkConformance : public WorldConformance {
 protected:
  static constexpr auto kShort = std::chrono::milliseconds(100);
  static constexpr auto kLong = std::chrono::seconds(60);      // never waited for in full
  static constexpr auto kTolerance = std::chrono::seconds(5);  // a scheduling delay on a loaded machine

  struct Pair {
    std::unique_ptr<env::Listener> listener;
    std::unique_ptr<env::Connection> client;
    std::unique_ptr<env::Connection> server;
  };
  Pair connect_pair(env::Env env) {
    Pair pair;
    pair.listener = must(env.network.listen(world().listen_address()));
    auto accepting = must(env.threads.start("accept", [&] {
      auto accepted = pair.listener->accept();
      ASSERT_TRUE(is_ok(accepted));
      pair.server = accepted.take();
    }));
    auto client = env.network.connect(pair.listener->address(), env.clock.monotonic() + kLong);
    if (!client.ok()) pair.listener->close();
    accepting->join();
    pair.client = must(std::move(client));
    return pair;
  }
  static std::string read_text(env::Connection& connection, std::size_t size, env::Instant deadline) {
    std::string text;
    Bytes buffer(size);
    while (text.size() < size) {
      const std::size_t n = must(connection.read_some(MutableByteView(buffer).first(size - text.size()), deadline));
      if (n == 0) break;
      text += as_text(ByteView(buffer).first(n));
    }
    return text;
  }
  static bool is_soon(env::Env env, env::Instant since) { return env.clock.monotonic() - since < kTolerance; }
};

TEST_P(NetworkConformance, bytes_go_both_ways_and_end_with_zero) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant deadline = env.clock.monotonic() + kLong;
    must(env::write_all(*pair.client, as_bytes("question"), deadline));
    EXPECT_EQ(read_text(*pair.server, 8, deadline), "question");
    must(env::write_all(*pair.server, as_bytes("answer"), deadline));
    pair.server->shutdown();
    EXPECT_EQ(read_text(*pair.client, 100, deadline), "answer")
        << "what was sent before the end arrives before the end";
    Bytes buffer(10);
    EXPECT_EQ(must(pair.client->read_some(buffer, deadline)), 0U);
    EXPECT_FALSE(pair.client->peer_address().empty());
  });
}

TEST_P(NetworkConformance, ten_megabytes_arrive_in_order) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant deadline = env.clock.monotonic() + kLong;
    Bytes sent(10'000'000);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<Byte>(i * 13 + i / 257);
    auto writer = must(env.threads.start("writer", [&] {
      EXPECT_TRUE(is_ok(env::write_all(*pair.client, sent, deadline)));
      pair.client->shutdown();
    }));
    Bytes received;
    Bytes buffer(100'000);
    while (true) {
      const auto n = pair.server->read_some(buffer, deadline);
      if (!n.ok()) ADD_FAILURE() << n.error().message();
      if (!n.ok() || n.value() == 0) break;
      append(received, ByteView(buffer).first(n.value()));
    }
    writer->join();
    EXPECT_TRUE(equal(received, sent));
  });
}

TEST_P(NetworkConformance, reading_ends_at_the_deadline_and_the_connection_stays_good) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant begin = env.clock.monotonic();
    Bytes buffer(10);
    EXPECT_TRUE(failed_with(pair.client->read_some(buffer, begin + kShort), Code::Unavailable));
    EXPECT_GE(env.clock.monotonic(), begin + kShort);
    EXPECT_TRUE(is_soon(env, begin));
    must(env::write_all(*pair.server, as_bytes("late"), env.clock.monotonic() + kLong));
    EXPECT_EQ(read_text(*pair.client, 4, env.clock.monotonic() + kLong), "late");
  });
}

TEST_P(NetworkConformance, reading_with_a_passed_deadline_does_not_wait) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant begin = env.clock.monotonic();
    Bytes buffer(10);
    EXPECT_TRUE(failed_with(pair.client->read_some(buffer, env::Instant{}), Code::Unavailable));
    EXPECT_TRUE(is_soon(env, begin));
  });
}

TEST_P(NetworkConformance, what_can_be_read_is_known_without_waiting) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const auto becomes_readable = [&] {
      const env::Instant until = env.clock.monotonic() + kLong;
      while (!pair.client->is_readable() && env.clock.monotonic() < until) {
        must(env.clock.sleep_until(env.clock.monotonic() + std::chrono::milliseconds(1)));
      }
      return pair.client->is_readable();
    };
    EXPECT_FALSE(pair.client->is_readable());
    must(env::write_all(*pair.server, as_bytes("word"), env.clock.monotonic() + kLong));
    EXPECT_TRUE(becomes_readable()) << "bytes";
    EXPECT_EQ(read_text(*pair.client, 4, env.clock.monotonic() + kLong), "word");
    EXPECT_FALSE(pair.client->is_readable());
    pair.server.reset();
    EXPECT_TRUE(becomes_readable()) << "the end";
  });
}

TEST_P(NetworkConformance, what_is_taken_at_once_is_known_before_it_is_written) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const Bytes block(1'000);
    ASSERT_TRUE(pair.client->takes_at_once(block.size()));
    int blocks = 0;
    for (; blocks < 1'000'000 && pair.client->takes_at_once(block.size()); ++blocks) {
      ASSERT_TRUE(is_ok(env::write_all(*pair.client, block, env.clock.monotonic() + kShort))) << blocks;
    }
    EXPECT_LT(blocks, 1'000'000) << "what nobody reads fills the buffers";
    EXPECT_FALSE(pair.client->takes_at_once(block.size()));
  });
}

TEST_P(NetworkConformance, writing_what_nobody_reads_ends_at_the_deadline) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const Bytes block(1'000'000);
    const env::Instant begin = env.clock.monotonic();
    Status written;
    for (int i = 0; i < 1'000 && written.ok(); ++i) written = env::write_all(*pair.client, block, begin + kShort);
    EXPECT_TRUE(failed_with(written, Code::Unavailable)) << "buffers between the two ends are bounded";
    EXPECT_TRUE(is_soon(env, begin));
  });
}

TEST_P(NetworkConformance, shutdown_wakes_the_own_reader) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant begin = env.clock.monotonic();
    auto reader = must(env.threads.start("reader", [&] {
      Bytes buffer(10);
      const auto n = pair.client->read_some(buffer, begin + kLong);
      EXPECT_TRUE(!n.ok() || n.value() == 0);
    }));
    ASSERT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
    pair.client->shutdown();
    pair.client->shutdown();
    reader->join();
    EXPECT_TRUE(is_soon(env, begin));
    EXPECT_FALSE(pair.client->write_some(as_bytes("x"), env.clock.monotonic() + kShort).ok());
  });
}

TEST_P(NetworkConformance, shutdown_wakes_the_own_writer) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant begin = env.clock.monotonic();
    auto writer = must(env.threads.start("writer", [&] {
      const Bytes block(1'000'000);
      Status written;
      for (int i = 0; i < 1'000 && written.ok(); ++i) written = env::write_all(*pair.client, block, begin + kLong);
      EXPECT_TRUE(failed_with(written, Code::Unavailable));
    }));
    ASSERT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
    pair.client->shutdown();
    writer->join();
    EXPECT_TRUE(is_soon(env, begin));
  });
}

TEST_P(NetworkConformance, shutdown_of_one_end_wakes_the_reader_of_the_other) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant begin = env.clock.monotonic();
    auto reader = must(env.threads.start("reader", [&] {
      Bytes buffer(10);
      const auto n = pair.server->read_some(buffer, begin + kLong);
      ASSERT_TRUE(is_ok(n));
      EXPECT_EQ(n.value(), 0U);
    }));
    ASSERT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
    pair.client->shutdown();
    reader->join();
    EXPECT_TRUE(is_soon(env, begin));
  });
}

TEST_P(NetworkConformance, dropping_an_end_ends_the_other) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    pair.client.reset();
    Bytes buffer(10);
    EXPECT_EQ(must(pair.server->read_some(buffer, env.clock.monotonic() + kLong)), 0U);
    Status written;
    for (int i = 0; i < 1'000 && written.ok(); ++i) {
      written = env::write_all(*pair.server, Bytes(100'000), env.clock.monotonic() + kLong);
    }
    EXPECT_TRUE(failed_with(written, Code::Unavailable));
  });
}

TEST_P(NetworkConformance, both_directions_may_be_used_by_their_own_thread) {
  run([this](env::Env env, const std::string&) {
    Pair pair = connect_pair(env);
    const env::Instant deadline = env.clock.monotonic() + kLong;
    static constexpr std::size_t kTotal = 2'000'000;
    const auto send = [deadline](env::Connection& connection) {
      EXPECT_TRUE(is_ok(env::write_all(connection, Bytes(kTotal, 7), deadline)));
    };
    const auto receive = [deadline](env::Connection& connection) {
      Bytes buffer(50'000);
      std::size_t total = 0;
      while (total < kTotal) {
        const auto n = connection.read_some(buffer, deadline);
        ASSERT_TRUE(is_ok(n));
        ASSERT_GT(n.value(), 0U);
        total += n.value();
      }
      EXPECT_EQ(total, kTotal);
    };
    auto a = must(env.threads.start("a", [&] { send(*pair.client); }));
    auto b = must(env.threads.start("b", [&] { send(*pair.server); }));
    auto c = must(env.threads.start("c", [&] { receive(*pair.client); }));
    auto d = must(env.threads.start("d", [&] { receive(*pair.server); }));
    for (auto* thread : {a.get(), b.get(), c.get(), d.get()}) thread->join();
  });
}

TEST_P(NetworkConformance, close_ends_accept_now_and_later) {
  run([this](env::Env env, const std::string&) {
    auto listener = must(env.network.listen(world().listen_address()));
    const env::Instant begin = env.clock.monotonic();
    auto accepting =
        must(env.threads.start("accept", [&] { EXPECT_TRUE(failed_with(listener->accept(), Code::Cancelled)); }));
    ASSERT_TRUE(is_ok(env.clock.sleep_until(begin + kShort)));
    listener->close();
    accepting->join();
    EXPECT_TRUE(is_soon(env, begin));
    listener->close();
    EXPECT_TRUE(failed_with(listener->accept(), Code::Cancelled));
  });
}

TEST_P(NetworkConformance, connecting_where_nobody_listens_is_refused) {
  run([this](env::Env env, const std::string&) {
    auto listener = must(env.network.listen(world().listen_address()));
    const std::string address = listener->address();
    listener->close();
    const env::Instant begin = env.clock.monotonic();
    EXPECT_TRUE(failed_with(env.network.connect(address, begin + kLong), Code::Unavailable))
        << "closed, not yet dropped";
    listener.reset();
    EXPECT_TRUE(failed_with(env.network.connect(address, begin + kLong), Code::Unavailable));
    EXPECT_TRUE(is_soon(env, begin));
  });
}

TEST_P(NetworkConformance, addresses_are_parsed_strictly) {
  run([](env::Env env, const std::string&) {
    const env::Instant deadline = env.clock.monotonic() + kLong;
    for (const char* wrong : {"", ":", "host", "host:", ":80", "host:65536", "host:-1", "host:8 0", "host:080", "[::1]",
                              "::1:80", "[::1:80", "[]:80"}) {
      EXPECT_TRUE(failed_with(env.network.connect(wrong, deadline), Code::InvalidInput)) << wrong;
      EXPECT_TRUE(failed_with(env.network.listen(wrong), Code::InvalidInput)) << wrong;
    }
    EXPECT_TRUE(failed_with(env.network.connect("127.0.0.1:0", deadline), Code::InvalidInput))
        << "port 0 is for listening";
  });
}

}  // namespace exclave::conformance
