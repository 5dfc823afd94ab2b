#include "repo/sealer.h"

#include <algorithm>

#include "crypto/tree_hash.h"

namespace exclave::repo {
namespace {

// Calls `each(buffer offset, run length)` for the runs that plaintext [at, at + size) makes in the buffer.
template <typename F>
void for_each_run(std::size_t at, std::size_t size, F&& each) {
  while (size > 0) {
    const std::size_t run = std::min(size, crypto::kSegmentPlainBytes - at % crypto::kSegmentPlainBytes);
    each(buffer_offset_of(at), run);
    at += run;
    size -= run;
  }
}

crypto::Hash256 derive(const crypto::Secret<32>& random, std::string_view label, const crypto::Hash256& binding) {
  crypto::HmacSha256 hmac(random.view());
  hmac.update(as_bytes(label));
  return hmac.of(binding.view());
}

}  // namespace

void scatter(MutableByteView buffer, std::size_t at, ByteView bytes) {
  for_each_run(at, bytes.size(), [&](std::size_t offset, std::size_t run) {
    std::copy_n(bytes.begin(), run, buffer.begin() + static_cast<std::ptrdiff_t>(offset));
    bytes = bytes.subspan(run);
  });
}

void scatter_zeros(MutableByteView buffer, std::size_t from, std::size_t to) {
  for_each_run(from, to - from, [&](std::size_t offset, std::size_t run) {
    std::fill_n(buffer.begin() + static_cast<std::ptrdiff_t>(offset), run, Byte{0});
  });
}

void gather(ByteView buffer, std::size_t at, MutableByteView out) {
  for_each_run(at, out.size(), [&](std::size_t offset, std::size_t run) {
    std::copy_n(buffer.begin() + static_cast<std::ptrdiff_t>(offset), run, out.begin());
    out = out.subspan(run);
  });
}

Result<format::ObjectName> Sealer::seal(const format::SealingKey& key, std::uint8_t size_class,
                                        const crypto::Hash256& binding, MutableByteView buffer) {
  CHECK(buffer.size() == format::object_bytes(size_class));
  crypto::Secret<32> random;
  TRY(random_.fill(random.mutable_view()));
  const crypto::Hash256 salt_hash = derive(random, "salt", binding);
  crypto::Hash256 ephemeral_hash = derive(random, "ephemeral", binding);
  const auto ephemeral = crypto::Secret<32>::from_view(ephemeral_hash.view());
  crypto::wipe(ephemeral_hash.mutable_view());
  crypto::SegmentSalt salt{};
  std::copy_n(salt_hash.view().begin(), salt.size(), salt.begin());

  const format::HeaderBytes header = format::encode_header({size_class, key.id});
  crypto::SegmentCipher cipher = TRY(format::sealing_cipher(key, realm_, header, ephemeral, salt));
  const crypto::X25519PublicKey encapsulated = crypto::x25519_public_key(ephemeral);
  auto at = std::copy(header.begin(), header.end(), buffer.begin());
  at = std::copy(encapsulated.view().begin(), encapsulated.view().end(), at);
  at = std::copy(salt.begin(), salt.end(), at);
  std::copy(cipher.commitment().begin(), cipher.commitment().end(), at);

  // Segment by segment, while it is in the cache: the object is larger than that.
  crypto::TreeHasher hasher;
  hasher.update(buffer.first(format::kSegmentsOffset));
  MutableByteView rest = buffer.subspan(format::kSegmentsOffset);
  for (std::uint32_t index = 0; !rest.empty(); ++index) {
    const MutableByteView segment = rest.first(std::min(rest.size(), crypto::kSegmentSealedBytes));
    cipher.seal_segment(index, segment);
    hasher.update(segment);
    rest = rest.subspan(segment.size());
  }
  return format::ObjectName(hasher.finish().array());
}

}  // namespace exclave::repo
