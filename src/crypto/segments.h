// Segment sealing: c2sp.org/chunked-encryption (v1) with HKDF-Expand-SHA-512 and AES-256-GCM.
// Hides: key derivation, nonces and the short last segment.
//
//   sealed  := salt (24) | commitment (32) | segment_0 .. segment_n
//   segment := ciphertext (16384, the last one shorter) | tag (16)
//   key (32) || base nonce (12) || commitment (32) =
//       HKDF-Expand(input key, "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM" || 0x00 || salt || context)
//   nonce_i = base nonce XOR i (big-endian)      associated data is empty
//
// Units/limits: sizes in bytes; at most 2^32 segments here.
// I1  A salt never repeats under one input key: the caller's duty, see repo/sealer.h.
// I2  The commitment is checked (constant time) before any segment is opened.
// I3  The last segment is shorter than 16384 bytes, possibly empty; otherwise the message is truncated: Corrupt.
// I4  open releases no byte of a segment whose tag failed.
// Threads: by one thread at a time.
// Errors: Corrupt only.
// Source: c2sp.org/chunked-encryption as of commit 1225032 of C2SP/C2SP; docs/formats/object.md.
#pragma once

#include <array>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace exclave::crypto {

inline constexpr std::size_t kSegmentPlainBytes = 16384;
inline constexpr std::size_t kSegmentSealedBytes = kSegmentPlainBytes + kTagBytes;
inline constexpr std::size_t kSegmentSaltBytes = 24;
inline constexpr std::size_t kCommitmentBytes = 32;
using SegmentSalt = std::array<Byte, kSegmentSaltBytes>;
using Commitment = std::array<Byte, kCommitmentBytes>;

// Bytes of all segments that seal `plain_bytes`.
constexpr std::uint64_t sealed_segments_size(std::uint64_t plain_bytes) {
  return plain_bytes + (plain_bytes / kSegmentPlainBytes + 1) * kTagBytes;
}

// Plain bytes inside `sealed_bytes` of segments: the inverse. Corrupt if no message has that length (see I3), so a
// reader that opens single segments checks the whole by calling this first with the object's length.
Result<std::uint64_t> plain_segments_size(std::uint64_t sealed_bytes);

class SegmentCipher {
 public:
  SegmentCipher(const Secret<32>& input_key, const SegmentSalt& salt, ByteView context);
  const Commitment& commitment() const { return commitment_; }
  Status check_commitment(ByteView stored) const;  // Corrupt if it differs

  // Seals segment `index` in place: buffer[0, plain) becomes ciphertext, buffer[plain, plain + 16) the tag.
  // Precondition: buffer.size() == plain + 16, plain <= 16384.
  void seal_segment(std::uint32_t index, MutableByteView buffer);
  // Opens segment `index`; out may alias the front of sealed. On Corrupt, out holds zeros.
  // Preconditions: 16 <= sealed.size() <= 16400, out.size() == sealed.size() - 16. Nothing in one segment says whether
  // it is the last: that follows from the object's length, see plain_segments_size().
  Status open_segment(std::uint32_t index, ByteView sealed, MutableByteView out);

 private:
  static constexpr std::size_t kMaterialBytes = 32 + kNonceBytes + kCommitmentBytes;

  explicit SegmentCipher(const Secret<kMaterialBytes>& material);
  Nonce nonce_for(std::uint32_t index) const;

  Nonce base_nonce_{};
  Commitment commitment_{};
  Aes256Gcm aead_;
};

// Whole-message forms, for small messages and tests. Output starts with salt and commitment.
Bytes seal_message(const Secret<32>& input_key, const SegmentSalt& salt, ByteView context, ByteView message);
Result<Bytes> open_message(const Secret<32>& input_key, ByteView context, ByteView sealed);

}  // namespace exclave::crypto
