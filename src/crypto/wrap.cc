#include "crypto/wrap.h"

#include <algorithm>
#include <string_view>

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace exclave::crypto {
namespace {

constexpr Byte kSchemeP384 = 1;
constexpr Byte kSchemeX25519 = 2;
constexpr std::string_view kWrapLabel = "exclave/wrap/v1";

using Material = Secret<kKeyBytes + kNonceBytes>;

Error denied() {
  return {Code::Denied, "was not sealed to this key, or was altered"};
}

Material derive(ByteView shared, ByteView ephemeral, ByteView recipient, ByteView context) {
  Bytes salt = to_bytes(ephemeral);
  append(salt, recipient);
  Bytes info = to_bytes(kWrapLabel);
  info.push_back(0);
  append(info, context);
  Material material;
  hkdf(HkdfHash::Sha384, shared, salt, info, material.mutable_view());
  return material;
}

Nonce nonce_of(const Material& material) {
  Nonce nonce;
  std::copy_n(material.view().begin() + kKeyBytes, kNonceBytes, nonce.begin());
  return nonce;
}

Bytes seal(Byte scheme, ByteView ephemeral, const Material& material, ByteView context, ByteView secret) {
  Bytes wrapped;
  // Reserved in one go: a growing vector would leave copies of the secret behind.
  wrapped.reserve(1 + ephemeral.size() + secret.size() + kTagBytes);
  wrapped.push_back(scheme);
  append(wrapped, ephemeral);
  append(wrapped, secret);
  wrapped.resize(wrapped.size() + kTagBytes);
  const MutableByteView sealed = MutableByteView(wrapped).last(secret.size() + kTagBytes);
  Aes256Gcm aead(material.view().first(kKeyBytes));
  aead.seal_in_place(nonce_of(material), context, sealed.first(secret.size()), sealed.last(kTagBytes));
  return wrapped;
}

Result<SecretBytes> open(const Material& material, ByteView context, ByteView sealed) {
  const std::size_t size = sealed.size() - kTagBytes;
  SecretBytes secret(size);
  Aes256Gcm aead(material.view().first(kKeyBytes));
  if (!aead.open(nonce_of(material), context, sealed.first(size), sealed.last(kTagBytes), secret.mutable_view()).ok()) {
    return denied();
  }
  return secret;
}

bool has_shape(ByteView wrapped, Byte scheme, std::size_t ephemeral_bytes) {
  return wrapped.size() >= 1 + ephemeral_bytes + kTagBytes && wrapped[0] == scheme;
}

}  // namespace

Bytes wrap_to_p384(const P384PublicKey& recipient, ByteView context, ByteView secret, const Secret<64>& randomness) {
  const P384PrivateKey ephemeral = P384PrivateKey::from_random(randomness);
  const Secret<48> shared = ephemeral.agree(recipient).take();
  const ByteView point = ephemeral.public_key().view();
  return seal(kSchemeP384, point, derive(shared.view(), point, recipient.view(), context), context, secret);
}

Result<SecretBytes> unwrap_with_p384(const P384PrivateKey& key, ByteView context, ByteView wrapped) {
  if (!has_shape(wrapped, kSchemeP384, P384PublicKey::kSize)) return denied();
  const auto ephemeral = P384PublicKey::from_view(wrapped.subspan(1, P384PublicKey::kSize));
  const Result<Secret<48>> shared = key.agree(ephemeral);
  if (!shared.ok()) return denied();
  return open(derive(shared.value().view(), ephemeral.view(), key.public_key().view(), context), context,
              wrapped.subspan(1 + P384PublicKey::kSize));
}

Bytes wrap_to_x25519(const X25519PublicKey& recipient, ByteView context, ByteView secret,
                     const Secret<32>& randomness) {
  const X25519PublicKey ephemeral = x25519_public_key(randomness);
  const Secret<32> shared = x25519(randomness, recipient).take();
  return seal(kSchemeX25519, ephemeral.view(), derive(shared.view(), ephemeral.view(), recipient.view(), context),
              context, secret);
}

Result<SecretBytes> unwrap_with_x25519(const Secret<32>& key, ByteView context, ByteView wrapped) {
  if (!has_shape(wrapped, kSchemeX25519, X25519PublicKey::kSize)) return denied();
  const auto ephemeral = X25519PublicKey::from_view(wrapped.subspan(1, X25519PublicKey::kSize));
  const Result<Secret<32>> shared = x25519(key, ephemeral);
  if (!shared.ok()) return denied();
  return open(derive(shared.value().view(), ephemeral.view(), x25519_public_key(key).view(), context), context,
              wrapped.subspan(1 + X25519PublicKey::kSize));
}

}  // namespace exclave::crypto
