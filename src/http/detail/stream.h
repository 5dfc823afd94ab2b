// Stream: a connection with a small input buffer, for finding heads; bodies pass it by.
// Hides: what was read too far.
//
//   connection -> [ consumed | buffered ] -> head parser, then the rest of the buffer, then the connection itself
//
// Units/limits: the buffer has 16 KiB, twice the largest head.
// I1  No wait exceeds its deadline, and no loop of short waits does either: the clock is asked before each.
// Threads: one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "env/network.h"

namespace exclave::http::detail {

inline constexpr std::size_t kStreamBufferBytes = 16 * 1024;

class Stream {
 public:
  // Both outlive the stream.
  Stream(env::Connection& connection, env::Clock& clock)
      : connection_(connection), clock_(clock), buffer_(kStreamBufferBytes) {}

  env::Clock& clock() { return clock_; }
  std::string peer() const { return "peer at " + connection_.peer_address(); }
  bool is_late(env::Instant deadline) { return clock_.monotonic() >= deadline; }

  std::string_view buffered() const { return as_text(ByteView(buffer_).subspan(begin_, end_ - begin_)); }
  void consume(std::size_t bytes);
  // Adds what one read gives to buffered(); 0 = the peer closed its direction. Precondition: buffered() is not full.
  Result<std::size_t> fill(env::Instant deadline);
  // Buffered bytes first, else straight from the connection into `out`; 0 = end.
  Result<std::size_t> read(MutableByteView out, env::Instant deadline);
  Status write(ByteView data, env::Instant deadline);
  void shutdown() { connection_.shutdown(); }

 private:
  env::Connection& connection_;
  env::Clock& clock_;
  Bytes buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Whether read_head_bytes would return without reading.
bool has_head(const Stream& stream, std::size_t limit);

// Reads until the buffer starts with a whole head; its size, with the empty line. Also stops at bytes that no head has
// (their parser says what is wrong). nullopt: it is larger than `limit`. 0: the peer ended, cleanly if nothing is
// buffered.
Result<std::optional<std::size_t>> read_head_bytes(Stream& stream, std::size_t limit, env::Instant deadline);

}  // namespace exclave::http::detail
