// What an unknown peer may send to either side of a TLS handshake, and the certificate that it shows. Refused: nobody
// can be let in without a key, and a certificate gives a key only if that key signed it.
#include <openssl/x509.h>

#include "base/check.h"
#include "http/testing/scripted_connection.h"
#include "policy/testing/realm.h"
#include "tls/detail/openssl.h"
#include "tls/secure_connection.h"

namespace {

using namespace exclave;  // a test program of one file

std::unique_ptr<env::Connection> peer_that_sends(http::testing::FakeClock& clock, ByteView bytes) {
  auto connection = std::make_unique<http::testing::ScriptedConnection>(clock);
  connection->sends(as_text(bytes));
  return connection;
}

void judge_certificate(ByteView der) {
  const unsigned char* cursor = der.data();
  const tls::detail::Certificate certificate(d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  if (certificate == nullptr) return;
  const auto key = tls::detail::key_shown_by(certificate.get());
  if (key.has_value()) CHECK(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  static const tls::Identity kIdentity = tls::Identity::from_key(policy::testing::machine_key("ours"));
  static const tls::PeerKey kExpected = policy::testing::machine_key("theirs").public_key();
  http::testing::FakeClock clock;
  const env::Instant deadline = clock.monotonic() + tls::kHandshakeTime;
  CHECK(!tls::accept(peer_that_sends(clock, input), kIdentity, deadline).ok());
  CHECK(!tls::connect(peer_that_sends(clock, input), kIdentity, kExpected, deadline).ok());
  judge_certificate(input);
  return 0;
}
