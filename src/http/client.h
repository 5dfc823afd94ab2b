// HTTP client side: requests over one connection, one at a time.
// Hides: heads, framing, keep-alive, and everything a hostile server may try (docs/threat-model.md H9).
//
//   ready --request()--> answer read --body()...--> ready        any error, or "Connection: close" -> used up
//   ready --begin()--> sent --finish()--> answer read            request() in two steps
//
// Units/limits: see limits.h; 16 KiB of memory per client; bodies go straight into the caller's buffer.
// I1  An answer is believed only if it keeps to message.h: declared length, HTTP/1.1, no 1xx, no encodings, nothing
//     sent unasked. Anything else is Corrupt and uses the connection up.
// I2  Every wait has a deadline, whatever the server does.
// Threads: one; shutdown() from any thread.
// Errors: InvalidInput (our request is not sendable), Corrupt (malformed answer), Unavailable (not sent, or reading:
//         retry on a new connection), OutcomeUnknown (a PUT or POST may have happened; idempotent, so do it again),
//         Bug (a header that may not be sent).
// See: ADR-0020.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "env/network.h"
#include "http/body.h"
#include "http/message.h"

namespace exclave::http {

namespace detail {
class Stream;
}

class Client {
 public:
  // `clock` outlives the client. The connection's peer_address() is what Host says.
  Client(std::unique_ptr<env::Connection> connection, env::Clock& clock, const Limits& limits);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Sends a request and reads the answer's head; any status is an answer. Methods: GET, HEAD, PUT, POST (a body only
  // with the last two). `headers`: no framing headers. A server that answers before it has read the whole body is
  // heard. Precondition: is_reusable(); Unavailable otherwise.
  Result<ResponseHead> request(std::string_view method, std::string_view target, const Headers& headers, ByteView body);

  // For who does something else until the answer comes. begin sends, until `deadline` at most; its errors say that nothing
  // was sent; whatever befell the sending is finish's to say. A begun request is finished, or the client dropped.
  Status begin(std::string_view method, std::string_view target, const Headers& headers, ByteView body,
               env::Instant deadline);
  // Whether begin would not have to wait to send a body of so many bytes. May say no where it would not.
  bool takes_at_once(std::size_t body_bytes) const {
    return connection_->takes_at_once(limits_->head_bytes + body_bytes);
  }
  // Takes in what has come of the answer. Whole: finish will not wait, whether it gives an answer's head or an error. Waits
  // for nothing.
  enum class Heard { Nothing, Part, Whole };
  Heard listen();
  bool was_sent() const { return sent_.ok(); }  // what begin had to send; if not, finish says why
  std::shared_ptr<const env::Watch> wake_when_answered(env::Waker& waker) {
    return connection_->wake_when_readable(waker);
  }
  // As request; Unavailable or OutcomeUnknown if there is no answer by `deadline`. Precondition: begin() returned ok.
  Result<ResponseHead> finish(env::Instant deadline);

  // The last answer's body, to be read before the next request.
  BodyReader& body() { return body_; }
  // Fills `out` with the whole body; Corrupt (and the connection is used up) if it has another length.
  Status read_body_into(MutableByteView out);
  // For an answer that is not what was hoped for: reads its short text and says which error it stands for (status.h).
  Error read_error(const ResponseHead& head);

  bool is_reusable() const;
  // Between requests: something has come that nobody asked for, most often the end.
  bool is_disturbed() { return connection_->is_readable(); }
  void shutdown();

 private:
  Result<ResponseHead> read_answer(std::string_view method, env::Instant deadline);
  Error lost(std::string_view method, const Error& cause) const;

  std::unique_ptr<env::Connection> connection_;
  std::unique_ptr<Limits> limits_;  // at a fixed address, for body_
  std::unique_ptr<detail::Stream> stream_;
  BodyReader body_;
  bool usable_ = true;
  std::string method_;  // of the request that was begun
  Status sent_;         // what came of sending it
};

}  // namespace exclave::http
