#include "crypto/detail/openssl.h"

#include <limits>

namespace exclave::crypto::detail {
namespace {

// The fetched objects are never freed: libcrypto tears itself down at exit in an order we do not control.
const EVP_MD* fetch_digest(const char* name) {
  const EVP_MD* digest = EVP_MD_fetch(nullptr, name, nullptr);
  CHECK(digest != nullptr);
  return digest;
}

}  // namespace

const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const kDigest = fetch_digest("SHA2-256");
  return kDigest;
}

const EVP_MD* sha384_algorithm() {
  static const EVP_MD* const kDigest = fetch_digest("SHA2-384");
  return kDigest;
}

const EVP_MD* sha512_algorithm() {
  static const EVP_MD* const kDigest = fetch_digest("SHA2-512");
  return kDigest;
}

EVP_MAC* hmac_algorithm() {
  static EVP_MAC* const kMac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  CHECK(kMac != nullptr);
  return kMac;
}

const EVP_CIPHER* aes_256_gcm_algorithm() {
  static const EVP_CIPHER* const kCipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(kCipher != nullptr);
  return kCipher;
}

int checked_int(std::size_t size) {
  CHECK(size <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(size);
}

}  // namespace exclave::crypto::detail
