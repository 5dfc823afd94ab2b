// Sealer: turns a plaintext laid out inside an object's buffer into the sealed object, in place, and names it.
// Hides: salt and ephemeral derivation, segment order.
//
//   buffer := front (136 B, written here) | segment text | 16 B gap | segment text | 16 B gap ...     2^class bytes
//   random (32 B, per object);  binding = SHA-256(what makes the content unique: directory or payload)
//   salt      := HMAC-SHA-256(random, "salt"      || binding)[0..24)
//   ephemeral := HMAC-SHA-256(random, "ephemeral" || binding)
//
// I1  No salt and no ephemeral repeats for different content, even if a restored VM snapshot repeats `random`: chunk
//     ids in the directory commit to the content. Equal randomness and equal content give the equal object.
// Threads: one sealer per thread.
// Errors: Unavailable (randomness).
// Source: docs/formats/object.md; threat C7.
#pragma once

#include "env/random.h"
#include "format/object.h"

namespace exclave::repo {

// Where plaintext offset `at` stands in the object's buffer.
constexpr std::size_t buffer_offset_of(std::size_t at) {
  return format::kSegmentsOffset + at + at / crypto::kSegmentPlainBytes * crypto::kTagBytes;
}

// Copies `bytes` to plaintext offset `at`, around the tag gaps.
void scatter(MutableByteView buffer, std::size_t at, ByteView bytes);
// Zeroes plaintext [from, to).
void scatter_zeros(MutableByteView buffer, std::size_t from, std::size_t to);
// The reverse of scatter.
void gather(ByteView buffer, std::size_t at, MutableByteView out);

class Sealer {
 public:
  Sealer(const format::RealmId& realm, env::Random& random) : realm_(realm), random_(random) {}

  // `binding`: see above. `buffer`: exactly object_bytes(size_class), its whole plaintext filled in.
  Result<format::ObjectName> seal(const format::SealingKey& key, std::uint8_t size_class,
                                  const crypto::Hash256& binding, MutableByteView buffer);

 private:
  format::RealmId realm_;
  env::Random& random_;
};

}  // namespace exclave::repo
