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
//
// Limits: a secret is short (keys, share leaves): below 2 GiB technically, meant for kilobytes.
// Preconditions: a recipient's key came from parse_p384_public_key or parse_x25519_public_key (a key that is no usable
// point is a CHECK here, because those parsers are the edge where it is refused).
// Threads: pure. Errors: Denied from unwrap, nothing else. Source: docs/formats/wrap.md.
#pragma once

#include "crypto/agreement.h"
#include "crypto/signature.h"

namespace exclave::crypto {

// `randomness` makes the ephemeral key: from_random() of it (P-384), the private key itself (X25519). Never use it
// twice.
Bytes wrap_to_p384(const P384PublicKey& recipient, ByteView context, ByteView secret, const Secret<64>& randomness);
Result<SecretBytes> unwrap_with_p384(const P384PrivateKey& key, ByteView context, ByteView wrapped);

Bytes wrap_to_x25519(const X25519PublicKey& recipient, ByteView context, ByteView secret, const Secret<32>& randomness);
Result<SecretBytes> unwrap_with_x25519(const Secret<32>& key, ByteView context, ByteView wrapped);

}  // namespace exclave::crypto
