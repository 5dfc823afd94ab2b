// Transport: turns a bare connection into one whose other end has proved its key. TLS in the program; in simulations,
// which leave TLS out because its bytes are random, testing/plain_transport.h takes the peer's word for it.
// Hides: the handshake.
//
// I1  accept: `peer` is the key that the other end proved. Whether that key may do anything is the caller's question.
// I2  connect succeeds only with the holder of `expected`.
// Threads: from any thread.
// Errors: Denied (another identity, or none), Unsupported (no common version), Unavailable.
// See: tls/secure_connection.h.
#pragma once

#include <memory>

#include "env/network.h"
#include "tls/identity.h"

namespace exclave::wire {

struct AcceptedPeer {
  std::unique_ptr<env::Connection> connection;
  crypto::Ed25519PublicKey peer;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<AcceptedPeer> accept(std::unique_ptr<env::Connection> inner, env::Instant deadline) = 0;
  virtual Result<std::unique_ptr<env::Connection>> connect(std::unique_ptr<env::Connection> inner,
                                                           const crypto::Ed25519PublicKey& expected,
                                                           env::Instant deadline) = 0;
};

// Mutual TLS 1.3 as this identity.
std::unique_ptr<Transport> make_tls_transport(tls::Identity identity);

}  // namespace exclave::wire
