// Hashes, HMAC and HKDF.
// Hides: OpenSSL's EVP objects (fetched once, reused: an implicit fetch costs three times a short hash).
//
// Units: digests in bytes. I1  Pure functions of their inputs.
// Threads: free functions from any thread; hasher objects by one thread.
// Errors: none; a failing libcrypto is a CHECK (out of memory or a broken library).
// Source: FIPS 180-4, RFC 2104, RFC 5869.
#pragma once

#include <memory>

#include "base/tagged.h"
#include "crypto/secret.h"

namespace exclave::crypto {

using Hash256 = Id<32, struct Hash256Tag>;
using Hash384 = Id<48, struct Hash384Tag>;
using Hash512 = Id<64, struct Hash512Tag>;

Hash256 sha256(ByteView data);
Hash384 sha384(ByteView data);
Hash512 sha512(ByteView data);

class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;
  void update(ByteView data);
  Hash256 so_far() const;  // of what came up to here; more may follow
  Hash256 finish();        // and is ready for a new message

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// HMAC-SHA-256 with the key set up once: 0.31 us instead of 1.56 us for 64 bytes.
class HmacSha256 {
 public:
  explicit HmacSha256(ByteView key);
  ~HmacSha256();
  HmacSha256(HmacSha256&&) noexcept;
  HmacSha256& operator=(HmacSha256&&) noexcept;
  void update(ByteView data);
  Hash256 finish();  // and is ready for a new message under the same key
  Hash256 of(ByteView data) {
    update(data);
    return finish();
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

enum class HkdfHash { Sha256, Sha384, Sha512 };
// RFC 5869 extract-then-expand; out.size() <= 255 hash lengths.
void hkdf(HkdfHash hash, ByteView input_key, ByteView salt, ByteView info, MutableByteView out);
// Expand only; `pseudorandom_key` is uniform already.
void hkdf_expand(HkdfHash hash, ByteView pseudorandom_key, ByteView info, MutableByteView out);

}  // namespace exclave::crypto
