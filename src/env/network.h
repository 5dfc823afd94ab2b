// Network: byte connections with absolute deadlines. TLS is not here (src/tls wraps a Connection).
// Hides: sockets and poll; in sim, pipes with delays, cuts and short writes from the seed.
//
// I1  No call outlives its deadline by more than a scheduling delay.
// I2  After an error other than a passed deadline, a connection is only good for being dropped.
// Threads: one thread per direction of a Connection; shutdown() from any thread wakes both.
// Errors: Unavailable (refused, reset, unreachable, deadline passed), InvalidInput (address), Exhausted (descriptors).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "env/time.h"
#include "env/waker.h"

namespace exclave::env {

class Connection {
 public:
  virtual ~Connection() = default;
  // At least one byte, or 0 = the peer closed its direction.
  virtual Result<std::size_t> read_some(MutableByteView out, Instant deadline) = 0;
  virtual Result<std::size_t> write_some(ByteView data, Instant deadline) = 0;  // at least one byte
  // Whether something has come that was not read yet: bytes, the end, or an error. Of a connection that wraps another one it may
  // be too little for a byte of its own. Waits for nothing. By the thread that reads.
  virtual bool is_readable() = 0;
  // Whether write_some and write_all would take so many bytes without a wait. May say no where they would.
  virtual bool takes_at_once(std::size_t bytes) = 0;
  // Wakes `waker` once, when it is readable or becomes so; see Waker::watch. Null, and nobody, in a world without wakers.
  virtual std::shared_ptr<const Watch> wake_when_readable(Waker& waker) = 0;
  virtual void shutdown() = 0;  // both directions; idempotent
  virtual std::string peer_address() const = 0;
};

Status write_all(Connection& connection, ByteView data, Instant deadline);

class Listener {
 public:
  virtual ~Listener() = default;
  // Blocks until a peer comes or close() is called (Cancelled).
  virtual Result<std::unique_ptr<Connection>> accept() = 0;
  virtual void close() = 0;                 // from any thread; idempotent
  virtual std::string address() const = 0;  // "host:port" with the real port
};

class Network {
 public:
  virtual ~Network() = default;
  // Address: "host:port", "[v6]:port". Port 0 = any free one.
  virtual Result<std::unique_ptr<Listener>> listen(std::string_view address) = 0;
  virtual Result<std::unique_ptr<Connection>> connect(std::string_view address, Instant deadline) = 0;
  // Unsupported where there are no descriptors to poll.
  virtual Result<std::unique_ptr<Waker>> make_waker() {
    return Error(Code::Unsupported, "this world has no descriptors to wait at");
  }
};

}  // namespace exclave::env
