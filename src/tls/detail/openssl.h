// Move-only owners of libssl and libcrypto objects, and the two contexts of an identity.
// Hides: the names of the free functions.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <optional>

#include "tls/identity.h"

namespace exclave::tls {
namespace detail {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using SslContext = std::unique_ptr<SSL_CTX, Free<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Free<SSL_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

// The verify callback of both contexts (secure_connection.cc): accepts one self-signed Ed25519 certificate, records its
// key.
int verify_peer(X509_STORE_CTX* store, void* unused);

// The Ed25519 key of a certificate that this very key signed; nullopt for any other certificate.
std::optional<PeerKey> key_shown_by(X509* leaf);

}  // namespace detail

struct Identity::Contexts {
  detail::Certificate certificate;
  detail::SslContext client;
  detail::SslContext server;
};

}  // namespace exclave::tls
