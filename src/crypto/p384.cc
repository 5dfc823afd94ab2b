// The P-384 half of signature.h: fixed-width encodings outside, libcrypto's DER and big numbers inside.
#include <openssl/core_names.h>
#include <openssl/params.h>

#include <algorithm>

#include "crypto/detail/openssl.h"
#include "crypto/signature.h"

namespace exclave::crypto {
namespace {

using detail::BigNumber;
using detail::BigNumberContext;
using detail::CurveHandle;
using detail::DigestContext;
using detail::EcdsaHandle;
using detail::KeyContext;
using detail::KeyHandle;
using detail::PointHandle;

constexpr std::size_t kScalarBytes = 48;
constexpr int kScalarSize = 48;
constexpr std::size_t kLargestDerSignature = 2 * (kScalarBytes + 3) + 3;  // two INTEGERs of 49 bytes in a SEQUENCE
constexpr Byte kUncompressed = 0x04;
constexpr const char* kCurve = "P-384";
constexpr const char* kDigest = "SHA2-384";

Error mismatch() {
  return {Code::Corrupt, "signature does not match"};
}

CurveHandle p384() {
  CurveHandle curve(EC_GROUP_new_by_curve_name(NID_secp384r1));
  CHECK(curve != nullptr);
  return curve;
}

BigNumber number_from(ByteView big_endian) {
  BigNumber number(BN_bin2bn(big_endian.data(), detail::checked_int(big_endian.size()), nullptr));
  CHECK(number != nullptr);
  return number;
}

bool is_in_range(const BIGNUM* number, const EC_GROUP* curve) {
  return BN_is_zero(number) == 0 && BN_cmp(number, EC_GROUP_get0_order(curve)) < 0;
}

// Imports a public key, and the private part if given (48 bytes, big-endian). Null if the point is not on the curve.
KeyHandle import_key(const P384PublicKey& public_key, const Secret<kScalarBytes>* scalar) {
  const detail::ErrorScope errors;
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  CHECK(context != nullptr);
  CHECK(EVP_PKEY_fromdata_init(context.get()) == 1);
  std::string curve = kCurve;  // parameters want writable memory
  P384PublicKey point = public_key;
  Secret<kScalarBytes> native;  // in the machine's byte order, as OSSL_PARAM has it
  OSSL_PARAM parameters[4] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve.data(), curve.size()),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.mutable_view().data(), P384PublicKey::kSize),
      OSSL_PARAM_construct_end(),
      OSSL_PARAM_construct_end(),
  };
  if (scalar != nullptr) {
    const BigNumber number = number_from(scalar->view());
    CHECK(BN_bn2nativepad(number.get(), native.mutable_view().data(), kScalarSize) == kScalarSize);
    parameters[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native.mutable_view().data(), kScalarBytes);
  }
  EVP_PKEY* key = nullptr;
  const int selection = scalar != nullptr ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
  if (EVP_PKEY_fromdata(context.get(), &key, selection, parameters) != 1) return nullptr;
  return KeyHandle(key);
}

// libcrypto also knows compressed and hybrid points; this format does not.
KeyHandle import_public(const P384PublicKey& public_key) {
  if (public_key.view()[0] != kUncompressed) return nullptr;
  return import_key(public_key, nullptr);
}

P384PublicKey public_point_of(const EC_GROUP* curve, const BIGNUM* scalar) {
  const BigNumberContext context(BN_CTX_secure_new());
  const PointHandle point(EC_POINT_new(curve));
  CHECK(context != nullptr && point != nullptr);
  // With the generator alone, libcrypto multiplies by its constant-time ladder.
  CHECK(EC_POINT_mul(curve, point.get(), scalar, nullptr, nullptr, context.get()) == 1);
  P384PublicKey public_key;
  CHECK(EC_POINT_point2oct(curve, point.get(), POINT_CONVERSION_UNCOMPRESSED, public_key.mutable_view().data(),
                           P384PublicKey::kSize, context.get()) == P384PublicKey::kSize);
  return public_key;
}

P384Signature fixed_width(ByteView der) {
  const Byte* at = der.data();
  const EcdsaHandle parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  CHECK(parts != nullptr);
  P384Signature signature;
  Byte* const out = signature.mutable_view().data();
  CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), out, kScalarSize) == kScalarSize);
  CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), out + kScalarBytes, kScalarSize) == kScalarSize);
  return signature;
}

// Empty if r or s is out of 1..n-1.
Bytes der_form(const P384Signature& signature) {
  const CurveHandle curve = p384();
  BigNumber r = number_from(signature.view().first(kScalarBytes));
  BigNumber s = number_from(signature.view().subspan(kScalarBytes));
  if (!is_in_range(r.get(), curve.get()) || !is_in_range(s.get(), curve.get())) return {};
  const EcdsaHandle parts(ECDSA_SIG_new());
  CHECK(parts != nullptr);
  CHECK(ECDSA_SIG_set0(parts.get(), r.release(), s.release()) == 1);
  Bytes der(kLargestDerSignature);
  Byte* at = der.data();
  const int size = i2d_ECDSA_SIG(parts.get(), &at);
  CHECK(size > 0 && static_cast<std::size_t>(size) <= kLargestDerSignature);
  der.resize(static_cast<std::size_t>(size));
  return der;
}

}  // namespace

Result<P384PublicKey> parse_p384_public_key(ByteView sec1) {
  if (sec1.size() != P384PublicKey::kSize || sec1[0] != kUncompressed) {
    return Error(Code::InvalidInput, "p-384 public key is not an uncompressed point of 97 bytes");
  }
  const P384PublicKey key = P384PublicKey::from_view(sec1);
  if (import_public(key) == nullptr) return Error(Code::InvalidInput, "p-384 public key is not a point on the curve");
  return key;
}

struct P384PrivateKey::State {
  Secret<kScalarBytes> scalar;
  P384PublicKey public_key;
  KeyHandle key;

  // Precondition: scalar in 1..n-1.
  static std::unique_ptr<State> from_number(const EC_GROUP* curve, BIGNUM* number) {
    BN_set_flags(number, BN_FLG_CONSTTIME);
    auto state = std::make_unique<State>();
    CHECK(BN_bn2binpad(number, state->scalar.mutable_view().data(), kScalarSize) == kScalarSize);
    state->public_key = public_point_of(curve, number);
    state->key = import_key(state->public_key, &state->scalar);
    CHECK(state->key != nullptr);
    return state;
  }
};

P384PrivateKey::P384PrivateKey(std::unique_ptr<State> state)
    : state_(std::move(state)), public_key_(state_->public_key) {}
P384PrivateKey::P384PrivateKey(P384PrivateKey&&) noexcept = default;
P384PrivateKey& P384PrivateKey::operator=(P384PrivateKey&&) noexcept = default;
P384PrivateKey::~P384PrivateKey() = default;

P384PrivateKey P384PrivateKey::from_random(const Secret<64>& uniform) {
  const CurveHandle curve = p384();
  const BigNumberContext context(BN_CTX_secure_new());
  const BigNumber number = number_from(uniform.view());
  const BigNumber below_order(BN_dup(EC_GROUP_get0_order(curve.get())));
  const BigNumber scalar(BN_new());
  CHECK(context != nullptr && below_order != nullptr && scalar != nullptr);
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  CHECK(BN_sub_word(below_order.get(), 1) == 1);
  CHECK(BN_mod(scalar.get(), number.get(), below_order.get(), context.get()) == 1);
  CHECK(BN_add_word(scalar.get(), 1) == 1);
  return P384PrivateKey(State::from_number(curve.get(), scalar.get()));
}

Result<P384PrivateKey> P384PrivateKey::from_scalar(const Secret<48>& scalar) {
  const CurveHandle curve = p384();
  const BigNumber number = number_from(scalar.view());
  if (!is_in_range(number.get(), curve.get())) return Error(Code::InvalidInput, "p-384 scalar is not in 1..n-1");
  return P384PrivateKey(State::from_number(curve.get(), number.get()));
}

Secret<48> P384PrivateKey::scalar() const {
  return state_->scalar.clone();
}

P384Signature P384PrivateKey::sign(ByteView message) const {
  const DigestContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestSignInit_ex(context.get(), nullptr, kDigest, nullptr, nullptr, state_->key.get(), nullptr) == 1);
  Bytes der(kLargestDerSignature);
  std::size_t size = der.size();
  CHECK(EVP_DigestSign(context.get(), der.data(), &size, detail::non_null(message), message.size()) == 1);
  return fixed_width(ByteView(der).first(size));
}

Result<Secret<48>> P384PrivateKey::agree(const P384PublicKey& peer) const {
  const detail::ErrorScope errors;
  const KeyHandle other = import_public(peer);
  if (other == nullptr) return Error(Code::InvalidInput, "p-384 public key is not a point on the curve");
  const KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, state_->key.get(), nullptr));
  CHECK(context != nullptr);
  CHECK(EVP_PKEY_derive_init(context.get()) == 1);
  CHECK(EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1);
  Secret<48> shared;
  std::size_t size = Secret<48>::kSize;
  CHECK(EVP_PKEY_derive(context.get(), shared.mutable_view().data(), &size) == 1);
  CHECK(size == Secret<48>::kSize);
  return shared;
}

Status verify(const P384PublicKey& key, ByteView message, const P384Signature& signature) {
  const detail::ErrorScope errors;
  const Bytes der = der_form(signature);
  if (der.empty()) return mismatch();
  const KeyHandle handle = import_public(key);
  if (handle == nullptr) return mismatch();
  const DigestContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestVerifyInit_ex(context.get(), nullptr, kDigest, nullptr, nullptr, handle.get(), nullptr) == 1);
  if (EVP_DigestVerify(context.get(), der.data(), der.size(), detail::non_null(message), message.size()) != 1) {
    return mismatch();
  }
  return {};
}

}  // namespace exclave::crypto
