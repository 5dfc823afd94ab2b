// Secure connection: TLS 1.3 over any env::Connection. A peer is its pinned key.
// Hides: libssl, and how records meet the network.
//
//   read_some  <- SSL <- 64 KiB read ahead  <- inner Connection
//   write_some -> SSL -> batch of <= 132 KiB -> inner Connection      (eight full records per inner write)
//
//   state:   connect/accept -> open -> ended            ended: shutdown(), or dropped
//
// Units/limits: a write_some takes at most 128 KiB; a peer's certificate message has at most 4 KiB, a handshake 64 KiB
//               of input. About 230 KiB of memory per connection that moves bulk both ways, less otherwise.
// I1  A connection exists only if the peer proved possession of peer_key() in this handshake, with one certificate:
//     Ed25519, self-signed with a valid signature. Dates, names and extensions are ignored (ADR-0021).
// I2  read_some returns 0 only after the peer's close_notify; a stream that ends without one is an error (truncation).
// I3  No call outlives its deadline: every wait is the inner connection's, under the caller's deadline, and a peer that
//     sends records without data (key updates, empty records) is cut after 256 KiB of them, however many calls read them,
//     and though a byte of data comes in between.
// I4  After a failed write_some only reading and dropping are allowed (some of the data may have left). A read_some
//     that failed by its deadline may be repeated.
// Threads: NARROWER than env::Connection: read_some and write_some belong to one thread at a time (HTTP/1.1 takes
//          turns); two at once give Bug, never a race. shutdown() is safe from any thread and wakes a waiting call.
// Errors: Denied (no, wrong or malformed identity; or the peer refused ours), Unsupported (no common TLS version or
//         suite), Unavailable (deadline, cut, bad record, garbage), Bug (misuse).
// Randomness is libssl's own (ephemeral keys, record layer), which is why simulations leave TLS out.
// Source: RFC 8446; ADR-0021.
#pragma once

#include <chrono>
#include <memory>

#include "env/network.h"
#include "tls/identity.h"

namespace exclave::tls {

// What callers should allow for a handshake.
inline constexpr std::chrono::seconds kHandshakeTime{5};

class SecureConnection final : public env::Connection {
 public:
  ~SecureConnection() override;  // an open connection is cut without a goodbye; call shutdown() first

  const PeerKey& peer_key() const;

  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override;
  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override;
  // Also for a part of a record; not any more, once that was read. Not for a second record that came in one piece with the
  // first, until somebody reads.
  bool is_readable() override;
  bool takes_at_once(std::size_t bytes) override;
  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker& waker) override;
  // Says goodbye (close_notify) if no call is in progress and the network takes it at once; then ends both directions.
  void shutdown() override;
  std::string peer_address() const override;

  struct State;  // for src/tls only
  explicit SecureConnection(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// The client's side. Denied if the peer's key is not `expected` ("peer at A has identity 01234567, the policy pins
// 89abcdef"), before our own certificate is shown. TLS 1.3 lets a client finish before the server has judged it: a
// server that refuses us shows in the first read_some, as Denied.
Result<std::unique_ptr<SecureConnection>> connect(std::unique_ptr<env::Connection> inner, const Identity& identity,
                                                  const PeerKey& expected, env::Instant deadline);

// The server's side. Demands a certificate and proves the peer's key; whether peer_key() is allowed is the caller's
// question.
Result<std::unique_ptr<SecureConnection>> accept(std::unique_ptr<env::Connection> inner, const Identity& identity,
                                                 env::Instant deadline);

}  // namespace exclave::tls
