#include "crypto/agreement.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::load_vectors;
using testing::Vector;

Secret<32> secret_of(std::string_view hex) {
  return Secret<32>::from_view(from_hex(hex).take());
}

TEST(Agreement, x25519_gives_the_published_secrets_and_refuses_small_orders) {
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("x25519", 3)) {
    const auto key = Secret<32>::from_view(vector.bytes(0));
    const auto peer = X25519PublicKey::from_view(vector.bytes(1));
    const Result<Secret<32>> shared = x25519(key, peer);
    EXPECT_EQ(shared.ok(), vector.valid) << vector.name;
    EXPECT_EQ(parse_x25519_public_key(vector.bytes(1)).ok(), vector.valid) << vector.name;
    if (vector.valid) {
      EXPECT_EQ(to_hex(shared.value().view()), vector.text(2)) << vector.name;
    } else {
      EXPECT_EQ(shared.error().code(), Code::Denied) << vector.name;
      ++refused;
    }
  }
  EXPECT_GE(refused, 14U);
}

TEST(Agreement, x25519_gives_the_secret_of_rfc_7748_section_6) {
  const auto bob = secret_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  const auto alice_public =
      X25519PublicKey::from_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a").take();
  EXPECT_EQ(x25519_public_key(bob).hex(), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  EXPECT_EQ(to_hex(x25519(bob, alice_public).take().view()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

// The list that parsing looks into says what an agreement would say.
TEST(Agreement, parsing_refuses_exactly_the_keys_that_agree_on_nothing) {
  const auto key = Secret<32>::from_view(Bytes(32, 7));
  const auto expect_same = [&](Bytes raw) {
    for (const Byte high_bit : {Byte{0}, Byte{0x80}}) {
      raw.back() = static_cast<Byte>((raw.back() & 0x7f) | high_bit);
      EXPECT_EQ(parse_x25519_public_key(raw).ok(), x25519(key, X25519PublicKey::from_view(raw)).ok()) << to_hex(raw);
    }
  };
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("x25519", 3)) {
    Bytes raw = vector.bytes(1);
    if (!vector.valid) ++refused;
    expect_same(raw);
    for (const std::size_t at : {std::size_t{0}, std::size_t{15}, std::size_t{30}}) {  // its neighbours
      ++raw[at];
      expect_same(raw);
      --raw[at];
    }
  }
  EXPECT_GE(refused, 14U);
  for (int low = 0; low < 256; ++low) {  // around 0 and around p
    Bytes raw(32, 0);
    raw[0] = static_cast<Byte>(low);
    expect_same(raw);
    raw.assign(32, 0xff);
    raw[0] = static_cast<Byte>(low);
    expect_same(raw);
  }
}

TEST(Agreement, both_sides_agree_on_one_secret) {
  const auto left = Secret<32>::from_view(Bytes(32, 1));
  const auto right = Secret<32>::from_view(Bytes(32, 2));
  EXPECT_TRUE(equal_in_constant_time(x25519(left, x25519_public_key(right)).take().view(),
                                     x25519(right, x25519_public_key(left)).take().view()));
}

// RFC 7748 section 5.2: k and u start as the base point and feed on the results.
TEST(Agreement, x25519_iterated_a_thousand_times_gives_the_value_of_rfc_7748) {
  Bytes k(32);
  k[0] = 9;
  Bytes u = k;
  for (int round = 1; round <= 1000; ++round) {
    const auto result = x25519(Secret<32>::from_view(k), X25519PublicKey::from_view(u)).take();
    u = k;
    k = to_bytes(result.view());
    if (round > 1) continue;
    EXPECT_EQ(to_hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
  }
  EXPECT_EQ(to_hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST(Agreement, parsing_refuses_other_lengths) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{31}, std::size_t{33}}) {
    const auto key = parse_x25519_public_key(Bytes(size, 9));
    ASSERT_FALSE(key.ok());
    EXPECT_EQ(key.error().code(), Code::InvalidInput);
  }
}

TEST(Agreement, a_refusal_leaves_no_error_in_the_queue_that_tls_reads) {
  ERR_clear_error();
  EXPECT_FALSE(x25519(Secret<32>::from_view(Bytes(32, 1)), X25519PublicKey{}).ok());
  EXPECT_EQ(ERR_peek_error(), 0UL);
}

}  // namespace
}  // namespace exclave::crypto
