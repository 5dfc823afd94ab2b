#include "http/detail/status.h"

#include <gmock/gmock.h>

#include "http/server.h"

namespace exclave::http {
namespace {

ResponseHead head_of(const Response& response) {
  ResponseHead head;
  head.status = response.status;
  head.headers = response.headers;
  return head;
}

TEST(status, carries_every_code_that_a_peer_can_say_message_and_hint_to_the_other_side) {
  for (int i = 0; i <= static_cast<int>(Code::Bug); ++i) {
    const Code code = static_cast<Code>(i);
    const Response response = error_response(Error(code, "object 3 is odd").hint("Look at it with exclave status"));
    const Error back = error_of(head_of(response), as_text(std::get<Bytes>(response.body)));
    // Whether we were told to stop is not for a peer to say.
    EXPECT_EQ(back.code(), code == Code::Cancelled ? Code::Unavailable : code) << name_of(code);
    EXPECT_EQ(back.message(), "object 3 is odd");
    EXPECT_EQ(back.hint_text(), "Look at it with exclave status");
  }
}

TEST(status, believes_a_code_only_with_its_own_status) {
  ResponseHead head;
  head.status = 503;
  head.headers.add("error-code", "corrupt");
  EXPECT_EQ(error_of(head, "").code(), Code::Unavailable);
  head.status = 404;
  EXPECT_EQ(error_of(head, "").code(), Code::NotFound);
}

TEST(status, escapes_and_bounds_what_a_hostile_server_says) {
  ResponseHead head;
  head.status = 400;
  const Error error = error_of(head, "\x1b[2J" + std::string(1'000'000, 'x'));
  EXPECT_EQ(error.message().find('\x1b'), std::string::npos);
  EXPECT_LE(error.message().size(), kMaxErrorBodyBytes + 16);
}

TEST(status, takes_a_redirection_for_something_unsupported) {
  ResponseHead head;
  head.status = 302;
  EXPECT_EQ(error_of(head, "").code(), Code::Unsupported);
  EXPECT_EQ(error_of(head, "").message(), "answered 302");
}

}  // namespace
}  // namespace exclave::http
