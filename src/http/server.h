// HTTP server side: the request loop of one connection.
// Hides: heads, framing, keep-alive, deadlines, refusals and how a connection is closed so that the peer can read why.
//
//   idle --first byte--> head --whole--> handler (pulls the body) --> response --> idle
//     |                    |                                             |
//     | end, idle time,    | malformed, too large, slow                  | "Connection: close", stop, body left over
//     | stop               v                                             v
//     +--------------> closed <------- refusal (4xx, 5xx) <--------------+
//
// Units/limits: see limits.h; memory per connection: 16 KiB, plus 64 KiB once a BodySource is sent.
// I1  A handler sees only requests that obey message.h; everything else is answered here, and ends the connection.
// I2  Requests of one connection are handled one after the other, in order; nothing is read beyond 16 KiB ahead.
// I3  After an error inside a body (of either direction), and after a refusal, no further request is read.
// I4  With `stop` requested, the request in progress is answered with "Connection: close"; an idle connection ends
//     within a second.
// Threads: one per connection; the handler runs on it. To cut a connection, shut it down from any thread.
// Errors: see serve_connection.
// See: ADR-0020; docs/threat-model.md H9.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <variant>

#include "env/network.h"
#include "http/body.h"
#include "http/message.h"

namespace exclave::http {

struct Response {
  int status = 200;  // 200..599
  Headers headers;   // no framing headers (message.h I2): those give 500
  std::variant<Bytes, std::unique_ptr<BodySource>> body;
  std::uint64_t length_for_head = 0;  // answers HEAD with this Content-Length when `body` is empty
  bool closes = false;                // the last answer on this connection
};

Response text_response(int status, std::string_view text);
Response error_response(const Error& error);  // status.h

// Answers one request. An Error becomes error_response(error). A body left unread is skipped if short
// (Limits::skip_bytes), otherwise the connection ends after the response.
using Handler = std::function<Result<Response>(const RequestHead&, BodyReader&)>;

// Serves until the peer leaves, idles too long or breaks the protocol, or until `stop`; then shuts the connection down.
// Ok: a clean end. Errors, for the caller to log (the peer was told where possible): InvalidInput (the peer broke the
// protocol), Unavailable (cut, too slow), or what a BodySource failed with.
Status serve_connection(env::Connection& connection, env::Clock& clock, const Limits& limits, const Handler& handler,
                        const std::stop_token& stop);

}  // namespace exclave::http
