#include "format/keys.h"

namespace exclave::format {

std::string to_string(const KeyId& id) {
  return "registry " + id.registry.hex().substr(0, 8) + " era " + std::to_string(id.era.value()) + " period " +
         std::to_string(id.period.value());
}

OpeningKey derive_opening_key(const KeyId& id, const crypto::Secret<32>& period_secret) {
  OpeningKey key;
  key.id = id;
  crypto::hkdf(crypto::HkdfHash::Sha512, period_secret.view(), {}, as_bytes("exclave/period/v1 sym"),
               key.symmetric.mutable_view());
  crypto::hkdf(crypto::HkdfHash::Sha512, period_secret.view(), {}, as_bytes("exclave/period/v1 kem"),
               key.decapsulation.mutable_view());
  return key;
}

SealingKey sealing_half(const OpeningKey& key) {
  return {key.id, key.symmetric.clone(), crypto::x25519_public_key(key.decapsulation)};
}

}  // namespace exclave::format
