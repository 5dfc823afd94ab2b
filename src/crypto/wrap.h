// Wrapping: a short secret sealed to one recipient's public key, P-384 (DEC_j, cards) or X25519 (PAPER_j, sites).
// Hides: ephemeral keys, HKDF inputs, the nonce.
//
//   wrapped := scheme (1: 1 = P-384, 2 = X25519) | ephemeral public (97 | 32) | ciphertext | tag (16)
//   key (32) || nonce (12) = HKDF-SHA-384(ikm = ECDH shared secret, salt = ephemeral public || recipient public,
//                                         info = "exclave/wrap/v1" || 0x00 || context)
//   AES-256-GCM, associated data = context
//
// I1  Fresh ephemeral per wrap, so each key and nonce is used once.
// I2  unwrap with another key, context or a changed byte is Denied ("was not sealed to this key, or was altered").
// Threads: pure. Source: docs/formats/wrap.md.
#pragma once

#include "crypto/agreement.h"
#include "crypto/signature.h"

namespace exclave::crypto {

Bytes wrap_to_p384(const P384PublicKey& recipient, ByteView context, ByteView secret, const Secret<64>& randomness);
Result<SecretBytes> unwrap_with_p384(const P384PrivateKey& key, ByteView context, ByteView wrapped);

Bytes wrap_to_x25519(const X25519PublicKey& recipient, ByteView context, ByteView secret, const Secret<32>& randomness);
Result<SecretBytes> unwrap_with_x25519(const Secret<32>& key, ByteView context, ByteView wrapped);

}  // namespace exclave::crypto
