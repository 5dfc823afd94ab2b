#include "crypto/segments.h"

#include <algorithm>
#include <limits>
#include <string_view>

namespace exclave::crypto {
namespace {

constexpr std::string_view kSegmentLabel = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM";
constexpr std::size_t kHeadBytes = kSegmentSaltBytes + kCommitmentBytes;
constexpr std::uint64_t kLargestIndex = std::numeric_limits<std::uint32_t>::max();

Secret<kKeyBytes + kNonceBytes + kCommitmentBytes> derive(const Secret<32>& input_key, const SegmentSalt& salt,
                                                          ByteView context) {
  Bytes info = to_bytes(kSegmentLabel);
  info.push_back(0);
  append(info, salt);
  append(info, context);
  Secret<kKeyBytes + kNonceBytes + kCommitmentBytes> material;
  hkdf_expand(HkdfHash::Sha512, input_key.view(), info, material.mutable_view());
  return material;
}

}  // namespace

Result<std::uint64_t> plain_segments_size(std::uint64_t sealed_bytes) {
  const std::uint64_t last = sealed_bytes % kSegmentSealedBytes;
  // 0: the short last segment is missing; 1..15: it is cut.
  if (last < kTagBytes) return Error(Code::Corrupt, "sealed segments are truncated or extended");
  const std::uint64_t full = sealed_bytes / kSegmentSealedBytes;
  if (full > kLargestIndex) return Error(Code::Corrupt, "sealed segments are too many");
  return full * kSegmentPlainBytes + (last - kTagBytes);
}

SegmentCipher::SegmentCipher(const Secret<32>& input_key, const SegmentSalt& salt, ByteView context)
    : SegmentCipher(derive(input_key, salt, context)) {}

SegmentCipher::SegmentCipher(const Secret<kMaterialBytes>& material) : aead_(material.view().first(kKeyBytes)) {
  const ByteView rest = material.view().subspan(kKeyBytes);
  std::copy_n(rest.begin(), kNonceBytes, base_nonce_.begin());
  std::copy_n(rest.begin() + kNonceBytes, kCommitmentBytes, commitment_.begin());
}

Status SegmentCipher::check_commitment(ByteView stored) const {
  if (!equal_in_constant_time(stored, commitment_)) {
    return Error(Code::Corrupt, "key commitment does not match: another key, salt or context sealed this");
  }
  return {};
}

Nonce SegmentCipher::nonce_for(std::uint32_t index) const {
  std::array<Byte, 4> counter;
  store_u32(counter, index);
  Nonce nonce = base_nonce_;
  for (std::size_t i = 0; i < counter.size(); ++i) nonce[kNonceBytes - counter.size() + i] ^= counter[i];
  return nonce;
}

void SegmentCipher::seal_segment(std::uint32_t index, MutableByteView buffer) {
  CHECK(buffer.size() >= kTagBytes && buffer.size() <= kSegmentSealedBytes);
  const std::size_t plain = buffer.size() - kTagBytes;
  aead_.seal_in_place(nonce_for(index), {}, buffer.first(plain), buffer.subspan(plain));
}

Status SegmentCipher::open_segment(std::uint32_t index, ByteView sealed, MutableByteView out) {
  CHECK(sealed.size() >= kTagBytes && sealed.size() <= kSegmentSealedBytes);
  const std::size_t plain = sealed.size() - kTagBytes;
  CHECK(out.size() == plain);
  return aead_.open(nonce_for(index), {}, sealed.first(plain), sealed.subspan(plain), out).in([&] {
    return "segment " + std::to_string(index);
  });
}

Bytes seal_message(const Secret<32>& input_key, const SegmentSalt& salt, ByteView context, ByteView message) {
  CHECK(message.size() / kSegmentPlainBytes <= kLargestIndex);
  SegmentCipher cipher(input_key, salt, context);
  Bytes sealed;
  sealed.reserve(kHeadBytes + sealed_segments_size(message.size()));
  append(sealed, salt);
  append(sealed, cipher.commitment());
  for (std::uint32_t index = 0;; ++index) {
    const std::size_t plain = std::min(message.size(), kSegmentPlainBytes);
    append(sealed, message.first(plain));
    sealed.resize(sealed.size() + kTagBytes);
    cipher.seal_segment(index, MutableByteView(sealed).last(plain + kTagBytes));
    message = message.subspan(plain);
    if (plain < kSegmentPlainBytes) return sealed;
  }
}

Result<Bytes> open_message(const Secret<32>& input_key, ByteView context, ByteView sealed) {
  if (sealed.size() < kHeadBytes) return Error(Code::Corrupt, "sealed message is shorter than its head");
  SegmentSalt salt;
  std::copy_n(sealed.begin(), kSegmentSaltBytes, salt.begin());
  SegmentCipher cipher(input_key, salt, context);
  TRY(cipher.check_commitment(sealed.subspan(kSegmentSaltBytes, kCommitmentBytes)));
  ByteView rest = sealed.subspan(kHeadBytes);
  Bytes message(TRY(plain_segments_size(rest.size())));
  MutableByteView out = message;
  for (std::uint32_t index = 0; !rest.empty(); ++index) {
    const std::size_t size = std::min(rest.size(), kSegmentSealedBytes);
    const Status opened = cipher.open_segment(index, rest.first(size), out.first(size - kTagBytes));
    if (!opened.ok()) {
      wipe(message);  // earlier segments were genuine, but half a message is not the message
      return opened.error();
    }
    rest = rest.subspan(size);
    out = out.subspan(size - kTagBytes);
  }
  return message;
}

}  // namespace exclave::crypto
