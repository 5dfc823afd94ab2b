// Keys of one period of a registry: what seals (held by the agent) and what opens (only after a release).
// Source: docs/formats/object.md.
#pragma once

#include "crypto/secret.h"
#include "format/ids.h"

namespace exclave::format {

// S_p and X_p: enough to deposit, not to read back.
struct SealingKey {
  KeyId id;
  crypto::Secret<32> symmetric;           // S_p
  crypto::X25519PublicKey encapsulation;  // X_p

  SealingKey clone() const { return {id, symmetric.clone(), encapsulation}; }
};

// S_p and x_p: combined from shares at an executing site.
struct OpeningKey {
  KeyId id;
  crypto::Secret<32> symmetric;      // S_p
  crypto::Secret<32> decapsulation;  // x_p

  OpeningKey clone() const { return {id, symmetric.clone(), decapsulation.clone()}; }
};

// S_p = HKDF-SHA-512(ikm = A, salt = "", info = "exclave/period/v1 sym"); x_p likewise with "kem".
OpeningKey derive_opening_key(const KeyId& id, const crypto::Secret<32>& period_secret);
SealingKey sealing_half(const OpeningKey& key);

}  // namespace exclave::format
