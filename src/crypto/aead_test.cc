#include "crypto/aead.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>

#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::load_vectors;
using testing::Vector;

Nonce nonce_from(ByteView bytes) {
  Nonce nonce;
  CHECK(bytes.size() == nonce.size());
  std::copy(bytes.begin(), bytes.end(), nonce.begin());
  return nonce;
}

struct Sealed {
  Nonce nonce{};
  Bytes associated = to_bytes("head");
  Bytes plain;
  Bytes text;
  Bytes tag = Bytes(kTagBytes);
};

Sealed seal_example(Aes256Gcm& aead, std::size_t size) {
  Sealed sealed;
  sealed.plain.assign(size, 0x77);
  sealed.text = sealed.plain;
  aead.seal_in_place(sealed.nonce, sealed.associated, sealed.text, sealed.tag);
  return sealed;
}

TEST(Aead, opens_the_valid_vectors_of_nist_and_refuses_the_others) {
  std::size_t opened = 0;
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("aes_256_gcm", 6)) {
    Aes256Gcm aead(vector.bytes(0));
    const Nonce nonce = nonce_from(vector.bytes(1));
    const Bytes plain = vector.bytes(3);
    const Bytes cipher = vector.bytes(4);
    Bytes out(cipher.size(), 0xee);
    const Status status = aead.open(nonce, vector.bytes(2), cipher, vector.bytes(5), out);
    EXPECT_EQ(status.ok(), vector.valid) << vector.name;
    if (!vector.valid) {
      ++refused;
      EXPECT_EQ(status.error().code(), Code::Corrupt) << vector.name;
      EXPECT_TRUE(is_all_zero(out)) << vector.name;
      continue;
    }
    ++opened;
    EXPECT_EQ(to_hex(out), to_hex(plain)) << vector.name;
    Bytes text = plain;
    Bytes tag(kTagBytes);
    aead.seal_in_place(nonce, vector.bytes(2), text, tag);
    EXPECT_EQ(to_hex(text), to_hex(cipher)) << vector.name;
    EXPECT_EQ(to_hex(tag), vector.text(5)) << vector.name;
  }
  EXPECT_GE(opened, 140U);
  EXPECT_GE(refused, 146U);
}

TEST(Aead, refuses_every_flipped_bit_and_releases_nothing) {
  Aes256Gcm aead(Bytes(32, 9));
  const Sealed good = seal_example(aead, 20);
  const auto expect_refused = [&](const Sealed& bad) {
    Bytes out(bad.text.size(), 0xee);
    const Status status = aead.open(bad.nonce, bad.associated, bad.text, bad.tag, out);
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(is_all_zero(out));
  };
  const auto flip_each = [&](auto part) {
    for (std::size_t bit = 0; bit < (good.*part).size() * 8; ++bit) {
      Sealed bad = good;
      (bad.*part)[bit / 8] ^= static_cast<Byte>(1U << (bit % 8));
      expect_refused(bad);
    }
  };
  flip_each(&Sealed::nonce);
  flip_each(&Sealed::associated);
  flip_each(&Sealed::text);
  flip_each(&Sealed::tag);
}

TEST(Aead, refusing_in_place_leaves_zeros_where_the_ciphertext_was) {
  Aes256Gcm aead(Bytes(32, 9));
  Sealed sealed = seal_example(aead, 1000);
  sealed.tag[0] ^= 1;
  EXPECT_FALSE(aead.open(sealed.nonce, sealed.associated, sealed.text, sealed.tag, sealed.text).ok());
  EXPECT_TRUE(is_all_zero(sealed.text));
}

TEST(Aead, opens_in_place_with_the_tag_directly_behind_the_text) {
  Aes256Gcm aead(Bytes(32, 9));
  Bytes buffer(500 + kTagBytes, 0x31);
  const MutableByteView view = buffer;
  aead.seal_in_place(Nonce{}, {}, view.first(500), view.last(kTagBytes));
  EXPECT_TRUE(aead.open(Nonce{}, {}, view.first(500), view.last(kTagBytes), view.first(500)).ok());
  EXPECT_TRUE(equal(view.first(500), Bytes(500, 0x31)));
}

TEST(Aead, sealing_and_opening_may_alternate_on_one_key_also_after_a_refusal) {
  Aes256Gcm aead(Bytes(32, 5));
  for (std::size_t size = 0; size < 70; ++size) {
    Sealed sealed = seal_example(aead, size);
    Bytes out(size);
    EXPECT_TRUE(aead.open(sealed.nonce, sealed.associated, sealed.text, sealed.tag, out).ok()) << size;
    EXPECT_EQ(out, sealed.plain);
    sealed.tag[15] ^= 0x80;
    EXPECT_FALSE(aead.open(sealed.nonce, sealed.associated, sealed.text, sealed.tag, out).ok()) << size;
  }
}

TEST(Aead, a_refusal_leaves_no_error_in_the_queue_that_tls_reads) {
  ERR_clear_error();
  Aes256Gcm aead(Bytes(32, 5));
  Sealed sealed = seal_example(aead, 10);
  sealed.tag[0] ^= 1;
  EXPECT_FALSE(aead.open(sealed.nonce, sealed.associated, sealed.text, sealed.tag, sealed.text).ok());
  EXPECT_EQ(ERR_peek_error(), 0UL);
}

TEST(Aead, can_be_moved) {
  Aes256Gcm first(Bytes(32, 5));
  const Sealed sealed = seal_example(first, 40);
  Aes256Gcm second(Bytes(32, 6));
  second = std::move(first);
  Bytes out(40);
  EXPECT_TRUE(second.open(sealed.nonce, sealed.associated, sealed.text, sealed.tag, out).ok());
}

}  // namespace
}  // namespace exclave::crypto
