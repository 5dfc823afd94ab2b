// Head parser: one whole head, from bytes to a value, refusing every ambiguity that request smuggling lives on.
// Hides: Boost.Beast, which parses what our own check of the raw bytes has let through.
//
//   head := start-line CRLF (name ":" value CRLF)* CRLF
//
// I1  Refused: bytes outside printable ASCII (so NUL and tabs), CR or LF alone, folded lines, space before a colon, a
//     repeated or non-canonical Content-Length, any Transfer-Encoding or Content-Encoding, HTTP other than 1.1,
//     more than 64 header lines.
// I2  Content-Length is at most `max_body_bytes`.
// Threads: pure functions.
// Source: RFC 9112 sections 2.2, 3, 5, 6 and 11.2.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "http/message.h"

namespace exclave::http::detail {

// A request that is answered with `status` and ends the connection.
struct Refusal {
  int status = 400;
  std::string reason;
};

std::variant<RequestHead, Refusal> parse_request_head(std::string_view head, std::uint64_t max_body_bytes);

// Corrupt if the head is malformed: a server that does not keep to the grammar is not believed anything.
// `method` is the request's: an answer to HEAD has no body.
Result<ResponseHead> parse_response_head(std::string_view head, std::string_view method, std::uint64_t max_body_bytes);

}  // namespace exclave::http::detail
