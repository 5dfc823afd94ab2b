// Writer: heads and small messages on their way out, in as few writes as possible.
// Hides: that a head and the start of its body leave together (one packet, one TLS record).
//
// I1  Nothing is written that would change the framing: a header with a line break in it is an error, not a new line.
// Threads: one.
#pragma once

#include <string>
#include <string_view>

#include "http/detail/stream.h"
#include "http/message.h"

namespace exclave::http::detail {

inline constexpr std::size_t kWriteBufferBytes = 64 * 1024;

class HeadWriter {
 public:
  explicit HeadWriter(std::string start_line) : text_(std::move(start_line) + "\r\n") {}
  // A line of the codec's own. Precondition: is_valid_header.
  void add(std::string_view name, std::string_view value);
  // The caller's lines. Bug: invalid, or one of the framing headers (message.h I2), or more than fits a head.
  Status add_all(const Headers& headers);
  std::string finish() &&;

 private:
  std::string text_;
};

// Head and body, the start of the body in the same write as the head.
Status write_message(Stream& stream, std::string head, ByteView body, env::Instant deadline);

}  // namespace exclave::http::detail
