#include "format/object.h"

#include <algorithm>

#include "crypto/tree_hash.h"

namespace exclave::format {
namespace {

constexpr std::array<Byte, 8> kMagic = {'E', 'X', 'C', 'L', 'A', 'V', 'E', 0};
constexpr std::uint16_t kVersion = 1;

crypto::Secret<32> key_encryption_key(const crypto::Secret<32>& symmetric, const crypto::Secret<32>& shared,
                                      const crypto::X25519PublicKey& encapsulated,
                                      const crypto::X25519PublicKey& recipient, const HeaderBytes& header) {
  crypto::Secret<64> input;
  std::copy(symmetric.view().begin(), symmetric.view().end(), input.mutable_view().begin());
  std::copy(shared.view().begin(), shared.view().end(), input.mutable_view().begin() + 32);
  Bytes salted;
  append(salted, encapsulated.view());
  append(salted, recipient.view());
  append(salted, header);
  const crypto::Hash512 salt = crypto::sha512(salted);
  crypto::Secret<32> kek;
  crypto::hkdf(crypto::HkdfHash::Sha512, input.view(), salt.view(), as_bytes("exclave/kek/v1"), kek.mutable_view());
  return kek;
}

Bytes context_of(const HeaderBytes& header, const RealmId& realm) {
  Bytes context(header.begin(), header.end());
  append(context, realm.view());
  return context;
}

Error corrupt_object(std::string why) {
  return Error(Code::Corrupt, "object: " + std::move(why));
}

}  // namespace

ObjectName name_of(ByteView object) {
  return ObjectName(crypto::tree_hash(object).array());
}

std::string object_words(const ObjectName& name) {
  return "object " + name.hex().substr(0, 16);
}

std::uint8_t smallest_class_for(std::size_t plain_bytes) {
  for (const std::uint8_t size_class : kSizeClasses) {
    if (plain_bytes <= plain_capacity(size_class)) return size_class;
  }
  CHECK(false);
}

HeaderBytes encode_header(const ObjectHeader& header) {
  HeaderBytes bytes{};
  const MutableByteView view(bytes);
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  store_u16(view.subspan(8), static_cast<std::uint16_t>(header.suite));
  store_u16(view.subspan(10), kVersion);
  bytes[12] = header.size_class;
  std::copy(header.key.registry.view().begin(), header.key.registry.view().end(), bytes.begin() + 16);
  store_u32(view.subspan(32), header.key.era.value());
  store_u32(view.subspan(36), header.key.period.value());
  return bytes;
}

Result<ObjectHeader> decode_header(ByteView bytes) {
  if (bytes.size() < kObjectHeaderBytes) return corrupt_object("is shorter than its header");
  if (!equal(bytes.first(8), kMagic)) return corrupt_object("does not start with the magic EXCLAVE");
  const std::uint16_t suite = load_u16(bytes.subspan(8));
  const std::uint16_t version = load_u16(bytes.subspan(10));
  if (suite != static_cast<std::uint16_t>(Suite::Chunked) && suite != static_cast<std::uint16_t>(Suite::Frames)) {
    return Error(Code::Unsupported, "object: unknown suite " + std::to_string(suite));
  }
  if (version != kVersion) return Error(Code::Unsupported, "object: unknown version " + std::to_string(version));
  ObjectHeader header;
  header.suite = Suite{suite};
  header.size_class = bytes[12];
  if (std::find(kSizeClasses.begin(), kSizeClasses.end(), header.size_class) == kSizeClasses.end()) {
    return corrupt_object("has size class " + std::to_string(header.size_class));
  }
  header.key.registry = RegistryId::from_view(bytes.subspan(16, 16));
  header.key.era = EraNumber(load_u32(bytes.subspan(32)));
  header.key.period = PeriodNumber(load_u32(bytes.subspan(36)));
  if (!equal(encode_header(header), bytes.first(kObjectHeaderBytes)))
    return corrupt_object("has a reserved field that is not zero");
  return header;
}

Result<ObjectFront> decode_front(ByteView bytes) {
  if (bytes.size() < kSegmentsOffset) return corrupt_object("is shorter than its front");
  ObjectFront front;
  front.header = TRY(decode_header(bytes));
  if (front.header.suite != Suite::Chunked) return Error(Code::Unsupported, "object: is a journal's segment");
  std::copy_n(bytes.begin(), kObjectHeaderBytes, front.header_bytes.begin());
  front.encapsulated = crypto::X25519PublicKey::from_view(bytes.subspan(kObjectHeaderBytes, 32));
  std::copy_n(bytes.begin() + kObjectHeaderBytes + 32, crypto::kSegmentSaltBytes, front.salt.begin());
  std::copy_n(bytes.begin() + kObjectHeaderBytes + 32 + crypto::kSegmentSaltBytes, crypto::kCommitmentBytes,
              front.commitment.begin());
  return front;
}

Result<crypto::Secret<32>> sealing_kek(const SealingKey& key, const HeaderBytes& header,
                                       const crypto::Secret<32>& ephemeral) {
  const crypto::Secret<32> shared = TRY(crypto::x25519(ephemeral, key.encapsulation));
  return key_encryption_key(key.symmetric, shared, crypto::x25519_public_key(ephemeral), key.encapsulation, header);
}

Result<crypto::Secret<32>> opening_kek(const OpeningKey& key, const ObjectHeader& header,
                                       const HeaderBytes& header_bytes, const crypto::X25519PublicKey& encapsulated) {
  if (key.id != header.key) {
    return Error(Code::Denied,
                 "object is sealed for " + to_string(header.key) + ", the released key is for " + to_string(key.id));
  }
  auto shared = crypto::x25519(key.decapsulation, encapsulated);
  if (!shared.ok()) return corrupt_object("its encapsulated key is not usable");
  return key_encryption_key(key.symmetric, shared.value(), encapsulated, crypto::x25519_public_key(key.decapsulation),
                            header_bytes);
}

Result<crypto::SegmentCipher> sealing_cipher(const SealingKey& key, const RealmId& realm, const HeaderBytes& header,
                                             const crypto::Secret<32>& ephemeral, const crypto::SegmentSalt& salt) {
  return crypto::SegmentCipher(TRY(sealing_kek(key, header, ephemeral)), salt, context_of(header, realm));
}

Result<crypto::SegmentCipher> opening_cipher(const OpeningKey& key, const RealmId& realm, const ObjectFront& front) {
  const crypto::Secret<32> kek = TRY(opening_kek(key, front.header, front.header_bytes, front.encapsulated));
  crypto::SegmentCipher cipher(kek, front.salt, context_of(front.header_bytes, realm));
  TRY(cipher.check_commitment(front.commitment).in([] { return "object"; }));
  return cipher;
}

Result<Bytes> open_object(const OpeningKey& key, const RealmId& realm, ByteView object) {
  const ObjectFront front = TRY(decode_front(object));
  if (object.size() != object_bytes(front.header.size_class)) {
    return corrupt_object("has " + std::to_string(object.size()) + " bytes, its class " +
                          std::to_string(front.header.size_class) + " wants " +
                          std::to_string(object_bytes(front.header.size_class)));
  }
  crypto::SegmentCipher cipher = TRY(opening_cipher(key, realm, front));
  Bytes plain(plain_capacity(front.header.size_class));
  ByteView rest = object.subspan(kSegmentsOffset);
  std::size_t done = 0;
  for (std::uint32_t index = 0; !rest.empty(); ++index) {
    const std::size_t take = std::min(rest.size(), crypto::kSegmentSealedBytes);
    TRY(cipher.open_segment(index, rest.first(take), MutableByteView(plain).subspan(done, take - crypto::kTagBytes))
            .in([&] { return "object: segment " + std::to_string(index); }));
    done += take - crypto::kTagBytes;
    rest = rest.subspan(take);
  }
  return plain;
}

}  // namespace exclave::format
