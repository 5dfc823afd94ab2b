// Move-only owners of libcrypto handles, and the algorithms fetched once per process.
// Hides: which free function belongs to which handle, and OpenSSL's per-thread error queue.
//
// I1  A handle is freed exactly once, by its owner.
// I2  No call of this module leaves an error in the thread's queue: src/tls reads that queue after each of its own
//     calls and would take our refusals (a wrong tag, a bad point) for its own failures.
// Threads: fetched algorithms are immutable and shared; handles belong to one thread.
// Errors: out of memory or a libcrypto without our algorithms is a CHECK.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

#include "base/bytes.h"

namespace exclave::crypto::detail {

template <auto free_function>
struct FreeWith {
  template <typename T>
  void operator()(T* handle) const {
    free_function(handle);
  }
};

using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, FreeWith<EVP_MAC_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreeWith<BN_clear_free>>;
using BigNumberContext = std::unique_ptr<BN_CTX, FreeWith<BN_CTX_free>>;
using CurveHandle = std::unique_ptr<EC_GROUP, FreeWith<EC_GROUP_free>>;
using PointHandle = std::unique_ptr<EC_POINT, FreeWith<EC_POINT_free>>;
using EcdsaHandle = std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>>;

// Removes the errors that libcrypto queued while it lived; older ones stay.
class ErrorScope {
 public:
  ErrorScope() { ERR_set_mark(); }
  ~ErrorScope() { ERR_pop_to_mark(); }
  ErrorScope(const ErrorScope&) = delete;
  ErrorScope& operator=(const ErrorScope&) = delete;
};

// Fetched at first use and kept until the process ends: an implicit fetch per call costs three times a short hash.
const EVP_MD* sha256_algorithm();
const EVP_MD* sha384_algorithm();
const EVP_MD* sha512_algorithm();
EVP_MAC* hmac_algorithm();
const EVP_CIPHER* aes_256_gcm_algorithm();

// libcrypto takes some lengths as int; callers with more bytes than that have a bug.
int checked_int(std::size_t size);

// A pointer that is never null, even for an empty view: to EVP a null input means "not given".
inline const Byte* non_null(ByteView view) {
  static constexpr Byte kNothing = 0;
  return view.empty() ? &kNothing : view.data();
}

}  // namespace exclave::crypto::detail
