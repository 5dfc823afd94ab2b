// X25519 key agreement (RFC 7748). All-zero shared secrets are refused.
#pragma once

#include "base/tagged.h"
#include "crypto/secret.h"

namespace exclave::crypto {

using X25519PublicKey = Id<32, struct X25519PublicKeyTag>;

X25519PublicKey x25519_public_key(const Secret<32>& private_key);
// Denied if the result is all zero (a small-order peer key).
Result<Secret<32>> x25519(const Secret<32>& private_key, const X25519PublicKey& peer);

}  // namespace exclave::crypto
