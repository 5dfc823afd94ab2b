// Object: what a vault holds. The clear header, the size classes and the key schedule around crypto/segments.h.
// Hides: field offsets, how KEK and context are made, how plaintext offsets map to file offsets.
//
//   object   := header (48) | ct (32) | salt (24) | commitment (32) | segments        file size exactly 2^class
//   header   := "EXCLAVE" 00 | suite u16 | version u16 = 1 | class u8 | 00 00 00 | registry (16) | era u32
//               | period u32 | 0 (8)
//   ss       := X25519(ephemeral private, X_p)                  ct := ephemeral public
//   KEK (32) := HKDF-SHA-512(ikm = S_p || ss, salt = SHA-512(ct || X_p || header), info = "exclave/kek/v1")
//   segments := chunked encryption under KEK with salt, context = header || realm id (16)
//   name     := RFC 6962 tree hash over 64 KiB blocks of the file
//
// Units/limits: classes 18, 20, 22, 24 (256 KiB to 16 MiB); plain_capacity(class) bytes inside.
// I1  Nothing else is in the clear: no type, no length, no count.
// Suite 1 is what stands here; suite 2, frames, has the same header and another inside (journal.h). A reader of one
// refuses the other.
// I2  Header, realm, registry, era and period are authenticated: a moved object does not open.
// Threads: pure.
// Errors: Corrupt, Unsupported (suite, version).
// Source: docs/formats/object.md, ADR-0014.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "crypto/segments.h"
#include "format/keys.h"

namespace exclave::format {

inline constexpr std::size_t kObjectHeaderBytes = 48;
inline constexpr std::size_t kSegmentsOffset =
    kObjectHeaderBytes + 32 + crypto::kSegmentSaltBytes + crypto::kCommitmentBytes;
inline constexpr std::array<std::uint8_t, 4> kSizeClasses = {18, 20, 22, 24};
inline constexpr std::uint8_t kLargestClass = 24;
inline constexpr std::size_t kMaxObjectBytes = std::size_t{1} << kLargestClass;

// Of a whole object.
ObjectName name_of(ByteView object);
// "object 3f0a...", in messages.
std::string object_words(const ObjectName& name);

constexpr std::size_t object_bytes(std::uint8_t size_class) {
  return std::size_t{1} << size_class;
}
// The class whose objects have exactly so many bytes; nullopt if there is none.
constexpr std::optional<std::uint8_t> class_of_bytes(std::uint64_t bytes) {
  for (const std::uint8_t size_class : kSizeClasses) {
    if (object_bytes(size_class) == bytes) return size_class;
  }
  return std::nullopt;
}
// Plaintext bytes that an object of this class holds, exactly.
constexpr std::size_t plain_capacity(std::uint8_t size_class) {
  const std::size_t sealed = object_bytes(size_class) - kSegmentsOffset;
  return sealed - (sealed / crypto::kSegmentSealedBytes + 1) * crypto::kTagBytes;
}
// The smallest class that holds `plain_bytes`; CHECKs that there is one.
std::uint8_t smallest_class_for(std::size_t plain_bytes);
// Precondition for all classes: sizes are exact inverses.
static_assert(crypto::sealed_segments_size(plain_capacity(18)) + kSegmentsOffset == object_bytes(18));
static_assert(crypto::sealed_segments_size(plain_capacity(20)) + kSegmentsOffset == object_bytes(20));
static_assert(crypto::sealed_segments_size(plain_capacity(22)) + kSegmentsOffset == object_bytes(22));
static_assert(crypto::sealed_segments_size(plain_capacity(24)) + kSegmentsOffset == object_bytes(24));

enum class Suite : std::uint16_t {
  Chunked = 1,  // X25519, HKDF-SHA-512, chunked AES-256-GCM
  Frames = 2,   // the same KEK, one AES-256-GCM key for each frame: a journal's segment
};
struct ObjectHeader {
  std::uint8_t size_class = 0;
  KeyId key;
  Suite suite = Suite::Chunked;
};
using HeaderBytes = std::array<Byte, kObjectHeaderBytes>;
HeaderBytes encode_header(const ObjectHeader& header);
// `bytes`: at least kObjectHeaderBytes. Checks magic, suite, version, class, zero fields.
Result<ObjectHeader> decode_header(ByteView bytes);

// The clear front of an object, header to commitment.
struct ObjectFront {
  ObjectHeader header;
  HeaderBytes header_bytes{};
  crypto::X25519PublicKey encapsulated;  // ct
  crypto::SegmentSalt salt{};
  crypto::Commitment commitment{};
};
// `bytes`: the first kSegmentsOffset bytes of an object. Unsupported for a journal's segment.
Result<ObjectFront> decode_front(ByteView bytes);

// KEK of an object that is being made with this ephemeral, and of one that is being opened.
Result<crypto::Secret<32>> sealing_kek(const SealingKey& key, const HeaderBytes& header,
                                       const crypto::Secret<32>& ephemeral);
// Denied if `key` is another period's than the header names.
Result<crypto::Secret<32>> opening_kek(const OpeningKey& key, const ObjectHeader& header,
                                       const HeaderBytes& header_bytes, const crypto::X25519PublicKey& encapsulated);

// Cipher for a new object. `ephemeral` and `salt` must be fresh: see repo/sealer.h for how they are drawn.
Result<crypto::SegmentCipher> sealing_cipher(const SealingKey& key, const RealmId& realm, const HeaderBytes& header,
                                             const crypto::Secret<32>& ephemeral, const crypto::SegmentSalt& salt);
// Cipher for an existing object; the commitment has been checked. Denied if `key` is another period's.
Result<crypto::SegmentCipher> opening_cipher(const OpeningKey& key, const RealmId& realm, const ObjectFront& front);

// Opens a whole object. Checks size against class. Returns the plaintext, plain_capacity(class) bytes.
Result<Bytes> open_object(const OpeningKey& key, const RealmId& realm, ByteView object);

}  // namespace exclave::format
