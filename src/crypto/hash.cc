#include "crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <string>

#include "crypto/detail/openssl.h"

namespace exclave::crypto {
namespace {

using detail::DigestContext;
using detail::MacContext;

constexpr std::size_t kLargestDigest = 64;

template <typename Hash>
Hash hash_once(const EVP_MD* algorithm, ByteView data) {
  const DigestContext context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  Hash hash;
  CHECK(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  CHECK(EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1);
  CHECK(EVP_DigestFinal_ex(context.get(), hash.mutable_view().data(), nullptr) == 1);
  return hash;
}

struct HkdfShape {
  const char* digest;
  std::size_t bytes;
};

HkdfShape shape_of(HkdfHash hash) {
  switch (hash) {
    case HkdfHash::Sha256:
      return {"SHA2-256", Hash256::kSize};
    case HkdfHash::Sha384:
      return {"SHA2-384", Hash384::kSize};
    case HkdfHash::Sha512:
      return {"SHA2-512", Hash512::kSize};
  }
  check_failed("known HkdfHash", __FILE__, __LINE__);
}

MacContext keyed_hmac(const char* digest, ByteView key) {
  MacContext context(EVP_MAC_CTX_new(detail::hmac_algorithm()));
  CHECK(context != nullptr);
  std::string name = digest;  // OSSL_PARAM wants it writable
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), name.size()),
      OSSL_PARAM_construct_end(),
  };
  CHECK(EVP_MAC_init(context.get(), detail::non_null(key), key.size(), parameters) == 1);
  return context;
}

void update_mac(const MacContext& context, ByteView data) {
  CHECK(EVP_MAC_update(context.get(), data.data(), data.size()) == 1);
}

// Writes the code and makes the context ready for another message under the same key (a null key means "keep it").
void finish_mac(const MacContext& context, MutableByteView out) {
  std::size_t written = 0;
  CHECK(EVP_MAC_final(context.get(), out.data(), &written, out.size()) == 1);
  CHECK(written == out.size());
  CHECK(EVP_MAC_init(context.get(), nullptr, 0, nullptr) == 1);
}

}  // namespace

Hash256 sha256(ByteView data) {
  return hash_once<Hash256>(detail::sha256_algorithm(), data);
}
Hash384 sha384(ByteView data) {
  return hash_once<Hash384>(detail::sha384_algorithm(), data);
}
Hash512 sha512(ByteView data) {
  return hash_once<Hash512>(detail::sha512_algorithm(), data);
}

struct Sha256Hasher::State {
  DigestContext context{EVP_MD_CTX_new()};

  void start() { CHECK(EVP_DigestInit_ex2(context.get(), detail::sha256_algorithm(), nullptr) == 1); }
};

Sha256Hasher::Sha256Hasher() : state_(std::make_unique<State>()) {
  CHECK(state_->context != nullptr);
  state_->start();
}
Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::update(ByteView data) {
  CHECK(EVP_DigestUpdate(state_->context.get(), data.data(), data.size()) == 1);
}

Hash256 Sha256Hasher::so_far() const {
  const DigestContext copy(EVP_MD_CTX_new());
  CHECK(copy != nullptr && EVP_MD_CTX_copy_ex(copy.get(), state_->context.get()) == 1);
  Hash256 hash;
  CHECK(EVP_DigestFinal_ex(copy.get(), hash.mutable_view().data(), nullptr) == 1);
  return hash;
}

Hash256 Sha256Hasher::finish() {
  Hash256 hash;
  CHECK(EVP_DigestFinal_ex(state_->context.get(), hash.mutable_view().data(), nullptr) == 1);
  state_->start();
  return hash;
}

struct HmacSha256::State {
  MacContext context;
};

HmacSha256::HmacSha256(ByteView key) : state_(std::make_unique<State>(State{keyed_hmac("SHA2-256", key)})) {}
HmacSha256::~HmacSha256() = default;
HmacSha256::HmacSha256(HmacSha256&&) noexcept = default;
HmacSha256& HmacSha256::operator=(HmacSha256&&) noexcept = default;

void HmacSha256::update(ByteView data) {
  update_mac(state_->context, data);
}

Hash256 HmacSha256::finish() {
  Hash256 code;
  finish_mac(state_->context, code.mutable_view());
  return code;
}

// RFC 5869 over HMAC rather than libcrypto's own HKDF, which limits `info` to 1 KiB and refuses some empty inputs
// in 3.0.
void hkdf(HkdfHash hash, ByteView input_key, ByteView salt, ByteView info, MutableByteView out) {
  const HkdfShape shape = shape_of(hash);
  // An absent salt is a string of zeros, and HMAC pads an empty key with zeros: the same thing.
  const MacContext extract = keyed_hmac(shape.digest, salt);
  update_mac(extract, input_key);
  Secret<kLargestDigest> pseudorandom_key;
  const MutableByteView key = pseudorandom_key.mutable_view().first(shape.bytes);
  finish_mac(extract, key);
  hkdf_expand(hash, key, info, out);
}

void hkdf_expand(HkdfHash hash, ByteView pseudorandom_key, ByteView info, MutableByteView out) {
  const HkdfShape shape = shape_of(hash);
  CHECK(out.size() <= 255 * shape.bytes);
  const MacContext mac = keyed_hmac(shape.digest, pseudorandom_key);
  Secret<kLargestDigest> block;
  const MutableByteView previous = block.mutable_view().first(shape.bytes);
  Byte counter = 0;
  while (!out.empty()) {
    if (counter > 0) update_mac(mac, previous);
    ++counter;
    update_mac(mac, info);
    update_mac(mac, ByteView(&counter, 1));
    finish_mac(mac, previous);
    const std::size_t take = std::min(out.size(), previous.size());
    std::copy_n(previous.begin(), take, out.begin());
    out = out.subspan(take);
  }
}

}  // namespace exclave::crypto
