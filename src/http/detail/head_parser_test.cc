#include "http/detail/head_parser.h"

#include <gmock/gmock.h>

namespace exclave::http::detail {
namespace {

constexpr std::uint64_t kMaxBody = 64 * 1024 * 1024;

// 0 = accepted.
int status_of_request(std::string_view head) {
  const auto parsed = parse_request_head(head, kMaxBody);
  const auto* const refusal = std::get_if<Refusal>(&parsed);
  return refusal == nullptr ? 0 : refusal->status;
}

struct Case {
  std::string_view name;
  std::string_view head;
  int status;
};

class BadRequest : public ::testing::TestWithParam<Case> {};

TEST_P(BadRequest, is_refused_with_its_status) {
  EXPECT_EQ(status_of_request(GetParam().head), GetParam().status);
}

using namespace std::string_view_literals;

INSTANTIATE_TEST_SUITE_P(
    head_parser, BadRequest,
    ::testing::Values(
        Case{"repeated_length", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
        Case{"two_lengths", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", 400},
        Case{"length_list", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", 400},
        Case{"length_with_plus", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", 400},
        Case{"negative_length", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
        Case{"length_with_zeros", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 005\r\n\r\n", 400},
        Case{"hexadecimal_length", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", 400},
        Case{"empty_length", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400},
        Case{"length_beyond_64_bits", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n",
             400},
        Case{"length_and_chunked",
             "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        Case{"chunked", "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
        Case{"obfuscated_chunked", "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
        Case{"gzip", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n", 415},
        Case{"one_byte_too_much", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 67108865\r\n\r\n", 413},
        Case{"put_without_length", "PUT /a HTTP/1.1\r\nHost: h\r\n\r\n", 411},
        Case{"post_without_length", "POST /a HTTP/1.1\r\nHost: h\r\n\r\n", 411},
        Case{"get_with_body", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", 400},
        Case{"folded_line", "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400},
        Case{"folded_first_line", "GET /a HTTP/1.1\r\n Host: h\r\n\r\n", 400},
        Case{"bare_line_feed", "GET /a HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
        Case{"bare_carriage_return", "GET /a HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
        Case{"nul", "GET /a HTTP/1.1\r\nHost: h\0\r\n\r\n"sv, 400},
        Case{"tab", "GET /a HTTP/1.1\r\nHost:\th\r\n\r\n", 400},
        Case{"byte_above_ascii", "GET /a HTTP/1.1\r\nHost: h\xc3\xa4\r\n\r\n", 400},
        Case{"space_before_colon", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n", 400},
        Case{"line_without_colon", "GET /a HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
        Case{"empty_name", "GET /a HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
        Case{"name_with_brackets", "GET /a HTTP/1.1\r\nHost: h\r\nX(y): z\r\n\r\n", 400},
        Case{"empty_line_first", "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"no_host", "GET /a HTTP/1.1\r\n\r\n", 400},
        Case{"two_hosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", 400},
        Case{"version_1_0", "GET /a HTTP/1.0\r\nHost: h\r\n\r\n", 505},
        Case{"version_2", "GET /a HTTP/2.0\r\nHost: h\r\n\r\n", 400},
        Case{"no_version", "GET /a\r\nHost: h\r\n\r\n", 400},
        Case{"two_spaces", "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"space_after_version", "GET /a HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
        Case{"percent", "GET /%2e%2e/a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"parent_segment", "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"dot_at_end", "GET /a/. HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"absolute_target", "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"asterisk_target", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"second_question_mark", "GET /a?b?c HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"equals_in_path", "GET /a=b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"backslash", "GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        Case{"odd_expectation", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: magic\r\n\r\n", 417},
        Case{"tls_hello", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"sv, 400}, Case{"nothing", "\r\n\r\n", 400},
        Case{"no_end", "GET /a HTTP/1.1\r\nHost: h\r\n", 400}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(head_parser, gives_a_request_its_parts) {
  const auto parsed = parse_request_head(
      "PUT /v1/objects/ab-c_~.x?era=3&part=1 HTTP/1.1\r\nhOsT: vault:443\r\nContent-Length: 67108864\r\n"
      "X-Thing:   spaced value  \r\nConnection: keep-alive, Close\r\nExpect: 100-Continue\r\n\r\n",
      kMaxBody);
  ASSERT_TRUE(std::holds_alternative<RequestHead>(parsed));
  const auto& head = std::get<RequestHead>(parsed);
  EXPECT_EQ(head.method, "PUT");
  EXPECT_EQ(head.path(), "/v1/objects/ab-c_~.x");
  EXPECT_EQ(head.query(), "era=3&part=1");
  EXPECT_EQ(head.content_length, 67108864U);
  EXPECT_EQ(head.headers.find("x-thing"), "spaced value");
  EXPECT_EQ(head.headers.find("absent"), std::nullopt);
  EXPECT_TRUE(head.closes);
  EXPECT_TRUE(head.expects_continue);
}

TEST(head_parser, takes_64_header_lines_and_no_more) {
  std::string head = "GET /a HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 63; ++i) head += "a: b\r\n";
  EXPECT_EQ(status_of_request(head + "\r\n"), 0);
  EXPECT_EQ(status_of_request(head + "a: b\r\n\r\n"), 400);
}

TEST(head_parser, takes_an_upload_of_no_bytes_and_a_get_that_says_so) {
  EXPECT_EQ(status_of_request("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), 0);
  EXPECT_EQ(status_of_request("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), 0);
}

class BadAnswer : public ::testing::TestWithParam<std::pair<std::string_view, std::string_view>> {};

TEST_P(BadAnswer, is_corrupt) {
  const Result<ResponseHead> parsed = parse_response_head(GetParam().second, "GET", kMaxBody);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code(), Code::Corrupt) << parsed.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    head_parser, BadAnswer,
    ::testing::Values(std::pair{"no_length"sv, "HTTP/1.1 200 OK\r\n\r\n"sv},
                      std::pair{"chunked"sv, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"sv},
                      std::pair{"repeated_length"sv,
                                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"sv},
                      std::pair{"gzip"sv, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n\r\n"sv},
                      std::pair{"too_long"sv, "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n"sv},
                      std::pair{"informational"sv, "HTTP/1.1 100 Continue\r\n\r\n"sv},
                      std::pair{"switching"sv, "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n"sv},
                      std::pair{"status_600"sv, "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"sv},
                      std::pair{"status_20"sv, "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"sv},
                      std::pair{"version_1_0"sv, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"sv},
                      std::pair{"bodiless_with_body"sv, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"sv},
                      std::pair{"bare_line_feed"sv, "HTTP/1.1 200 OK\r\nContent-Length: 0\nX: y\r\n\r\n"sv},
                      std::pair{"escape_sequence"sv, "HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n"sv},
                      std::pair{"not_http"sv, "SSH-2.0-OpenSSH_9.2\r\n\r\n"sv}),
    [](const auto& one) { return std::string(one.param.first); });

TEST(head_parser, gives_an_answer_its_parts) {
  const Result<ResponseHead> parsed = parse_response_head(
      "HTTP/1.1 206 Partial Content\r\ncontent-length: 42\r\nX-Range: 0-41\r\nconnection: close\r\n\r\n", "GET", 42);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().status, 206);
  EXPECT_EQ(parsed.value().content_length, 42U);
  EXPECT_EQ(parsed.value().headers.find("x-range"), "0-41");
  EXPECT_TRUE(parsed.value().closes);
}

TEST(head_parser, lets_head_tell_of_bodies_larger_than_the_limit) {
  const std::string_view head = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n";
  const Result<ResponseHead> parsed = parse_response_head(head, "HEAD", kMaxBody);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().content_length, 999999999999U);
}

}  // namespace
}  // namespace exclave::http::detail
