// X25519 key agreement (RFC 7748).
// Hides: OpenSSL's EVP_PKEY. All-zero shared secrets are refused.
//
// I1  x25519() of a key that parse_x25519_public_key() accepted never fails: small-order points are refused there.
// Threads: pure functions.
// Errors: InvalidInput (parse), Denied (agreement).
// Source: RFC 7748 sections 5 and 6.1.
#pragma once

#include "base/tagged.h"
#include "crypto/secret.h"

namespace exclave::crypto {

using X25519PublicKey = Id<32, struct X25519PublicKeyTag>;

// Every 32-byte string but the small-order points (on the curve and its twist, canonical or not); those: InvalidInput.
Result<X25519PublicKey> parse_x25519_public_key(ByteView raw);

X25519PublicKey x25519_public_key(const Secret<32>& private_key);
// Denied if the result is all zero (a small-order peer key).
Result<Secret<32>> x25519(const Secret<32>& private_key, const X25519PublicKey& peer);

}  // namespace exclave::crypto
