// Bodies: pulled from a connection piece by piece, or produced piece by piece for one.
// Hides: what of the body is buffered already, "100 Continue", and the deadline.
//
//   BodyReader:  unread -> read() ... read() -> done        any error -> broken: the connection is of no further use
//
// Units/limits: lengths in bytes, declared before the first byte and at most Limits::body_bytes.
// I1  A reader gives exactly the declared bytes or an error; a body that ends early is never taken for a whole one.
// I2  No byte of a body is copied besides what arrived together with the head (at most 16 KiB).
// I3  The time allowed (Limits::body_time) starts with the first read; no byte for Limits::body_silence ends it sooner.
// Threads: by the thread that owns the connection.
// Errors: Unavailable (too slow, cut short), Exhausted (larger than the caller's limit).
// See: ADR-0020.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "env/time.h"
#include "http/limits.h"

namespace exclave::http {

namespace detail {
class Stream;
}

class BodyReader {
 public:
  enum class Continue { NotAsked, Asked };  // whether the peer waits for "100 Continue"

  BodyReader() = default;  // an empty body
  // For the codec. `stream` and `limits` outlive the reader.
  BodyReader(detail::Stream& stream, const Limits& limits, std::uint64_t length, Continue asked);

  std::uint64_t length() const { return length_; }
  std::uint64_t remaining() const { return remaining_; }
  bool is_done() const { return remaining_ == 0; }
  bool is_broken() const { return broken_; }
  bool is_awaited() const { return asked_ == Continue::Asked; }  // the peer still waits for "100 Continue"

  // At least one byte into `out` (not empty), or 0 at the end.
  Result<std::size_t> read(MutableByteView out);
  // Fills all of `out`. Precondition: out.size() <= remaining().
  Status read_exactly(MutableByteView out);
  // The rest of the body; Exhausted, with nothing read, if it is larger than `limit`.
  Result<Bytes> read_all(std::uint64_t limit);

 private:
  Error broken(std::string message);

  detail::Stream* stream_ = nullptr;
  const Limits* limits_ = nullptr;
  std::uint64_t length_ = 0;
  std::uint64_t remaining_ = 0;
  std::optional<env::Instant> deadline_;
  Continue asked_ = Continue::NotAsked;
  bool broken_ = false;
};

// A body produced while it is sent, for what should not be in memory at once.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual std::uint64_t size() const = 0;  // constant, known before the first read
  // At least one byte (never beyond size()). 0 or an error cuts the connection: the peer sees a truncated body.
  virtual Result<std::size_t> read(MutableByteView out) = 0;
};

}  // namespace exclave::http
