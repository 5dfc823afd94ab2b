#include "crypto/signature.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::load_vectors;
using testing::Vector;

constexpr std::string_view kOrder =
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
constexpr std::string_view kGenerator =
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f";

Secret<48> scalar_of(std::string_view hex) {
  return Secret<48>::from_view(from_hex(hex).take());
}

template <typename Signature>
std::size_t count_accepted_bit_flips(const auto& key, const Bytes& message, const Signature& good) {
  std::size_t accepted = 0;
  for (std::size_t bit = 0; bit < Signature::kSize * 8; ++bit) {
    Signature bad = good;
    bad.mutable_view()[bit / 8] ^= static_cast<Byte>(1U << (bit % 8));
    if (verify(key, message, bad).ok()) ++accepted;
  }
  return accepted;
}

TEST(Ed25519, verifies_the_valid_vectors_refuses_the_others_and_signs_alike) {
  std::size_t signed_alike = 0;
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("ed25519", 4)) {
    const auto key = Ed25519PublicKey::from_view(vector.bytes(1));
    const Bytes message = vector.bytes(2);
    const Bytes signature = vector.bytes(3);
    // A signature of another length cannot be expressed in our type: the parser of every format refuses it.
    const bool accepted = signature.size() == Ed25519Signature::kSize &&
                          verify(key, message, Ed25519Signature::from_view(signature)).ok();
    EXPECT_EQ(accepted, vector.valid) << vector.name;
    if (!vector.valid) ++refused;
    if (!vector.valid || vector.text(0) == "-") continue;
    const auto own = Ed25519SigningKey::from_seed(Secret<32>::from_view(vector.bytes(0)));
    EXPECT_EQ(own.public_key(), key) << vector.name;
    EXPECT_EQ(to_hex(own.sign(message).view()), vector.text(3)) << vector.name;
    ++signed_alike;
  }
  EXPECT_GE(signed_alike, 48U);
  EXPECT_GE(refused, 39U);
}

// RFC 8032 section 7.1, test 3.
TEST(Ed25519, gives_the_signature_of_rfc_8032) {
  const auto key = Ed25519SigningKey::from_seed(
      Secret<32>::from_view(from_hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").take()));
  EXPECT_EQ(key.public_key().hex(), "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  EXPECT_EQ(key.sign(from_hex("af82").take()).hex(),
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
}

TEST(Ed25519, refuses_every_flipped_bit_another_message_and_another_key) {
  const auto key = Ed25519SigningKey::from_seed(Secret<32>::from_view(Bytes(32, 1)));
  const auto other = Ed25519SigningKey::from_seed(Secret<32>::from_view(Bytes(32, 2)));
  const Bytes message = to_bytes("receipt");
  const Ed25519Signature good = key.sign(message);
  EXPECT_TRUE(verify(key.public_key(), message, good).ok());
  EXPECT_EQ(count_accepted_bit_flips(key.public_key(), message, good), 0U);
  const Status status = verify(key.public_key(), to_bytes("receipT"), good);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), Code::Corrupt);
  EXPECT_FALSE(verify(other.public_key(), message, good).ok());
  EXPECT_FALSE(verify(key.public_key(), {}, good).ok());
}

TEST(Ed25519, signs_the_empty_message) {
  const auto key = Ed25519SigningKey::from_seed(Secret<32>::from_view(Bytes(32, 1)));
  EXPECT_TRUE(verify(key.public_key(), {}, key.sign({})).ok());
}

TEST(Ed25519, native_handle_is_the_key_that_tls_needs_and_survives_a_move) {
  auto key = Ed25519SigningKey::from_seed(Secret<32>::from_view(Bytes(32, 1)));
  const auto moved = std::move(key);
  EXPECT_EQ(EVP_PKEY_get_id(static_cast<EVP_PKEY*>(moved.native())), EVP_PKEY_ED25519);
  EXPECT_TRUE(verify(moved.public_key(), as_bytes("x"), moved.sign(as_bytes("x"))).ok());
}

TEST(P384, verifies_the_valid_vectors_and_refuses_the_others) {
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("p384_ecdsa", 3)) {
    const Result<P384PublicKey> key = parse_p384_public_key(vector.bytes(0));
    const Bytes signature = vector.bytes(2);
    const bool ok = key.ok() && signature.size() == P384Signature::kSize &&
                    verify(key.value(), vector.bytes(1), P384Signature::from_view(signature)).ok();
    EXPECT_EQ(ok, vector.valid) << vector.name;
    ++(ok ? accepted : refused);
  }
  EXPECT_GE(accepted, 4U);
  EXPECT_GE(refused, 79U);
}

TEST(P384, agrees_on_the_published_secrets_and_refuses_points_off_the_curve) {
  std::size_t agreed = 0;
  std::size_t refused = 0;
  for (const Vector& vector : load_vectors("p384_ecdh", 3)) {
    const P384PrivateKey own = P384PrivateKey::from_scalar(Secret<48>::from_view(vector.bytes(0))).take();
    const Bytes point = vector.bytes(1);
    const Result<P384PublicKey> parsed = parse_p384_public_key(point);
    EXPECT_EQ(parsed.ok(), vector.valid) << vector.name;
    if (point.size() != P384PublicKey::kSize) {
      ++refused;
      continue;
    }
    // The agreement checks by itself, for keys that did not pass the parser.
    const Result<Secret<48>> shared = own.agree(P384PublicKey::from_view(point));
    EXPECT_EQ(shared.ok(), vector.valid) << vector.name;
    if (vector.valid) {
      EXPECT_EQ(to_hex(shared.value().view()), vector.text(2)) << vector.name;
      ++agreed;
    } else {
      EXPECT_EQ(shared.error().code(), Code::InvalidInput) << vector.name;
      ++refused;
    }
  }
  EXPECT_GE(agreed, 18U);
  EXPECT_GE(refused, 15U);
}

TEST(P384, verify_refuses_a_key_that_is_no_point_as_it_refuses_a_wrong_signature) {
  const P384PrivateKey key = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 3)));
  P384PublicKey bad = key.public_key();
  bad.mutable_view()[96] ^= 1;
  const Status status = verify(bad, as_bytes("m"), key.sign(as_bytes("m")));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code(), Code::Corrupt);
}

TEST(P384, scalars_are_accepted_from_one_to_the_order_less_one) {
  const auto hex = [](std::string_view first, std::string_view last) {
    return std::string(first) + std::string(96 - first.size() - last.size(), '0') + std::string(last);
  };
  const P384PrivateKey one = P384PrivateKey::from_scalar(scalar_of(hex("", "01"))).take();
  EXPECT_EQ(one.public_key().hex(), kGenerator);
  std::string largest(kOrder);
  largest.back() = '2';
  const P384PrivateKey last = P384PrivateKey::from_scalar(scalar_of(largest)).take();
  // (n - 1) G = -G: the same x.
  EXPECT_TRUE(equal(last.public_key().view().first(49), one.public_key().view().first(49)));
  EXPECT_NE(last.public_key(), one.public_key());
  EXPECT_EQ(to_hex(last.scalar().view()), largest);
  for (const std::string& bad : {hex("", ""), std::string(kOrder), std::string(96, 'f')}) {
    const auto key = P384PrivateKey::from_scalar(scalar_of(bad));
    ASSERT_FALSE(key.ok()) << bad;
    EXPECT_EQ(key.error().code(), Code::InvalidInput);
  }
}

TEST(P384, random_bytes_become_scalars_by_the_documented_reduction) {
  const auto scalar_from = [](std::string_view hex) {
    Bytes uniform = from_hex(hex).take();
    uniform.insert(uniform.begin(), 64 - uniform.size(), 0);
    return to_hex(P384PrivateKey::from_random(Secret<64>::from_view(uniform)).scalar().view());
  };
  const std::string one = std::string(94, '0') + "01";
  const std::string two = std::string(94, '0') + "02";
  std::string order_less_one(kOrder);
  order_less_one.back() = '2';
  std::string order_less_two(kOrder);
  order_less_two.back() = '1';
  EXPECT_EQ(scalar_from("00"), one);
  EXPECT_EQ(scalar_from("01"), two);
  EXPECT_EQ(scalar_from(order_less_two), order_less_one);
  EXPECT_EQ(scalar_from(order_less_one), one);
  EXPECT_EQ(scalar_from(kOrder), two);
}

TEST(P384, signs_what_it_verifies_and_refuses_every_flipped_bit) {
  const P384PrivateKey key = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 7)));
  const Bytes message = to_bytes("mandate");
  const P384Signature good = key.sign(message);
  EXPECT_TRUE(verify(key.public_key(), message, good).ok());
  EXPECT_EQ(count_accepted_bit_flips(key.public_key(), message, good), 0U);
  EXPECT_FALSE(verify(key.public_key(), to_bytes("mandatE"), good).ok());
  EXPECT_TRUE(verify(key.public_key(), {}, key.sign({})).ok());
}

TEST(P384, signatures_keep_their_width_when_r_or_s_is_short) {
  // One signature in 128 has a leading zero byte in r or s, so 400 of them hold about three.
  const P384PrivateKey key = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 8)));
  for (int i = 0; i < 400; ++i) {
    Bytes message(4);
    store_u32(message, static_cast<std::uint32_t>(i));
    ASSERT_TRUE(verify(key.public_key(), message, key.sign(message)).ok()) << i;
  }
}

TEST(P384, both_sides_agree_on_one_secret_also_after_a_move) {
  P384PrivateKey mine = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 1)));
  const P384PrivateKey yours = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 2)));
  const Secret<48> left = mine.agree(yours.public_key()).take();
  const P384PrivateKey moved = std::move(mine);
  const Secret<48> right = yours.agree(moved.public_key()).take();
  EXPECT_TRUE(equal_in_constant_time(left.view(), right.view()));
  EXPECT_TRUE(equal_in_constant_time(moved.agree(yours.public_key()).take().view(), right.view()));
}

TEST(P384, a_refusal_leaves_no_error_in_the_queue_that_tls_reads) {
  ERR_clear_error();
  const P384PrivateKey key = P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, 1)));
  P384PublicKey off = key.public_key();
  off.mutable_view()[50] ^= 1;
  EXPECT_FALSE(parse_p384_public_key(off.view()).ok());
  EXPECT_FALSE(key.agree(off).ok());
  EXPECT_FALSE(verify(key.public_key(), as_bytes("m"), key.sign(as_bytes("n"))).ok());
  EXPECT_FALSE(verify(Ed25519PublicKey{}, as_bytes("m"), Ed25519Signature{}).ok());
  EXPECT_EQ(ERR_peek_error(), 0UL);
}

}  // namespace
}  // namespace exclave::crypto
