// Signatures: Ed25519 for machines (vaults, writers, sites, ceremony), ECDSA P-384 with SHA-384 for officials.
// Hides: OpenSSL's EVP_PKEY.
//
//   Ed25519: seed 32 B, public key 32 B, signature 64 B (RFC 8032)
//   P-384:   scalar 48 B, public key 97 B (uncompressed SEC1: 04 || X || Y), signature 96 B (r || s, fixed width)
//
// I1  A P384PublicKey that came from parse_p384_public_key() or a private key is a point on the curve, not infinity.
//     (An Ed25519PublicKey is any 32 bytes; verify refuses those that are no point. Whoever takes one from a document
//     asks has_small_order: under such a key one signature is right for many messages.)
// I2  P-384 signatures with r or s out of 1..n-1 are refused.
// Threads: keys are immutable after creation; sign and verify from any thread.
// Errors: parse: InvalidInput. verify: only Corrupt ("signature does not match"), also for a key that is no point.
// Note: ECDSA nonces are drawn inside libcrypto (3.0 has no RFC 6979), the one place where randomness is no argument.
#pragma once

#include <memory>

#include "base/tagged.h"
#include "crypto/secret.h"

namespace exclave::crypto {

using Ed25519PublicKey = Id<32, struct Ed25519PublicKeyTag>;
using Ed25519Signature = Id<64, struct Ed25519SignatureTag>;

class Ed25519SigningKey {
 public:
  static Ed25519SigningKey from_seed(const Secret<32>& seed);
  Ed25519SigningKey(Ed25519SigningKey&&) noexcept;
  Ed25519SigningKey& operator=(Ed25519SigningKey&&) noexcept;
  ~Ed25519SigningKey();
  const Ed25519PublicKey& public_key() const { return public_key_; }
  Ed25519Signature sign(ByteView message) const;
  void* native() const;  // EVP_PKEY*, for src/tls only; stays owned here

 private:
  struct State;
  explicit Ed25519SigningKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  Ed25519PublicKey public_key_;
};

Status verify(const Ed25519PublicKey& key, ByteView message, const Ed25519Signature& signature);
// Whether it is a point of order 1, 2, 4 or 8, in any encoding: no secret belongs to it.
bool has_small_order(const Ed25519PublicKey& key);

using P384PublicKey = Id<97, struct P384PublicKeyTag>;
using P384Signature = Id<96, struct P384SignatureTag>;

Result<P384PublicKey> parse_p384_public_key(ByteView sec1);  // checks that the point is on the curve

// One key pair type for signing (SIG_j) and agreement (DEC_j); callers keep the two apart.
class P384PrivateKey {
 public:
  // `uniform`: 64 random bytes u; the scalar is (u mod (n - 1)) + 1, so in 1..n-1 (bias below 2^-127).
  static P384PrivateKey from_random(const Secret<64>& uniform);
  static Result<P384PrivateKey> from_scalar(const Secret<48>& scalar);  // big-endian, 1..n-1
  P384PrivateKey(P384PrivateKey&&) noexcept;
  P384PrivateKey& operator=(P384PrivateKey&&) noexcept;
  ~P384PrivateKey();
  const P384PublicKey& public_key() const { return public_key_; }
  Secret<48> scalar() const;
  P384Signature sign(ByteView message) const;  // ECDSA over SHA-384(message)
  // ECDH: the x coordinate. InvalidInput for a point that is not on the curve.
  Result<Secret<48>> agree(const P384PublicKey& peer) const;

 private:
  struct State;
  explicit P384PrivateKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  P384PublicKey public_key_;
};

Status verify(const P384PublicKey& key, ByteView message, const P384Signature& signature);

}  // namespace exclave::crypto
