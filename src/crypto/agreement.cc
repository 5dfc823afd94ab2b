#include "crypto/agreement.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "crypto/detail/openssl.h"

namespace exclave::crypto {
namespace {

using detail::KeyContext;
using detail::KeyHandle;

KeyHandle load_private(const Secret<32>& private_key) {
  KeyHandle key(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, private_key.view().data(),
                                                private_key.view().size()));
  CHECK(key != nullptr);
  return key;
}

// Every u-coordinate whose point has an order of 1, 2, 4 or 8 on the curve or its twist, in each of its encodings below
// 2^255, as they stand in a key: little-endian. (The highest bit of a key does not count.) An era document holds a key
// for each of its periods and is read several times in each run: looking into a list costs a thousandth of an
// agreement.
constexpr std::array<std::string_view, 7> kSmallOrderCoordinates = {
    "0000000000000000000000000000000000000000000000000000000000000000",  // 0: order 2
    "0100000000000000000000000000000000000000000000000000000000000000",  // 1: order 4
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",  // order 8
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",  // order 8
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p - 1: order 4 on the twist
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p, which is 0
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  // p + 1, which is 1
};

bool has_small_order(const X25519PublicKey& key) {
  X25519PublicKey without_high_bit = key;
  without_high_bit.mutable_view().back() &= 0x7f;
  const std::string hex = without_high_bit.hex();
  return std::find(kSmallOrderCoordinates.begin(), kSmallOrderCoordinates.end(), hex) != kSmallOrderCoordinates.end();
}

}  // namespace

X25519PublicKey x25519_public_key(const Secret<32>& private_key) {
  const KeyHandle key = load_private(private_key);
  X25519PublicKey public_key;
  std::size_t size = X25519PublicKey::kSize;
  CHECK(EVP_PKEY_get_raw_public_key(key.get(), public_key.mutable_view().data(), &size) == 1);
  CHECK(size == X25519PublicKey::kSize);
  return public_key;
}

Result<Secret<32>> x25519(const Secret<32>& private_key, const X25519PublicKey& peer) {
  const detail::ErrorScope errors;
  const KeyHandle own = load_private(private_key);
  const KeyHandle other(
      EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", nullptr, peer.view().data(), peer.view().size()));
  CHECK(other != nullptr);
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr));
  CHECK(context != nullptr);
  CHECK(EVP_PKEY_derive_init(context.get()) == 1);
  CHECK(EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1);
  Secret<32> shared;
  std::size_t size = Secret<32>::kSize;
  // libcrypto refuses an all-zero result by itself; ours is the check that does not depend on its version.
  const bool derived = EVP_PKEY_derive(context.get(), shared.mutable_view().data(), &size) == 1;
  if (!derived || equal_in_constant_time(shared.view(), Secret<32>().view())) {
    return Error(Code::Denied, "x25519 public key has a small order");
  }
  CHECK(size == Secret<32>::kSize);
  return shared;
}

Result<X25519PublicKey> parse_x25519_public_key(ByteView raw) {
  if (raw.size() != X25519PublicKey::kSize) return Error(Code::InvalidInput, "x25519 public key is not 32 bytes long");
  const X25519PublicKey key = X25519PublicKey::from_view(raw);
  // Private keys are clamped to multiples of eight: a small-order point gives zero with any of them, others with none.
  if (has_small_order(key)) return Error(Code::InvalidInput, "x25519 public key has a small order");
  return key;
}

}  // namespace exclave::crypto
