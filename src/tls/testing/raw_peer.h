// Raw peer: a TLS endpoint that breaks our rules on purpose, driven over a Connection with memory BIOs. For tests.
//
//   Certificates are made to order: any key, any issuer, any dates.
#pragma once

#include <openssl/err.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "env/network.h"
#include "tls/detail/openssl.h"

namespace exclave::tls::testing {

inline detail::Key new_key(int type) {
  EVP_PKEY* key = nullptr;
  switch (type) {
    case EVP_PKEY_RSA:
      key = EVP_RSA_gen(2048);
      break;
    case EVP_PKEY_EC:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
      break;
    default:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
      break;
  }
  CHECK(key != nullptr);
  return detail::Key(key);
}

struct CertificateOrder {
  EVP_PKEY* subject_key = nullptr;
  EVP_PKEY* issuer_key = nullptr;  // the subject's own unless set
  std::string subject = "anyone";
  const char* not_before = "20200101000000Z";
  const char* not_after = "20400101000000Z";
};

inline detail::Certificate new_certificate(const CertificateOrder& order) {
  detail::Certificate certificate(X509_new());
  CHECK(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 7) == 1);
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), order.not_before) == 1);
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), order.not_after) == 1);
  X509_NAME* const name = X509_get_subject_name(certificate.get());
  const ByteView text = as_bytes(order.subject);
  for (ByteView rest = text; !rest.empty(); rest = rest.subspan(std::min<std::size_t>(rest.size(), 60))) {
    const ByteView piece = rest.first(std::min<std::size_t>(rest.size(), 60));
    CHECK(X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_ASC, piece.data(), static_cast<int>(piece.size()), -1, 0) ==
          1);
  }
  CHECK(X509_set_issuer_name(certificate.get(), name) == 1);
  CHECK(X509_set_pubkey(certificate.get(), order.subject_key) == 1);
  EVP_PKEY* const issuer = order.issuer_key != nullptr ? order.issuer_key : order.subject_key;
  const EVP_MD* const digest = EVP_PKEY_get_id(issuer) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  CHECK(X509_sign(certificate.get(), issuer, digest) > 0);
  return certificate;
}

class RawPeer {
 public:
  enum class Side { Client, Server };

  RawPeer(Side side, env::Connection& connection, env::Instant deadline)
      : side_(side), connection_(connection), deadline_(deadline) {
    context_.reset(SSL_CTX_new(side == Side::Client ? TLS_client_method() : TLS_server_method()));
    CHECK(context_ != nullptr);
    // Takes anybody, so that refusals are always the other side's; and asks for a certificate.
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(
        context_.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  }

  SSL_CTX* context() { return context_.get(); }
  SSL* ssl() { return ssl_.get(); }
  void show(X509* certificate, EVP_PKEY* key, X509* second = nullptr) {
    CHECK(SSL_CTX_use_certificate(context_.get(), certificate) == 1);
    CHECK(SSL_CTX_use_PrivateKey(context_.get(), key) == 1);
    if (second != nullptr) CHECK(SSL_CTX_add1_chain_cert(context_.get(), second) == 1);
  }

  bool handshake() {
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return drive([&] { return side_ == Side::Client ? SSL_connect(ssl_.get()) : SSL_accept(ssl_.get()); });
  }
  bool write(std::string_view text) {
    return drive([&] { return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())); });
  }
  // The next bytes; "" for the end or an error.
  std::string read() {
    std::array<char, 4096> out{};
    int got = 0;
    const bool ok = drive([&] { return got = SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size())); });
    return ok ? std::string(out.data(), static_cast<std::size_t>(got)) : std::string();
  }
  bool update_key() {
    CHECK(SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    return drive([&] { return SSL_do_handshake(ssl_.get()); });
  }

 private:
  // Repeats `call` until it needs no more input; sends what it produced.
  template <typename F>
  bool drive(F&& call) {
    for (;;) {
      ERR_clear_error();
      const int outcome = call();
      const int reason = SSL_get_error(ssl_.get(), outcome);
      char* pending = nullptr;
      const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &pending);
      const ByteView output = as_bytes({pending, static_cast<std::size_t>(size)});
      const bool sent = env::write_all(connection_, output, deadline_).ok();
      static_cast<void>(BIO_reset(SSL_get_wbio(ssl_.get())));
      if (outcome > 0) return sent;
      if (!sent || reason != SSL_ERROR_WANT_READ) return false;
      std::array<Byte, 16384> input{};
      const Result<std::size_t> got = connection_.read_some(input, deadline_);
      if (!got.ok() || got.value() == 0) return false;
      CHECK(BIO_write(SSL_get_rbio(ssl_.get()), input.data(), static_cast<int>(got.value())) > 0);
    }
  }

  const Side side_;
  env::Connection& connection_;
  const env::Instant deadline_;
  detail::SslContext context_;
  detail::Ssl ssl_;
};

}  // namespace exclave::tls::testing
