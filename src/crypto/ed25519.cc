// The Ed25519 half of signature.h.
#include <algorithm>
#include <array>

#include "crypto/detail/openssl.h"
#include "crypto/signature.h"

namespace exclave::crypto {

using detail::DigestContext;
using detail::KeyHandle;

namespace {

// Every y whose points have an order of 1, 2, 4 or 8, in each of its encodings below 2^255, little-endian. (The highest
// bit of a key is the sign of x.)
constexpr std::array<std::string_view, 7> kSmallOrderPointEncodings = {
    "0000000000000000000000000000000000000000000000000000000000000000",  // 0: order 4
    "0100000000000000000000000000000000000000000000000000000000000000",  // 1: the neutral element
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  // order 8
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",  // order 8
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p - 1: order 2
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p, which is 0
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p + 1, which is 1
};

}  // namespace

struct Ed25519SigningKey::State {
  KeyHandle key;
};

Ed25519SigningKey::Ed25519SigningKey(std::unique_ptr<State> state) : state_(std::move(state)) {
  std::size_t size = Ed25519PublicKey::kSize;
  CHECK(EVP_PKEY_get_raw_public_key(state_->key.get(), public_key_.mutable_view().data(), &size) == 1);
  CHECK(size == Ed25519PublicKey::kSize);
}
Ed25519SigningKey::Ed25519SigningKey(Ed25519SigningKey&&) noexcept = default;
Ed25519SigningKey& Ed25519SigningKey::operator=(Ed25519SigningKey&&) noexcept = default;
Ed25519SigningKey::~Ed25519SigningKey() = default;

Ed25519SigningKey Ed25519SigningKey::from_seed(const Secret<32>& seed) {
  KeyHandle key(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, seed.view().data(), seed.view().size()));
  CHECK(key != nullptr);
  return Ed25519SigningKey(std::make_unique<State>(State{std::move(key)}));
}

Ed25519Signature Ed25519SigningKey::sign(ByteView message) const {
  const DigestContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestSignInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, state_->key.get(), nullptr) == 1);
  Ed25519Signature signature;
  std::size_t size = Ed25519Signature::kSize;
  CHECK(EVP_DigestSign(context.get(), signature.mutable_view().data(), &size, detail::non_null(message),
                       message.size()) == 1);
  CHECK(size == Ed25519Signature::kSize);
  return signature;
}

void* Ed25519SigningKey::native() const {
  return state_->key.get();
}

Status verify(const Ed25519PublicKey& key, ByteView message, const Ed25519Signature& signature) {
  const detail::ErrorScope errors;
  const KeyHandle handle(
      EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, key.view().data(), key.view().size()));
  CHECK(handle != nullptr);
  const DigestContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, handle.get(), nullptr) == 1);
  if (EVP_DigestVerify(context.get(), signature.view().data(), signature.view().size(), detail::non_null(message),
                       message.size()) != 1) {
    return Error(Code::Corrupt, "signature does not match");
  }
  return {};
}

bool has_small_order(const Ed25519PublicKey& key) {
  Ed25519PublicKey without_sign = key;
  without_sign.mutable_view().back() &= 0x7f;
  const std::string hex = without_sign.hex();
  return std::find(kSmallOrderPointEncodings.begin(), kSmallOrderPointEncodings.end(), hex) !=
         kSmallOrderPointEncodings.end();
}

}  // namespace exclave::crypto
