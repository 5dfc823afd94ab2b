#include "http/client.h"

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

class ClientTest : public ::testing::Test {
 protected:
  // A client of a server that follows the script.
  Client client() { return {std::move(script_), clock, limits}; }
  Result<ResponseHead> get(Client& of) { return of.request("GET", "/a", {}, {}); }
  Result<ResponseHead> put(Client& of, std::string_view body) { return of.request("PUT", "/b", {}, as_bytes(body)); }

  FakeClock clock;
  Limits limits;
  std::unique_ptr<ScriptedConnection> script_ = std::make_unique<ScriptedConnection>(clock);
  ScriptedConnection& server = *script_;
};

std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_F(ClientTest, sends_requests_and_reads_answers_one_after_the_other) {
  server.sends(ok("first")).sends(ok("")).sends("HTTP/1.1 204 No Content\r\n\r\n");
  Client c = client();
  ASSERT_EQ(get(c).value().status, 200);
  EXPECT_FALSE(c.is_reusable());
  EXPECT_EQ(as_text(c.body().read_all(100).value()), "first");
  EXPECT_TRUE(c.is_reusable());
  ASSERT_EQ(c.request("POST", "/p?q=1", {{"X-Key", "v"}}, as_bytes("body")).value().status, 200);
  ASSERT_EQ(put(c, "").value().status, 204);
  EXPECT_EQ(server.written(),
            "GET /a HTTP/1.1\r\nHost: script:1\r\n\r\n"
            "POST /p?q=1 HTTP/1.1\r\nHost: script:1\r\nContent-Length: 4\r\nX-Key: v\r\n\r\nbody"
            "PUT /b HTTP/1.1\r\nHost: script:1\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(ClientTest, a_request_may_be_begun_and_finished_apart) {
  server.pauses(milliseconds(30)).sends(ok("late"));
  Client c = client();
  const auto soon = [&] { return clock.monotonic() + milliseconds(10); };
  ASSERT_TRUE(c.begin("POST", "/p", {}, as_bytes("body"), soon()).ok());
  EXPECT_THAT(server.written(), StartsWith("POST /p HTTP/1.1\r\n"));
  EXPECT_TRUE(c.was_sent());
  EXPECT_EQ(c.listen(), Client::Heard::Nothing);
  EXPECT_FALSE(c.is_reusable());
  EXPECT_EQ(c.begin("GET", "/a", {}, {}, soon()).error().code(), Code::Unavailable) << "one at a time";
  ASSERT_EQ(c.finish(soon() + milliseconds(30)).value().status, 200);
  EXPECT_EQ(as_text(c.body().read_all(100).value()), "late");
  EXPECT_TRUE(c.is_reusable());
}

TEST_F(ClientTest, whoever_listens_waits_for_nothing_and_hears_it_piece_by_piece) {
  server.sends("HTTP/1.1 200 OK\r\n").pauses(seconds(1)).sends("Content-Length: 0\r\n").sends("\r\n");
  Client c = client();
  ASSERT_TRUE(c.begin("POST", "/p", {}, {}, clock.monotonic() + milliseconds(10)).ok());
  const env::Instant began = clock.monotonic();
  EXPECT_EQ(c.listen(), Client::Heard::Part);
  EXPECT_EQ(c.listen(), Client::Heard::Part);
  EXPECT_EQ(clock.monotonic(), began);
  clock.advance(seconds(1));
  server.resumes();
  EXPECT_EQ(c.listen(), Client::Heard::Whole);
  EXPECT_EQ(c.finish(clock.monotonic()).value().status, 200) << "even if it is late by now";
  EXPECT_TRUE(c.is_reusable());

  ASSERT_TRUE(c.begin("POST", "/p", {}, {}, clock.monotonic() + milliseconds(10)).ok());
  EXPECT_EQ(c.listen(), Client::Heard::Whole) << "the end is an answer, too";
  EXPECT_EQ(c.finish(clock.monotonic()).error().code(), Code::OutcomeUnknown);
}

TEST_F(ClientTest, H9_whoever_listens_is_not_held_by_a_server_that_never_ends_its_head) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  for (const char byte : head) server.sends(std::string_view(&byte, 1));
  Client c = client();
  ASSERT_TRUE(c.begin("POST", "/p", {}, {}, clock.monotonic() + milliseconds(10)).ok());
  EXPECT_EQ(c.listen(), Client::Heard::Part);
  EXPECT_EQ(c.finish(clock.monotonic() + milliseconds(10)).value().status, 200);
}

TEST_F(ClientTest, an_answer_that_does_not_come_in_time_leaves_the_outcome_open) {
  server.pauses(milliseconds(30)).sends(ok(""));
  Client c = client();
  ASSERT_TRUE(c.begin("POST", "/p", {}, {}, clock.monotonic() + milliseconds(10)).ok());
  EXPECT_EQ(c.finish(clock.monotonic() + milliseconds(10)).error().code(), Code::OutcomeUnknown);
  EXPECT_FALSE(c.is_reusable()) << "the answer would be taken for another request's";
}

TEST_F(ClientTest, what_a_begun_request_could_not_send_is_told_when_it_is_finished) {
  server.takes(1, milliseconds(8), 1'000).pauses(seconds(5)).sends(ok(""));
  Client c = client();
  ASSERT_TRUE(c.begin("POST", "/p", {}, as_bytes("body"), clock.monotonic() + milliseconds(10)).ok());
  EXPECT_FALSE(c.was_sent());
  EXPECT_EQ(c.listen(), Client::Heard::Whole) << "finish has something to tell";
  EXPECT_EQ(c.finish(clock.monotonic() + seconds(60)).error().code(), Code::OutcomeUnknown);
  EXPECT_FALSE(c.is_reusable());
  EXPECT_EQ(c.begin("POST", "bad target", {}, {}, clock.monotonic()).error().code(), Code::InvalidInput);
}

TEST_F(ClientTest, reads_the_same_answer_wherever_it_is_split) {
  const std::string answer = ok("some body");
  for (std::size_t first = 0; first <= answer.size(); ++first) {
    FakeClock own_clock;
    auto split = std::make_unique<ScriptedConnection>(own_clock);
    const std::string_view all = answer;
    split->sends(all.substr(0, first)).pauses(milliseconds(1)).sends(all.substr(first));
    Client c(std::move(split), own_clock, limits);
    ASSERT_EQ(get(c).value().content_length, 9U) << first;
    EXPECT_EQ(as_text(c.body().read_all(100).value()), "some body") << first;
  }
}

TEST_F(ClientTest, sends_the_start_of_a_body_with_its_head_and_the_rest_uncopied) {
  server.sends(ok(""));
  Client c = client();
  ASSERT_TRUE(put(c, std::string(1'000'000, 'x')).ok());
  EXPECT_EQ(server.writes(), 2U);
  EXPECT_THAT(server.written(), StartsWith("PUT /b HTTP/1.1\r\nHost: script:1\r\nContent-Length: 1000000\r\n\r\nxxx"));
}

TEST_F(ClientTest, reads_a_body_straight_into_the_callers_buffer) {
  const std::string body(100'000, 'z');
  server.sends(ok(body)).sends(ok("ab"));
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  Bytes room(body.size());
  EXPECT_TRUE(c.read_body_into(room).ok());
  EXPECT_EQ(as_text(room), body);
  ASSERT_TRUE(get(c).ok());
  Bytes wrong(3);
  EXPECT_EQ(c.read_body_into(wrong).error().code(), Code::Corrupt);
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, expects_no_body_after_head_whatever_its_length_says) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 777\r\n\r\n").sends(ok("x"));
  Client c = client();
  const Result<ResponseHead> head = c.request("HEAD", "/a", {}, {});
  EXPECT_EQ(head.value().content_length, 777U);
  EXPECT_TRUE(c.body().is_done());
  EXPECT_EQ(get(c).value().content_length, 1U);
}

TEST_F(ClientTest, refuses_to_send_what_is_not_a_request) {
  Client c = client();
  const auto code = [&](std::string_view method, std::string_view target, const Headers& headers,
                        std::string_view body) {
    const Result<ResponseHead> answer = c.request(method, target, headers, as_bytes(body));
    return answer.ok() ? Code::Cancelled : answer.error().code();
  };
  EXPECT_EQ(code("DELETE", "/a", {}, ""), Code::InvalidInput);
  EXPECT_EQ(code("GET", "/a b", {}, ""), Code::InvalidInput);
  EXPECT_EQ(code("GET", "/a\r\nX: y", {}, ""), Code::InvalidInput);
  EXPECT_EQ(code("GET", "/../a", {}, ""), Code::InvalidInput);
  EXPECT_EQ(code("GET", "/a", {}, "body"), Code::InvalidInput);
  EXPECT_EQ(code("PUT", "/a", {}, std::string(limits.body_bytes + 1, 'x')), Code::InvalidInput);
  EXPECT_EQ(code("GET", "/a", {{"X", "a\r\nY: b"}}, ""), Code::Bug);
  EXPECT_EQ(code("GET", "/a", {{"Host", "elsewhere"}}, ""), Code::Bug);
  EXPECT_EQ(code("GET", "/a", {{"X", std::string(9000, 'x')}}, ""), Code::Bug);
  EXPECT_EQ(server.written(), "");
  EXPECT_TRUE(c.is_reusable());
}

TEST_F(ClientTest, gives_up_on_a_server_that_drips_its_head) {
  server.drips("HTTP/1.1 200 OK\r\n" + std::string(8000, 'x'), milliseconds(200));
  Client c = client();
  EXPECT_EQ(get(c).error().code(), Code::Unavailable);
  EXPECT_EQ(clock.monotonic().nanoseconds, 61'000'000'000);
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, gives_up_on_a_body_that_stops_coming_long_before_its_time) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n").sends(std::string(1000, 'x')).pauses(seconds(60));
  server.sends(std::string(1000, 'x'));
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  Bytes room(16777216);
  EXPECT_EQ(c.read_body_into(room).error().message(), "peer at script:1: the body has stopped coming");
  EXPECT_EQ(clock.monotonic().nanoseconds, 31'000'000'000);
}

TEST_F(ClientTest, gives_up_on_a_server_that_drips_its_body) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n").drips(std::string(1000, 'x'), milliseconds(100));
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  Bytes room(131072);
  EXPECT_EQ(c.read_body_into(room).error().message(), "peer at script:1: the body comes too slowly");
  EXPECT_EQ(clock.monotonic().nanoseconds, 13'000'000'000);
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, takes_a_head_without_end_for_corrupt_after_8_KiB) {
  for (int i = 0; i < 1000; ++i) server.sends(std::string(1000, 'x'));
  Client c = client();
  EXPECT_EQ(get(c).error().code(), Code::Corrupt);
  EXPECT_FALSE(server.is_exhausted());
}

TEST_F(ClientTest, refuses_a_body_larger_than_was_agreed_before_reading_it) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n");
  Client c = client();
  EXPECT_EQ(get(c).error().code(), Code::Corrupt);
}

TEST_F(ClientTest, refuses_to_hold_a_body_larger_than_the_caller_wants) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  EXPECT_EQ(c.body().read_all(1000).error().code(), Code::Exhausted);
  EXPECT_FALSE(c.is_reusable());
  EXPECT_EQ(get(c).error().code(), Code::Unavailable);
}

TEST_F(ClientTest, does_not_take_an_answer_that_nobody_asked_for) {
  server.sends(ok("x") + ok("forged"));
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  EXPECT_TRUE(c.body().read_all(10).ok());
  EXPECT_EQ(get(c).error().message(), "peer at script:1 sent bytes that nobody asked for");
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, never_takes_a_body_cut_short_for_a_whole_one) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
  Client c = client();
  ASSERT_TRUE(get(c).ok());
  Bytes room(10);
  EXPECT_EQ(c.read_body_into(room).error().message(), "peer at script:1: the body ended 5 bytes early");
}

TEST_F(ClientTest, knows_that_an_upload_without_an_answer_may_have_happened) {
  {
    Client c = client();
    EXPECT_EQ(put(c, "x").error().code(), Code::OutcomeUnknown);
    EXPECT_FALSE(c.is_reusable());
  }
  Client reading(std::make_unique<ScriptedConnection>(clock), clock, limits);
  EXPECT_EQ(get(reading).error().code(), Code::Unavailable);
}

TEST_F(ClientTest, hears_why_a_server_stopped_reading) {
  server.takes(100'000, milliseconds(0), 200'000)
      .sends(
          "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 11\r\nerror-code: exhausted\r\nConnection: "
          "close\r\n\r\n"
          "quota used\n");
  Client c = client();
  const Result<ResponseHead> answer = put(c, std::string(1'000'000, 'x'));
  ASSERT_TRUE(answer.ok());
  const Error error = c.read_error(answer.value());
  EXPECT_EQ(error.code(), Code::Exhausted);
  EXPECT_EQ(error.message(), "peer at script:1: quota used");
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, believes_no_success_for_a_body_that_was_not_sent) {
  server.takes(100'000, milliseconds(0), 200'000).sends(ok(""));
  Client c = client();
  EXPECT_EQ(put(c, std::string(1'000'000, 'x')).error().code(), Code::OutcomeUnknown);
}

TEST_F(ClientTest, does_not_wait_for_ever_for_a_server_that_does_not_read) {
  server.takes(10, milliseconds(100), SIZE_MAX).pauses(seconds(3600));
  Client c = client();
  EXPECT_EQ(put(c, std::string(131'072, 'x')).error().code(), Code::OutcomeUnknown);
  EXPECT_EQ(clock.monotonic().nanoseconds, 14'000'000'000);  // 1 + 12, and a second for its last word
}

TEST_F(ClientTest, connects_anew_after_connection_close) {
  server.sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  Client c = client();
  EXPECT_TRUE(get(c).ok());
  EXPECT_FALSE(c.is_reusable());
}

TEST_F(ClientTest, survives_an_error_page_without_end) {
  server.sends("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 60000000\r\n\r\n" + std::string(100, 'x'));
  Client c = client();
  const Result<ResponseHead> answer = get(c);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(c.read_error(answer.value()).message(), "peer at script:1: answered 503");
  EXPECT_FALSE(c.is_reusable());
}

}  // namespace
}  // namespace exclave::http
