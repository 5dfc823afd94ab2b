// Client and server against each other over real sockets: what scripts cannot show.
#include <gmock/gmock.h>

#include <atomic>

#include "http/client.h"
#include "http/detail/status.h"
#include "http/server.h"
#include "posix/network.h"
#include "posix/threads.h"
#include "posix/time.h"

namespace exclave::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Repeated final : public BodySource {
 public:
  explicit Repeated(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteView out) override {
    for (Byte& byte : out) byte = static_cast<Byte>(at_++ % 251);
    return out.size();
  }

 private:
  std::uint64_t size_;
  std::uint64_t at_ = 0;
};

// PUT /sum answers with the sum of the body's bytes, GET /big with 5 MiB, PUT /full refuses unread, GET /stop asks for
// the end.
class Loopback : public ::testing::Test {
 protected:
  Loopback() : listener_(network.listen("127.0.0.1:0").take()) {}

  void serve() {
    server = threads
                 .start("http-server",
                        [this] {
                          auto connection = listener_->accept();
                          if (!connection.ok()) return;
                          served = serve_connection(
                              *connection.value(), clock, limits,
                              [this](const RequestHead& h, BodyReader& b) { return handle(h, b); }, stop.get_token());
                        })
                 .take();
  }
  std::unique_ptr<env::Connection> dial() { return network.connect(listener_->address(), in(seconds(10))).take(); }
  env::Instant in(std::chrono::nanoseconds time) { return clock.monotonic() + time; }

  Result<Response> handle(const RequestHead& head, BodyReader& body) {
    if (head.target == "/full") return Error(Code::Exhausted, "quota of writer 7 is used up");
    if (head.target == "/stop") stop.request_stop();
    if (head.target == "/big") {
      Response response;
      response.body = std::make_unique<Repeated>(5 * 1024 * 1024);
      return response;
    }
    std::uint64_t sum = 0;
    Bytes piece(64 * 1024);
    while (!body.is_done()) {
      const std::size_t got = TRY(body.read(piece));
      for (std::size_t i = 0; i < got; ++i) sum += piece[i];
    }
    return text_response(200, std::to_string(sum));
  }

  posix::Clock clock;
  posix::Network network;
  posix::Threads threads;
  Limits limits;
  std::stop_source stop;
  Status served;
  std::unique_ptr<env::Listener> listener_;
  std::unique_ptr<env::Thread> server;
};

TEST_F(Loopback, carries_large_bodies_both_ways_on_one_connection) {
  serve();
  Client client(dial(), clock, limits);
  Bytes body(20'000'000, 3);
  Bytes big(5 * 1024 * 1024);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(client.request("PUT", "/sum", {}, body).value().status, 200);
    EXPECT_EQ(as_text(client.body().read_all(100).value()), "60000000");
    ASSERT_EQ(client.request("GET", "/big", {}, {}).value().content_length, big.size());
    ASSERT_TRUE(client.read_body_into(big).ok());
    EXPECT_EQ(big.back(), static_cast<Byte>((big.size() - 1) % 251));
  }
  client.shutdown();
  server->join();
  EXPECT_TRUE(served.ok());
}

TEST_F(Loopback, tells_a_writer_in_the_middle_of_its_body_why_it_is_refused) {
  serve();
  Client client(dial(), clock, limits);
  const Bytes body(20'000'000, 3);
  const Result<ResponseHead> answer = client.request("PUT", "/full", {}, body);
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  const Error error = client.read_error(answer.value());
  EXPECT_EQ(error.code(), Code::Exhausted);
  EXPECT_THAT(error.message(), ::testing::EndsWith("quota of writer 7 is used up"));
  EXPECT_FALSE(client.is_reusable());
}

TEST_F(Loopback, drains_the_request_in_progress_and_ends) {
  serve();
  Client client(dial(), clock, limits);
  const Result<ResponseHead> answer = client.request("GET", "/stop", {}, {});
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer.value().closes);
  EXPECT_TRUE(client.body().read_all(100).ok());
  EXPECT_FALSE(client.is_reusable());
  server->join();
  EXPECT_TRUE(served.ok());
}

TEST_F(Loopback, lets_go_of_an_idle_connection_soon_after_the_stop) {
  serve();
  const auto idle = dial();
  ASSERT_TRUE(clock.sleep_until(in(milliseconds(50))).ok());
  const env::Instant begin = clock.monotonic();
  stop.request_stop();
  server->join();
  EXPECT_LT(clock.monotonic() - begin, seconds(5));
  EXPECT_TRUE(served.ok());
}

TEST_F(Loopback, cuts_a_head_that_drips) {
  limits.head = milliseconds(300);
  limits.linger = milliseconds(100);
  serve();
  const auto slow = dial();
  std::atomic<bool> done = false;
  const auto dripping = threads
                            .start("dripper",
                                   [&] {
                                     while (!done && env::write_all(*slow, as_bytes("G"), in(seconds(1))).ok()) {
                                       if (!clock.sleep_until(in(milliseconds(40))).ok()) return;
                                     }
                                   })
                            .take();
  const env::Instant begin = clock.monotonic();
  server->join();
  done = true;
  EXPECT_LT(clock.monotonic() - begin, seconds(5));
  EXPECT_EQ(served.error().code(), Code::Unavailable);
}

}  // namespace
}  // namespace exclave::http
