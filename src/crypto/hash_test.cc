#include "crypto/hash.h"

#include <gtest/gtest.h>

#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::load_vectors;
using testing::Vector;

Bytes digest_of(const std::string& name, ByteView message) {
  if (name == "sha256") return to_bytes(sha256(message).view());
  if (name == "sha384") return to_bytes(sha384(message).view());
  CHECK(name == "sha512");
  return to_bytes(sha512(message).view());
}

HkdfHash hkdf_hash_of(const std::string& name) {
  if (name == "sha256") return HkdfHash::Sha256;
  if (name == "sha384") return HkdfHash::Sha384;
  CHECK(name == "sha512");
  return HkdfHash::Sha512;
}

TEST(Hash, sha2_gives_the_digests_of_nist) {
  for (const Vector& vector : load_vectors("sha2", 3)) {
    EXPECT_EQ(to_hex(digest_of(vector.text(0), vector.bytes(1))), vector.text(2)) << vector.name;
  }
}

TEST(Hash, sha256_hasher_gives_the_same_for_any_split_and_starts_anew_after_finish) {
  Sha256Hasher hasher;
  Bytes message(200);
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<Byte>(i);
  for (std::size_t cut = 0; cut <= message.size(); ++cut) {
    hasher.update(ByteView(message).first(cut));
    hasher.update({});
    hasher.update(ByteView(message).subspan(cut));
    EXPECT_EQ(hasher.finish(), sha256(message)) << cut;
  }
  EXPECT_EQ(hasher.finish(), sha256({}));
}

TEST(Hash, sha256_hasher_can_be_moved_in_the_middle_of_a_message) {
  Sha256Hasher first;
  first.update(as_bytes("ab"));
  Sha256Hasher second = std::move(first);
  second.update(as_bytes("c"));
  EXPECT_EQ(second.finish(), sha256(as_bytes("abc")));
}

TEST(Hash, hmac_gives_the_codes_of_rfc_4231) {
  for (const Vector& vector : load_vectors("hmac_sha256", 3)) {
    HmacSha256 mac(vector.bytes(0));
    EXPECT_EQ(mac.of(vector.bytes(1)).hex(), vector.text(2)) << vector.name;
    EXPECT_EQ(mac.of(vector.bytes(1)).hex(), vector.text(2)) << vector.name << ", same key again";
  }
}

// RFC 2104 written out, as a second opinion for keys of every length around the block size.
TEST(Hash, hmac_equals_its_definition_for_keys_of_every_length) {
  const Bytes message = to_bytes("what is signed");
  for (std::size_t length = 0; length <= 130; ++length) {
    const Bytes key(length, 0x5a);
    Bytes inner = length > 64 ? to_bytes(sha256(key).view()) : key;
    inner.resize(64);
    Bytes outer = inner;
    for (std::size_t i = 0; i < 64; ++i) {
      inner[i] ^= 0x36;
      outer[i] ^= 0x5c;
    }
    append(inner, message);
    append(outer, sha256(inner).view());
    HmacSha256 mac(key);
    EXPECT_EQ(mac.of(message), sha256(outer)) << length;
  }
}

TEST(Hash, hmac_of_a_long_message_is_the_same_in_pieces) {
  HmacSha256 whole(as_bytes("key"));
  HmacSha256 pieces(as_bytes("key"));
  const Bytes message(100'000, 7);
  for (std::size_t at = 0; at < message.size(); at += 1000) pieces.update(ByteView(message).subspan(at, 1000));
  EXPECT_EQ(pieces.finish(), whole.of(message));
  EXPECT_NE(whole.of(message), HmacSha256(as_bytes("kez")).of(message));
}

void check_hkdf(const Vector& vector) {
  const Bytes expected = vector.bytes(4);
  Bytes out(expected.size());
  hkdf(hkdf_hash_of(vector.text(0)), vector.bytes(1), vector.bytes(2), vector.bytes(3), out);
  EXPECT_EQ(to_hex(out), to_hex(expected)) << vector.name;
}

TEST(Hash, hkdf_gives_the_keys_of_rfc_5869) {
  for (const Vector& vector : load_vectors("hkdf", 5)) check_hkdf(vector);
}

TEST(Hash, hkdf_agrees_with_a_second_implementation_for_all_hashes_and_lengths) {
  for (const Vector& vector : load_vectors("hkdf_sha2", 5)) check_hkdf(vector);
}

TEST(Hash, hkdf_expand_is_the_second_half_of_hkdf) {
  // RFC 5869 A.1: the pseudorandom key is printed there.
  const Bytes key = from_hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5").take();
  Bytes out(42);
  hkdf_expand(HkdfHash::Sha256, key, from_hex("f0f1f2f3f4f5f6f7f8f9").take(), out);
  EXPECT_EQ(to_hex(out), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Hash, hkdf_refuses_to_expand_beyond_255_blocks) {
  Bytes out(255 * 32 + 1);
  EXPECT_DEATH(hkdf_expand(HkdfHash::Sha256, as_bytes("k"), {}, out), "255");
}

}  // namespace
}  // namespace exclave::crypto
