// Journal segments: an object that grows. Sealed frames are appended one by one and acknowledged one by one; when it is
// closed, it is an ordinary object of its size class, with a name and an entry.
// Hides: field offsets, key schedule, padding, and how the last whole frame is found without any key.
//
//   segment := front (4,096) | frame ... frame | zeros                                      2^class bytes
//   front   := header (48) | ct (32) | stream (32) | index u64 | commitment (32) | zeros    header: object.h, suite 2
//   frame   := frame-bytes u32 | crc u32 | number u64 | salt (24) | ciphertext | tag (16)
//                                          '----------- crc covers these ------------'
//   plaintext := content | zeros | content-bytes u32             of the size that makes the frame a multiple of 4,096
//   offset     0        4,096     8,192              steps of 4,096; frame-bytes 0 ends the frames
//
//   KEK        := as an object's (object.h), with an ephemeral of this segment alone
//   commitment := HKDF-Expand(KEK, "exclave/journal-commitment/v1" || stream || index)
//   frame key  := HKDF-Expand(KEK, "exclave/frame/v1" || offset u64 || number u64 || salt)
//   sealed     := AES-256-GCM(frame key, nonce = 0, AAD = header || realm || offset u64 || number u64)
//   salt       := first 24 bytes of HMAC-SHA-256(32 random bytes, SHA-256(content))
//
// Units/limits: bytes. A content has 1 byte to 1 MiB; 4,036 fit in one step.
// I1  Number rises by 1 from frame to frame, through all segments of a stream: what is missing between two segments shows.
// I2  The commitment is checked before any frame is opened: a segment stands at its place in its stream or nowhere.
// I3  No frame key repeats with other content, even if a machine that was set back draws the same random bytes: the salt
//     commits to the content, offset and number are in the key.
// I4  After the end of the frames there are only zeros in a closed segment. In an open one there may be a torn frame.
// I5  Whoever has no key sees of a content's size how many steps it takes, and nothing finer: of compressed contents a size
//     to the byte would tell whether what somebody put into a registry is like what stands beside it (H2).
// Threads: one at a time; scan_frames is pure.
// Errors: Corrupt, Unsupported (suite, version), Denied (another period's key), InvalidInput (empty or too large frame).
// Source: docs/formats/journal.md, ADR-0024.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "format/object.h"

namespace exclave::format {

inline constexpr std::size_t kFrameStep = 4096;
inline constexpr std::size_t kSegmentFrontBytes = kFrameStep;
inline constexpr std::size_t kFrameSaltBytes = 24;
inline constexpr std::size_t kFrameHeadBytes = 4 + 4 + 8 + kFrameSaltBytes;
inline constexpr std::size_t kMaxFrameContent = std::size_t{1} << 20;
inline constexpr std::size_t kContentSizeBytes = 4;  // at a plaintext's end
inline constexpr std::size_t kFrameOverheadBytes = kFrameHeadBytes + kContentSizeBytes + crypto::kTagBytes;

// Where a segment stands.
struct SegmentPlace {
  StreamId stream;
  EntryIndex index;
  friend auto operator<=>(const SegmentPlace&, const SegmentPlace&) = default;
};
std::string to_string(const SegmentPlace& place);  // "segment 3 of journal 1a2b3c4d5e6f7081"

// What a frame of so many content bytes takes in a segment.
constexpr std::size_t frame_bytes(std::size_t content_bytes) {
  return (content_bytes + kFrameOverheadBytes + kFrameStep - 1) / kFrameStep * kFrameStep;
}
inline constexpr std::size_t kMaxFrameBytes = frame_bytes(kMaxFrameContent);
// The largest content whose frame fits in so many bytes; 0 if none does.
std::size_t content_that_fits(std::size_t room_bytes);
// What the frame takes that begins here, by its own word; 0 where the frames end. Precondition: kFrameHeadBytes are there.
inline std::uint32_t stated_frame_bytes(ByteView frame) {
  return load_u32(frame);
}

// The clear front of a segment.
struct SegmentFront {
  ObjectHeader header;
  HeaderBytes header_bytes{};
  crypto::X25519PublicKey encapsulated;  // ct
  SegmentPlace place;
  crypto::Commitment commitment{};
};
// `bytes`: at least kSegmentFrontBytes. Corrupt also if what follows the commitment is not zero; Unsupported for an
// object of another suite.
Result<SegmentFront> decode_segment_front(ByteView bytes);

// Seals the frames of one segment, front to back.
class SegmentSealer {
 public:
  // `ephemeral` must be fresh: of this segment alone.
  static Result<SegmentSealer> open(const SealingKey& key, const RealmId& realm, const SegmentPlace& place,
                                    std::uint8_t size_class, const crypto::Secret<32>& ephemeral);

  const Bytes& front() const { return front_; }  // kSegmentFrontBytes, to stand at offset 0
  std::uint8_t size_class() const { return size_class_; }
  const KeyId& key() const { return key_; }
  // Where the next frame begins.
  std::uint64_t end() const { return end_; }
  // Bytes behind end().
  std::size_t remaining() const { return object_bytes(size_class_) - static_cast<std::size_t>(end_); }
  bool fits(std::size_t content_bytes) const { return frame_bytes(content_bytes) <= remaining(); }

  // Seals `content` into the front of `room`, which is what stands at end() in the segment; the size of the frame.
  // nullopt, with nothing done, if the segment has no room for it. `random`: 32 fresh random bytes. InvalidInput: empty,
  // or above kMaxFrameContent. Precondition: room has frame_bytes(content.size()).
  Result<std::optional<std::size_t>> seal(FrameNumber number, ByteView content, const crypto::Secret<32>& random,
                                          MutableByteView room);

 private:
  SegmentSealer(const KeyId& key, std::uint8_t size_class, crypto::Secret<32> kek, Bytes front, Bytes associated);

  KeyId key_;
  std::uint8_t size_class_ = 0;
  crypto::Secret<32> kek_;
  Bytes front_;
  Bytes associated_;  // header || realm || 16 bytes for offset and number
  std::uint64_t end_ = kSegmentFrontBytes;
};

// Opens the frames of one segment, in any order.
class SegmentOpener {
 public:
  // `place`: where the segment was found; Corrupt if it says, or was made for, another one.
  static Result<SegmentOpener> open(const OpeningKey& key, const RealmId& realm, const SegmentPlace& place,
                                    ByteView front);

  struct Frame {
    FrameNumber number;
    Bytes content;
    std::size_t bytes = 0;  // that it takes: the next one begins so much further on
  };
  // The frame at `offset` of the segment; `bytes`: what stands there, to the segment's end or as far as is known.
  // nullopt: the frames end here. Corrupt: it is cut off, damaged, or not this segment's.
  Result<std::optional<Frame>> open_frame(std::uint64_t offset, ByteView bytes);

  const SegmentFront& front() const { return front_; }

 private:
  SegmentOpener(SegmentFront front, crypto::Secret<32> kek, Bytes associated);

  SegmentFront front_;
  crypto::Secret<32> kek_;
  Bytes associated_;
};

// A frame's opened plaintext is cut to its content. Corrupt: no writer makes such a plaintext.
Status cut_to_content(Bytes& plaintext);

// A whole closed segment: its frames in order, each given to `visit`. Checks size and that nothing follows the frames.
// `first`: the number that the first frame must have; none: any.
Status open_segment(const OpeningKey& key, const RealmId& realm, const SegmentPlace& place, ByteView segment,
                    std::optional<FrameNumber> first, const std::function<Status(const SegmentOpener::Frame&)>& visit);

// What whole frames stand at the front of `bytes`, which begin where a frame may begin. Needs no key: size, checksum
// and rising numbers make a frame whole. Says nothing about who made it.
struct FrameScan {
  std::uint64_t bytes = 0;  // of whole frames: where the next one would begin
  std::uint64_t frames = 0;
  std::optional<FrameNumber> first;
  std::optional<FrameNumber> last;
  bool is_all = false;  // the view ends, or the frames do by frame-bytes 0, right behind the last whole frame
};
FrameScan scan_frames(ByteView bytes);

}  // namespace exclave::format
