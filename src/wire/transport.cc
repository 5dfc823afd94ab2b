#include "wire/transport.h"

#include <utility>

#include "tls/secure_connection.h"

namespace exclave::wire {
namespace {

class TlsTransport final : public Transport {
 public:
  explicit TlsTransport(tls::Identity identity) : identity_(std::move(identity)) {}

  Result<AcceptedPeer> accept(std::unique_ptr<env::Connection> inner, env::Instant deadline) override {
    auto connection = TRY(tls::accept(std::move(inner), identity_, deadline));
    const crypto::Ed25519PublicKey peer = connection->peer_key();
    return AcceptedPeer{std::move(connection), peer};
  }

  Result<std::unique_ptr<env::Connection>> connect(std::unique_ptr<env::Connection> inner,
                                                   const crypto::Ed25519PublicKey& expected,
                                                   env::Instant deadline) override {
    return std::unique_ptr<env::Connection>(TRY(tls::connect(std::move(inner), identity_, expected, deadline)));
  }

 private:
  const tls::Identity identity_;
};

}  // namespace

std::unique_ptr<Transport> make_tls_transport(tls::Identity identity) {
  return std::make_unique<TlsTransport>(std::move(identity));
}

}  // namespace exclave::wire
