#include "http/server.h"

#include <gmock/gmock.h>

#include "http/testing/scripted_connection.h"

namespace exclave::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeClock;
using ::testing::HasSubstr;
using testing::ScriptedConnection;
using ::testing::StartsWith;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

std::string put(std::string_view body) {
  return "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

// Answers with the request's method, target and body.
Result<Response> echo(const RequestHead& head, BodyReader& body) {
  const Bytes bytes = TRY(body.read_all(1 << 20));
  return text_response(200, head.method + " " + head.target + " " + std::string(as_text(bytes)));
}

class Server : public ::testing::Test {
 protected:
  Status serve(const Handler& handler = echo) {
    Status status = serve_connection(connection, clock, limits, handler, stop.get_token());
    EXPECT_TRUE(connection.is_shut_down());
    return status;
  }

  FakeClock clock;
  ScriptedConnection connection{clock};
  Limits limits;
  std::stop_source stop;
};

std::string echo_answer(std::string_view text) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\nContent-Type: text/plain\r\n\r\n" +
         std::string(text);
}

TEST_F(Server, answers_requests_of_one_connection_in_order) {
  connection.sends(kGet).sends(put("hello")).sends(kGet);
  EXPECT_TRUE(serve().ok());
  EXPECT_EQ(connection.written(), echo_answer("GET /a ") + echo_answer("PUT /b hello") + echo_answer("GET /a "));
}

TEST_F(Server, gives_the_same_answers_wherever_the_input_is_split) {
  const std::string input = put("hello") + std::string(kGet) + put("");
  const std::string expected = echo_answer("PUT /b hello") + echo_answer("GET /a ") + echo_answer("PUT /b ");
  for (std::size_t first = 0; first <= input.size(); ++first) {
    FakeClock own_clock;
    ScriptedConnection split(own_clock);
    const std::string_view all = input;
    split.sends(all.substr(0, first)).pauses(milliseconds(1)).sends(all.substr(first));
    EXPECT_TRUE(serve_connection(split, own_clock, limits, echo, stop.get_token()).ok()) << first;
    ASSERT_EQ(split.written(), expected) << first;
  }
}

TEST_F(Server, gives_the_same_answers_when_every_byte_comes_alone) {
  connection.drips(put("hello") + std::string(kGet), milliseconds(1));
  EXPECT_TRUE(serve().ok());
  EXPECT_EQ(connection.written(), echo_answer("PUT /b hello") + echo_answer("GET /a "));
}

TEST_F(Server, ends_in_peace_when_an_idle_peer_leaves_or_falls_silent) {
  connection.sends(kGet).pauses(seconds(3600));
  EXPECT_TRUE(serve().ok());
  EXPECT_EQ(clock.monotonic().nanoseconds, 61'000'000'000);
  EXPECT_EQ(connection.written(), echo_answer("GET /a "));
}

TEST_F(Server, reports_a_peer_that_is_cut_while_idle_or_in_a_head) {
  connection.sends(kGet).cuts();
  EXPECT_EQ(serve().error().code(), Code::Unavailable);
  FakeClock own_clock;
  ScriptedConnection half(own_clock);
  half.sends(kGet.substr(0, 10));
  const Status status = serve_connection(half, own_clock, limits, echo, stop.get_token());
  EXPECT_EQ(status.error().message(), "peer at script:1 left in the middle of a head");
  EXPECT_EQ(half.written(), "");
}

TEST_F(Server, cuts_a_head_that_drips_at_its_deadline) {
  connection.drips("GET /" + std::string(1000, 'a'), milliseconds(200));
  const Status status = serve();
  EXPECT_EQ(status.error().code(), Code::Unavailable);
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 408 "));
  // First byte after 0.2 s, then ten seconds of head and two of lingering.
  EXPECT_LE(clock.monotonic().nanoseconds, 13'400'000'000);
}

TEST_F(Server, cuts_a_body_that_drips_below_the_least_rate) {
  connection.sends("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 131072\r\n\r\n");
  connection.drips(std::string(2000, 'x'), milliseconds(100));
  EXPECT_EQ(serve().error().code(), Code::Unavailable);
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(clock.monotonic().nanoseconds, 13'000'000'000);  // 1 + 10 + 131072 / 65536
}

TEST_F(Server, cuts_a_body_at_its_deadline_even_if_more_of_it_is_always_there) {
  connection.sends(put(std::string(100'000, 'x')));
  const Status status = serve([&](const RequestHead&, BodyReader& body) -> Result<Response> {
    Bytes piece(1000);
    while (!body.is_done()) {
      TRY(body.read(piece));
      clock.advance(seconds(1));
    }
    return text_response(200, "whole");
  });
  EXPECT_EQ(status.error().code(), Code::Unavailable);
  EXPECT_LE(clock.monotonic().nanoseconds, 16'000'000'000);
}

TEST_F(Server, never_takes_a_body_cut_short_for_a_whole_one) {
  connection.sends("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
  std::string seen;
  const Status status = serve([&](const RequestHead&, BodyReader& body) -> Result<Response> {
    const Result<Bytes> bytes = body.read_all(100);
    seen = bytes.ok() ? "whole" : bytes.error().message();
    return text_response(200, "handlers may be wrong");
  });
  EXPECT_EQ(seen, "peer at script:1: the body ended 5 bytes early");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(Server, refuses_a_head_larger_than_8_KiB_even_if_it_ends) {
  connection.sends("GET /a HTTP/1.1\r\nHost: h\r\nX: " + std::string(8192, 'x') + "\r\n\r\n");
  EXPECT_EQ(serve().error().code(), Code::InvalidInput);
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(connection.written(), HasSubstr("Connection: close"));
}

TEST_F(Server, takes_a_head_of_exactly_8_KiB) {
  std::string head = "GET /a HTTP/1.1\r\nHost: h\r\nX: ";
  head += std::string(8192 - head.size() - 4, 'x') + "\r\n\r\n";
  connection.sends(head).sends(kGet);
  EXPECT_TRUE(serve().ok());
  EXPECT_EQ(connection.written(), echo_answer("GET /a ") + echo_answer("GET /a "));
}

TEST_F(Server, answers_an_endless_head_before_it_ends) {
  for (int i = 0; i < 100; ++i) connection.sends(std::string(4096, 'x'));
  EXPECT_FALSE(serve().ok());
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 431 "));
}

TEST_F(Server, refuses_bytes_that_are_no_head_without_waiting_for_its_end) {
  connection.sends("GET /a HTTP/1.1\nHost: h\n\n").pauses(seconds(3600));
  EXPECT_EQ(serve().error().code(), Code::InvalidInput);
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 400 "));
  EXPECT_LE(clock.monotonic().nanoseconds, 3'000'000'000);  // lingering only
}

TEST_F(Server, reads_no_request_behind_a_refused_one) {
  connection.sends("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      .sends(kGet);
  EXPECT_FALSE(serve().ok());
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 400 "));
  EXPECT_EQ(connection.written().find("200"), std::string::npos);
  EXPECT_TRUE(connection.is_exhausted());  // swallowed, so that the refusal can be read
}

TEST_F(Server, refuses_a_body_of_64_MiB_and_a_byte) {
  connection.sends("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 67108865\r\n\r\n").pauses(seconds(9));
  EXPECT_FALSE(serve().ok());
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(Server, answers_head_with_a_length_and_no_body) {
  connection.sends("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n").sends("HEAD /b HTTP/1.1\r\nHost: h\r\n\r\n").sends(kGet);
  const Status status = serve([](const RequestHead& head, BodyReader&) -> Result<Response> {
    Response response;
    if (head.target == "/b") {
      response.length_for_head = 1234567890123;
    } else {
      response.body = to_bytes("abc");
    }
    return response;
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(connection.written(),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1234567890123\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
}

TEST_F(Server, says_nothing_of_a_body_with_204) {
  connection.sends(kGet);
  EXPECT_TRUE(serve([](const RequestHead&, BodyReader&) -> Result<Response> {
                Response response;
                response.status = 204;
                return response;
              }).ok());
  EXPECT_EQ(connection.written(), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(Server, turns_errors_into_answers_and_goes_on) {
  connection.sends(kGet).sends(kGet);
  int calls = 0;
  const Status status = serve([&](const RequestHead&, BodyReader&) -> Result<Response> {
    if (++calls == 2) return text_response(200, "fine");
    return Error(Code::NotFound, "no object 7").hint("Try exclave status");
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(connection.written(),
            "HTTP/1.1 404 Not Found\r\nContent-Length: 31\r\nContent-Type: text/plain\r\nerror-code: not found\r\n\r\n"
            "no object 7\nTry exclave status\n" +
                echo_answer("fine"));
}

TEST_F(Server, answers_500_rather_than_let_a_header_break_the_framing) {
  connection.sends(kGet).sends(kGet).sends(kGet);
  int calls = 0;
  const Status status = serve([&](const RequestHead&, BodyReader&) -> Result<Response> {
    Response response;
    ++calls;
    if (calls == 1) response.headers.add("X", "a\r\nContent-Length: 100");
    if (calls == 2) response.headers.add("content-LENGTH", "100");
    if (calls == 3) response.status = 100;
    return response;
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(calls, 3);
  EXPECT_THAT(connection.written(), ::testing::Not(HasSubstr("100\r\n")));
  EXPECT_THAT(connection.written(), ::testing::ContainsRegex("500 .*\n(.*\n)*.*500 .*\n(.*\n)*.*500 "));
}

TEST_F(Server, closes_after_the_answer_when_asked_to) {
  connection.sends("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").sends(kGet);
  EXPECT_TRUE(serve().ok());
  EXPECT_THAT(connection.written(), HasSubstr("Connection: close\r\n"));
  EXPECT_FALSE(connection.is_exhausted());
}

TEST_F(Server, finishes_the_request_in_progress_when_stopped) {
  connection.sends(put("hello")).sends(kGet);
  const Status status = serve([&](const RequestHead& head, BodyReader& body) {
    stop.request_stop();
    return echo(head, body);
  });
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(connection.written(), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(connection.written(), HasSubstr("PUT /b hello"));
  EXPECT_FALSE(connection.is_exhausted());
}

TEST_F(Server, leaves_an_idle_connection_within_a_second_of_stopping) {
  stop.request_stop();
  connection.pauses(seconds(3600));
  EXPECT_TRUE(serve().ok());
  EXPECT_EQ(connection.written(), "");
}

TEST_F(Server, invites_a_body_only_when_the_handler_wants_it) {
  const std::string head = "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  connection.sends(head).sends("hello").sends(head);
  int calls = 0;
  const Status status = serve([&](const RequestHead& request, BodyReader& body) -> Result<Response> {
    if (++calls == 1) return echo(request, body);
    return Error(Code::Denied, "no");
  });
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(connection.written(), StartsWith("HTTP/1.1 100 Continue\r\n\r\n" + echo_answer("PUT /b hello")));
  EXPECT_THAT(connection.written(), HasSubstr("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n"));
}

TEST_F(Server, skips_a_short_body_that_the_handler_left) {
  connection.sends(put(std::string(200'000, 'x'))).sends(kGet);
  const Status status =
      serve([](const RequestHead& head, BodyReader&) -> Result<Response> { return text_response(200, head.method); });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(connection.written(), echo_answer("PUT") + echo_answer("GET"));
}

TEST_F(Server, closes_behind_a_long_body_that_the_handler_left_but_swallows_some_of_it) {
  connection.sends(put(std::string(300'000, 'x'))).sends(kGet);
  const Status status =
      serve([](const RequestHead&, BodyReader&) -> Result<Response> { return Error(Code::Exhausted, "quota"); });
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(connection.written(),
              StartsWith("HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 6\r\nConnection: close"));
  EXPECT_EQ(connection.written().find("200 OK"), std::string::npos);
  EXPECT_TRUE(connection.is_exhausted());
}

class CountingSource final : public BodySource {
 public:
  CountingSource(std::uint64_t size, std::uint64_t fails_at) : size_(size), fails_at_(fails_at) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(MutableByteView out) override {
    if (at_ >= fails_at_) return Error(Code::Corrupt, "bad sector");
    const std::size_t size = std::min<std::size_t>(out.size(), 50'000);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<Byte>((at_ + i) % 251);
    at_ += size;
    return size;
  }

 private:
  std::uint64_t size_;
  std::uint64_t fails_at_;
  std::uint64_t at_ = 0;
};

Handler source_handler(std::uint64_t size, std::uint64_t fails_at) {
  return [=](const RequestHead&, BodyReader&) -> Result<Response> {
    Response response;
    response.body = std::make_unique<CountingSource>(size, fails_at);
    return response;
  };
}

TEST_F(Server, sends_a_source_in_pieces_of_64_KiB) {
  connection.sends(kGet).sends(kGet);
  EXPECT_TRUE(serve(source_handler(300'000, UINT64_MAX)).ok());
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n";
  ASSERT_EQ(connection.written().size(), 2 * (head.size() + 300'000));
  for (std::size_t i = 0; i < 300'000; ++i) {
    ASSERT_EQ(static_cast<Byte>(connection.written()[head.size() + i]), i % 251);
  }
  EXPECT_EQ(connection.writes(), 10U);
}

TEST_F(Server, cuts_the_connection_when_a_source_fails_midway) {
  connection.sends(kGet).sends(kGet);
  EXPECT_EQ(serve(source_handler(300'000, 100'000)).error().code(), Code::Corrupt);
  EXPECT_LT(connection.written().size(), 300'000U);
  EXPECT_FALSE(connection.is_exhausted());
}

TEST_F(Server, does_not_wait_for_ever_for_a_peer_that_does_not_read) {
  connection.sends(kGet).takes(10, milliseconds(100), SIZE_MAX);
  EXPECT_EQ(serve(source_handler(131'072, UINT64_MAX)).error().code(), Code::Unavailable);
  EXPECT_EQ(clock.monotonic().nanoseconds, 13'000'000'000);
}

}  // namespace
}  // namespace exclave::http
