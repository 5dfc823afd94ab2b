#include "format/journal.h"

#include <algorithm>

#include "base/crc32c.h"

namespace exclave::format {
namespace {

constexpr std::size_t kStreamOffset = kObjectHeaderBytes + 32;
constexpr std::size_t kIndexOffset = kStreamOffset + StreamId::kSize;
constexpr std::size_t kCommitmentOffset = kIndexOffset + 8;
constexpr std::size_t kZerosOffset = kCommitmentOffset + crypto::kCommitmentBytes;
constexpr std::size_t kCoveredOffset = 8;  // of a frame: where what the crc covers begins
constexpr std::size_t kSaltOffset = 16;
constexpr std::size_t kAssociatedFixed = kObjectHeaderBytes + RealmId::kSize;
constexpr crypto::Nonce kNoNonce{};  // each frame has a key of its own

Error corrupt_segment(std::string why) {
  return {Code::Corrupt, "segment: " + std::move(why)};
}

crypto::Commitment commitment_of(const crypto::Secret<32>& kek, const SegmentPlace& place) {
  Bytes info = to_bytes(std::string_view("exclave/journal-commitment/v1"));
  append(info, place.stream.view());
  info.resize(info.size() + 8);
  store_u64(MutableByteView(info).last(8), place.index.value());
  crypto::Commitment commitment{};
  crypto::hkdf_expand(crypto::HkdfHash::Sha512, kek.view(), info, commitment);
  return commitment;
}

// header || realm || room for offset and number.
Bytes associated_of(const HeaderBytes& header, const RealmId& realm) {
  Bytes associated(header.begin(), header.end());
  append(associated, realm.view());
  associated.resize(kAssociatedFixed + 16);
  return associated;
}

// The frame's cipher; leaves its associated data in `associated`.
crypto::Aes256Gcm frame_cipher(const crypto::Secret<32>& kek, std::uint64_t offset, FrameNumber number, ByteView salt,
                               Bytes& associated) {
  const MutableByteView place = MutableByteView(associated).subspan(kAssociatedFixed, 16);
  store_u64(place, offset);
  store_u64(place.subspan(8), number.value());
  constexpr std::string_view kLabel = "exclave/frame/v1";
  std::array<Byte, kLabel.size() + 16 + kFrameSaltBytes> info{};
  auto at = std::copy(kLabel.begin(), kLabel.end(), info.begin());
  at = std::copy(place.begin(), place.end(), at);
  std::copy(salt.begin(), salt.end(), at);
  crypto::Secret<32> key;
  crypto::hkdf_expand(crypto::HkdfHash::Sha512, kek.view(), info, key.mutable_view());
  return crypto::Aes256Gcm(key.view());
}

// One frame as it stands, nothing opened yet.
struct RawFrame {
  FrameNumber number;
  std::size_t bytes = 0;
};

// nullopt: the frames end. What is wrong with a frame that is not whole is the error.
Result<std::optional<RawFrame>> look_at_frame(ByteView bytes) {
  if (bytes.empty()) return std::optional<RawFrame>();
  if (bytes.size() < kFrameStep) return corrupt_segment("a frame is cut off");
  RawFrame frame;
  frame.bytes = stated_frame_bytes(bytes);
  if (frame.bytes == 0) return std::optional<RawFrame>();
  if (frame.bytes % kFrameStep != 0 || frame.bytes > kMaxFrameBytes)
    return corrupt_segment("a frame has an impossible size");
  if (frame.bytes > bytes.size()) return corrupt_segment("a frame is cut off");
  if (crc32c(bytes.subspan(kCoveredOffset, frame.bytes - kCoveredOffset)) != load_u32(bytes.subspan(4))) {
    return corrupt_segment("a frame's checksum differs");
  }
  frame.number = FrameNumber(load_u64(bytes.subspan(kCoveredOffset)));
  return std::optional(frame);
}

}  // namespace

std::string to_string(const SegmentPlace& place) {
  return "segment " + std::to_string(place.index.value()) + " of journal " + place.stream.hex().substr(0, 16);
}

std::size_t content_that_fits(std::size_t room_bytes) {
  const std::size_t whole = room_bytes / kFrameStep * kFrameStep;
  return whole == 0 ? 0 : std::min(whole - kFrameOverheadBytes, kMaxFrameContent);
}

Status cut_to_content(Bytes& plaintext) {
  if (plaintext.size() < kContentSizeBytes) return corrupt_segment("a frame is too short for its content's size");
  const std::size_t room = plaintext.size() - kContentSizeBytes;
  const std::size_t size = load_u32(ByteView(plaintext).subspan(room));
  const std::size_t frame = kFrameHeadBytes + plaintext.size() + crypto::kTagBytes;
  if (size == 0 || size > std::min(room, kMaxFrameContent) || frame_bytes(size) != frame) {
    return corrupt_segment("a frame has no content of " + std::to_string(size) + " bytes");
  }
  if (!is_all_zero(ByteView(plaintext).subspan(size, room - size))) {
    return corrupt_segment("something follows the content of a frame");
  }
  plaintext.resize(size);
  return {};
}

Result<SegmentFront> decode_segment_front(ByteView bytes) {
  SegmentFront front;
  front.header = TRY(decode_header(bytes));
  if (front.header.suite != Suite::Frames) return Error(Code::Unsupported, "object is no journal's segment");
  if (bytes.size() < kSegmentFrontBytes) return corrupt_segment("is shorter than its front");
  std::copy_n(bytes.begin(), kObjectHeaderBytes, front.header_bytes.begin());
  front.encapsulated = crypto::X25519PublicKey::from_view(bytes.subspan(kObjectHeaderBytes, 32));
  front.place.stream = StreamId::from_view(bytes.subspan(kStreamOffset, StreamId::kSize));
  front.place.index = EntryIndex(load_u64(bytes.subspan(kIndexOffset)));
  std::copy_n(bytes.begin() + kCommitmentOffset, crypto::kCommitmentBytes, front.commitment.begin());
  if (!is_all_zero(bytes.subspan(kZerosOffset, kSegmentFrontBytes - kZerosOffset))) {
    return corrupt_segment("its front has a reserved field that is not zero");
  }
  return front;
}

SegmentSealer::SegmentSealer(const KeyId& key, std::uint8_t size_class, crypto::Secret<32> kek, Bytes front,
                             Bytes associated)
    : key_(key),
      size_class_(size_class),
      kek_(std::move(kek)),
      front_(std::move(front)),
      associated_(std::move(associated)) {}

Result<SegmentSealer> SegmentSealer::open(const SealingKey& key, const RealmId& realm, const SegmentPlace& place,
                                          std::uint8_t size_class, const crypto::Secret<32>& ephemeral) {
  CHECK(std::count(kSizeClasses.begin(), kSizeClasses.end(), size_class) == 1);
  const HeaderBytes header = encode_header({size_class, key.id, Suite::Frames});
  crypto::Secret<32> kek = TRY(sealing_kek(key, header, ephemeral));
  const crypto::Commitment commitment = commitment_of(kek, place);
  Bytes front(header.begin(), header.end());
  append(front, crypto::x25519_public_key(ephemeral).view());
  append(front, place.stream.view());
  front.resize(kCommitmentOffset);
  store_u64(MutableByteView(front).subspan(kIndexOffset), place.index.value());
  append(front, commitment);
  front.resize(kSegmentFrontBytes);
  return SegmentSealer(key.id, size_class, std::move(kek), std::move(front), associated_of(header, realm));
}

Result<std::optional<std::size_t>> SegmentSealer::seal(FrameNumber number, ByteView content,
                                                       const crypto::Secret<32>& random, MutableByteView room) {
  if (content.empty() || content.size() > kMaxFrameContent) {
    return Error(Code::InvalidInput, "a frame of " + std::to_string(content.size()) + " bytes: it has 1 to " +
                                         std::to_string(kMaxFrameContent));
  }
  const std::size_t bytes = frame_bytes(content.size());
  if (bytes > remaining()) return std::optional<std::size_t>();
  CHECK(room.size() >= bytes);
  const MutableByteView frame = room.first(bytes);
  store_u32(frame, static_cast<std::uint32_t>(bytes));
  store_u64(frame.subspan(kCoveredOffset), number.value());
  const crypto::Hash256 binding = crypto::sha256(content);
  const crypto::Hash256 salt = crypto::HmacSha256(random.view()).of(binding.view());
  std::copy_n(salt.view().begin(), kFrameSaltBytes, frame.begin() + kSaltOffset);
  const MutableByteView text = frame.subspan(kFrameHeadBytes, bytes - kFrameHeadBytes - crypto::kTagBytes);
  std::fill(std::copy(content.begin(), content.end(), text.begin()), text.end(), Byte{0});
  store_u32(text.last(kContentSizeBytes), static_cast<std::uint32_t>(content.size()));
  crypto::Aes256Gcm cipher = frame_cipher(kek_, end_, number, frame.subspan(kSaltOffset, kFrameSaltBytes), associated_);
  cipher.seal_in_place(kNoNonce, associated_, text, frame.last(crypto::kTagBytes));
  store_u32(frame.subspan(4), crc32c(frame.subspan(kCoveredOffset)));
  end_ += bytes;
  return std::optional(bytes);
}

SegmentOpener::SegmentOpener(SegmentFront front, crypto::Secret<32> kek, Bytes associated)
    : front_(std::move(front)), kek_(std::move(kek)), associated_(std::move(associated)) {}

Result<SegmentOpener> SegmentOpener::open(const OpeningKey& key, const RealmId& realm, const SegmentPlace& place,
                                          ByteView bytes) {
  SegmentFront front = TRY(decode_segment_front(bytes));
  if (front.place != place)
    return corrupt_segment("says that it is " + to_string(front.place) + ", not " + to_string(place));
  crypto::Secret<32> kek = TRY(opening_kek(key, front.header, front.header_bytes, front.encapsulated));
  if (!crypto::equal_in_constant_time(commitment_of(kek, place), front.commitment)) {
    return corrupt_segment("key commitment does not match: another key or place");
  }
  Bytes associated = associated_of(front.header_bytes, realm);
  return SegmentOpener(std::move(front), std::move(kek), std::move(associated));
}

Result<std::optional<SegmentOpener::Frame>> SegmentOpener::open_frame(std::uint64_t offset, ByteView bytes) {
  const auto raw = TRY(look_at_frame(bytes));
  if (!raw.has_value()) return std::optional<Frame>();
  Frame frame;
  frame.number = raw->number;
  frame.bytes = raw->bytes;
  const ByteView sealed = bytes.first(raw->bytes).subspan(kFrameHeadBytes);
  frame.content.resize(sealed.size() - crypto::kTagBytes);
  crypto::Aes256Gcm cipher =
      frame_cipher(kek_, offset, raw->number, bytes.subspan(kSaltOffset, kFrameSaltBytes), associated_);
  const ByteView text = sealed.first(frame.content.size());
  TRY(cipher.open(kNoNonce, associated_, text, sealed.last(crypto::kTagBytes), frame.content).in([&] {
    return "segment: frame at offset " + std::to_string(offset);
  }));
  TRY(cut_to_content(frame.content).in([&] { return "frame at offset " + std::to_string(offset); }));
  return std::optional(std::move(frame));
}

Status open_segment(const OpeningKey& key, const RealmId& realm, const SegmentPlace& place, ByteView segment,
                    std::optional<FrameNumber> first, const std::function<Status(const SegmentOpener::Frame&)>& visit) {
  SegmentOpener opener = TRY(SegmentOpener::open(key, realm, place, segment));
  if (segment.size() != object_bytes(opener.front().header.size_class)) {
    return corrupt_segment("has " + std::to_string(segment.size()) + " bytes, which is not its class");
  }
  std::size_t offset = kSegmentFrontBytes;
  while (true) {
    const auto frame = TRY(opener.open_frame(offset, segment.subspan(offset)));
    if (!frame.has_value()) break;
    if (first.has_value() && frame->number != *first) {
      return corrupt_segment("frame " + std::to_string(frame->number.value()) + " stands where frame " +
                             std::to_string(first->value()) + " should");
    }
    first = FrameNumber(frame->number.value() + 1);
    TRY(visit(*frame));
    offset += frame->bytes;
  }
  if (!is_all_zero(segment.subspan(offset))) return corrupt_segment("something follows the end of its frames");
  return {};
}

FrameScan scan_frames(ByteView bytes) {
  FrameScan scan;
  while (true) {
    const ByteView rest = bytes.subspan(static_cast<std::size_t>(scan.bytes));
    const auto frame = look_at_frame(rest);
    if (!frame.ok()) return scan;
    if (!frame.value().has_value()) {
      scan.is_all = true;
      return scan;
    }
    const FrameNumber number = frame.value()->number;
    if (scan.last.has_value() && number.value() != scan.last->value() + 1) return scan;
    if (!scan.first.has_value()) scan.first = number;
    scan.last = number;
    scan.frames += 1;
    scan.bytes += frame.value()->bytes;
  }
}

}  // namespace exclave::format
