// Limits: how much and how long a peer may take. Every phase has an absolute deadline, counted from its start.
//
//   server:  idle -> head -> body -> (handler) -> response -> idle ...      client:  request -> answer -> body
//
// Units: bytes and std::chrono. The defaults are the project's; tests shorten them.
#pragma once

#include <chrono>
#include <cstdint>

namespace exclave::http {

struct Limits {
  std::size_t head_bytes = 8 * 1024;  // at most 8 KiB: what the codec's buffer is made for
  std::uint64_t body_bytes = 64 * 1024 * 1024;
  std::chrono::nanoseconds idle = std::chrono::seconds(60);    // server: until the first byte of the next request
  std::chrono::nanoseconds head = std::chrono::seconds(10);    // server: from its first byte to its last
  std::chrono::nanoseconds answer = std::chrono::seconds(60);  // client: from the request's end to the answer's head
  // A body of n bytes, in either direction: body_grace + n / body_bytes_per_second.
  std::chrono::nanoseconds body_grace = std::chrono::seconds(10);
  std::uint64_t body_bytes_per_second = 64 * 1024;
  // And never so long without a byte: the link is dead, and what the body holds up must not wait for the whole time.
  std::chrono::nanoseconds body_silence = std::chrono::seconds(30);
  // Server: a body the handler left unread is skipped up to this size; beyond it the connection is closed instead.
  std::uint64_t skip_bytes = 256 * 1024;
  // Server: how long a closing connection still swallows input, so that the peer can read why it was refused.
  std::chrono::nanoseconds linger = std::chrono::seconds(2);

  std::chrono::nanoseconds body_time(std::uint64_t length) const {
    return body_grace + std::chrono::seconds(length / body_bytes_per_second);
  }
};

}  // namespace exclave::http
