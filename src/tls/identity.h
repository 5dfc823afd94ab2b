// TLS identity: a party's Ed25519 identity key in the form in which TLS shows it.
// Hides: X.509. The certificate is an envelope for the key and says nothing else.
//
//   leaf := self-signed X.509 v3, subject = issuer = "CN=exclave", serial 1, 1970-01-01 to 9999-12-31, no extensions,
//           SubjectPublicKey = the identity key (Ed25519), signature by that same key
//
// I1  The same key gives the same certificate, byte for byte: nothing is issued, stored, renewed or revoked.
// I2  Dates and names are neither meaningful nor checked by our peers: a wrong clock locks nobody out.
// I3  TLS 1.3 only, one suite (TLS_AES_256_GCM_SHA384, the cipher our objects are sealed with; AES-128 would save 12 %
//     of the CPU), one group (X25519), one signature scheme (Ed25519). No tickets, resumption, early data,
//     renegotiation.
// Threads: immutable after creation; any number of connections may be made from it at once, and may outlive it.
// Errors: none; a failing libssl here is a CHECK (out of memory, or a broken library).
// See: ADR-0021, docs/threat-model.md (H10, H11).
#pragma once

#include <memory>

#include "crypto/signature.h"

namespace exclave::tls {

using PeerKey = crypto::Ed25519PublicKey;

class Identity {
 public:
  // Shares the private key inside `key` (reference counted by libcrypto), so `key` need not outlive the identity.
  static Identity from_key(const crypto::Ed25519SigningKey& key);
  Identity(Identity&&) noexcept;
  Identity& operator=(Identity&&) noexcept;
  ~Identity();

  const PeerKey& key() const { return key_; }
  Bytes certificate() const;  // DER

  struct Contexts;  // for src/tls only
  const Contexts& contexts() const { return *contexts_; }

 private:
  Identity(std::unique_ptr<Contexts> contexts, const PeerKey& key);

  std::unique_ptr<Contexts> contexts_;
  PeerKey key_;
};

}  // namespace exclave::tls
