#include "tls/identity.h"

#include <utility>

#include "tls/detail/openssl.h"

namespace exclave::tls {
namespace {

constexpr long kMaximalCertificateBytes = 4096;  // ours has about 220
constexpr std::size_t kReadAheadBytes = 64 * 1024;

detail::Certificate self_signed(EVP_PKEY* key) {
  detail::Certificate certificate(X509_new());
  CHECK(certificate != nullptr);
  CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) == 1);
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), "19700101000000Z") == 1);
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), "99991231235959Z") == 1);
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  const ByteView text = as_bytes("exclave");
  CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text.data(), static_cast<int>(text.size()), -1, 0) == 1);
  CHECK(X509_set_issuer_name(certificate.get(), name) == 1);
  CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  CHECK(X509_sign(certificate.get(), key, nullptr) > 0);
  return certificate;
}

detail::SslContext make_context(const SSL_METHOD* method, int verify_mode, X509* certificate, EVP_PKEY* key) {
  detail::SslContext context(SSL_CTX_new(method));
  CHECK(context != nullptr);
  SSL_CTX* const raw = context.get();
  CHECK(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1);
  CHECK(SSL_CTX_set_max_proto_version(raw, TLS1_3_VERSION) == 1);
  CHECK(SSL_CTX_set_ciphersuites(raw, "TLS_AES_256_GCM_SHA384") == 1);
  // Not literals: libssl's macros cast const away.
  char group[] = "X25519";
  char algorithm[] = "ed25519";
  CHECK(SSL_CTX_set1_groups_list(raw, group) == 1);
  CHECK(SSL_CTX_set1_sigalgs_list(raw, algorithm) == 1);
  CHECK(SSL_CTX_set1_client_sigalgs_list(raw, algorithm) == 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  CHECK(SSL_CTX_set_num_tickets(raw, 0) == 1);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  // Not SSL_MODE_RELEASE_BUFFERS: an allocation per record costs 10 to 20 % in bulk (measured).
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_default_read_buffer_len(raw, kReadAheadBytes);
  SSL_CTX_set_max_cert_list(raw, kMaximalCertificateBytes);
  SSL_CTX_set_verify(raw, verify_mode, nullptr);
  SSL_CTX_set_cert_verify_callback(raw, detail::verify_peer, nullptr);
  CHECK(SSL_CTX_use_certificate(raw, certificate) == 1);
  CHECK(SSL_CTX_use_PrivateKey(raw, key) == 1);
  return context;
}

}  // namespace

Identity Identity::from_key(const crypto::Ed25519SigningKey& key) {
  auto* const native = static_cast<EVP_PKEY*>(key.native());
  auto contexts = std::make_unique<Contexts>();
  contexts->certificate = self_signed(native);
  X509* const leaf = contexts->certificate.get();
  contexts->client = make_context(TLS_client_method(), SSL_VERIFY_PEER, leaf, native);
  contexts->server = make_context(TLS_server_method(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, leaf, native);
  return {std::move(contexts), key.public_key()};
}

Identity::Identity(std::unique_ptr<Contexts> contexts, const PeerKey& key)
    : contexts_(std::move(contexts)), key_(key) {}
Identity::Identity(Identity&&) noexcept = default;
Identity& Identity::operator=(Identity&&) noexcept = default;
Identity::~Identity() = default;

Bytes Identity::certificate() const {
  const int size = i2d_X509(contexts_->certificate.get(), nullptr);
  CHECK(size > 0);
  Bytes der(static_cast<std::size_t>(size));
  Byte* cursor = der.data();
  CHECK(i2d_X509(contexts_->certificate.get(), &cursor) == size);
  return der;
}

}  // namespace exclave::tls
