#include "crypto/wrap.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <functional>

#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::Vector;

const Bytes kContext = to_bytes("realm, registry 7, era 3, official 2");
const Bytes kSecret = to_bytes("a share leaf of thirty-two bytes");

P384PrivateKey card(Byte seed) {
  return P384PrivateKey::from_random(Secret<64>::from_view(Bytes(64, seed)));
}
Secret<32> paper(Byte seed) {
  return Secret<32>::from_view(Bytes(32, seed));
}

Bytes wrap_for_card(Byte seed) {
  return wrap_to_p384(card(seed).public_key(), kContext, kSecret, Secret<64>::from_view(Bytes(64, 0x99)));
}
Bytes wrap_for_paper(Byte seed) {
  return wrap_to_x25519(x25519_public_key(paper(seed)), kContext, kSecret, paper(0x99));
}

// Either form behind one face, so that each property is stated once.
struct Scheme {
  const char* name;
  Bytes wrapped;
  std::function<Result<SecretBytes>(ByteView context, ByteView wrapped)> unwrap;
  std::function<Result<SecretBytes>(ByteView wrapped)> unwrap_with_other_key;
};

std::vector<Scheme> schemes() {
  return {
      {"p384", wrap_for_card(1), [](ByteView c, ByteView w) { return unwrap_with_p384(card(1), c, w); },
       [](ByteView w) { return unwrap_with_p384(card(2), kContext, w); }},
      {"x25519", wrap_for_paper(1), [](ByteView c, ByteView w) { return unwrap_with_x25519(paper(1), c, w); },
       [](ByteView w) { return unwrap_with_x25519(paper(2), kContext, w); }},
  };
}

::testing::AssertionResult is_denied(const Result<SecretBytes>& result) {
  if (result.ok()) return ::testing::AssertionFailure() << "unwrapped";
  if (result.error().code() != Code::Denied) return ::testing::AssertionFailure() << result.error().message();
  return ::testing::AssertionSuccess();
}

TEST(Wrap, agrees_with_a_second_implementation_for_both_schemes) {
  std::size_t cards = 0;
  std::size_t papers = 0;
  for (const Vector& vector : testing::load_vectors("wrap", 6)) {
    const Bytes context = vector.bytes(3);
    const Bytes secret = vector.bytes(4);
    const Bytes expected = vector.bytes(5);
    if (vector.text(0) == "p384") {
      const auto key = P384PrivateKey::from_scalar(Secret<48>::from_view(vector.bytes(1))).take();
      const auto randomness = Secret<64>::from_view(vector.bytes(2));
      EXPECT_EQ(to_hex(wrap_to_p384(key.public_key(), context, secret, randomness)), vector.text(5)) << vector.name;
      EXPECT_TRUE(equal(unwrap_with_p384(key, context, expected).take().view(), secret)) << vector.name;
      ++cards;
    } else {
      ASSERT_EQ(vector.text(0), "x25519");
      const auto key = Secret<32>::from_view(vector.bytes(1));
      const auto randomness = Secret<32>::from_view(vector.bytes(2));
      EXPECT_EQ(to_hex(wrap_to_x25519(x25519_public_key(key), context, secret, randomness)), vector.text(5))
          << vector.name;
      EXPECT_TRUE(equal(unwrap_with_x25519(key, context, expected).take().view(), secret)) << vector.name;
      ++papers;
    }
  }
  EXPECT_EQ(cards, 7U);
  EXPECT_EQ(papers, 7U);
}

TEST(Wrap, gives_the_secret_back_to_its_recipient_only) {
  for (const Scheme& scheme : schemes()) {
    EXPECT_TRUE(equal(scheme.unwrap(kContext, scheme.wrapped).take().view(), kSecret)) << scheme.name;
    EXPECT_TRUE(is_denied(scheme.unwrap_with_other_key(scheme.wrapped))) << scheme.name;
  }
}

TEST(Wrap, is_denied_in_any_other_context) {
  for (const Scheme& scheme : schemes()) {
    EXPECT_TRUE(is_denied(scheme.unwrap({}, scheme.wrapped))) << scheme.name;
    EXPECT_TRUE(is_denied(scheme.unwrap(ByteView(kContext).first(kContext.size() - 1), scheme.wrapped)));
    Bytes longer = kContext;
    longer.push_back(0);
    EXPECT_TRUE(is_denied(scheme.unwrap(longer, scheme.wrapped))) << scheme.name;
  }
}

TEST(Wrap, every_changed_byte_is_denied) {
  for (const Scheme& scheme : schemes()) {
    for (std::size_t at = 0; at < scheme.wrapped.size(); ++at) {
      Bytes bad = scheme.wrapped;
      bad[at] ^= static_cast<Byte>(1U << (at % 8));
      EXPECT_TRUE(is_denied(scheme.unwrap(kContext, bad))) << scheme.name << " byte " << at;
    }
  }
}

// RFC 7748 ignores this bit; here it changes the salt, so no second spelling of a wrapped secret exists.
TEST(Wrap, the_ignored_top_bit_of_an_x25519_key_is_bound_all_the_same) {
  Bytes bad = wrap_for_paper(1);
  bad[32] ^= 0x80;
  EXPECT_TRUE(is_denied(unwrap_with_x25519(paper(1), kContext, bad)));
}

TEST(Wrap, every_truncation_and_an_extension_is_denied) {
  for (const Scheme& scheme : schemes()) {
    for (std::size_t size = 0; size < scheme.wrapped.size(); ++size) {
      EXPECT_TRUE(is_denied(scheme.unwrap(kContext, ByteView(scheme.wrapped).first(size)))) << scheme.name << size;
    }
    Bytes longer = scheme.wrapped;
    longer.push_back(0);
    EXPECT_TRUE(is_denied(scheme.unwrap(kContext, longer))) << scheme.name;
  }
}

TEST(Wrap, a_wrap_of_one_scheme_is_denied_by_the_other_and_unknown_schemes_are_denied) {
  EXPECT_TRUE(is_denied(unwrap_with_x25519(paper(1), kContext, wrap_for_card(1))));
  EXPECT_TRUE(is_denied(unwrap_with_p384(card(1), kContext, wrap_for_paper(1))));
  for (Scheme& scheme : schemes()) {
    for (const Byte unknown : {Byte{0}, Byte{3}, Byte{255}}) {
      scheme.wrapped[0] = unknown;
      EXPECT_TRUE(is_denied(scheme.unwrap(kContext, scheme.wrapped)));
    }
  }
}

TEST(Wrap, an_ephemeral_of_small_order_or_off_the_curve_is_denied_and_leaves_no_error_behind) {
  ERR_clear_error();
  Bytes zero = wrap_for_paper(1);
  std::fill_n(zero.begin() + 1, 32, Byte{0});
  EXPECT_TRUE(is_denied(unwrap_with_x25519(paper(1), kContext, zero)));
  Bytes off = wrap_for_card(1);
  off[97] ^= 1;
  EXPECT_TRUE(is_denied(unwrap_with_p384(card(1), kContext, off)));
  EXPECT_EQ(ERR_peek_error(), 0UL);
}

TEST(Wrap, other_randomness_gives_other_bytes_for_the_same_secret) {
  const auto key = x25519_public_key(paper(1));
  const Bytes one = wrap_to_x25519(key, kContext, kSecret, paper(3));
  const Bytes two = wrap_to_x25519(key, kContext, kSecret, paper(4));
  EXPECT_FALSE(equal(ByteView(one).subspan(33), ByteView(two).subspan(33)));
}

TEST(Wrap, the_examples_of_the_format_page_hold) {
  const auto example = [](std::string_view name) { return testing::example_in_page("wrap.md", name); };
  const auto card_key = P384PrivateKey::from_scalar(Secret<48>::from_view(example("p384 recipient scalar"))).take();
  EXPECT_EQ(to_hex(wrap_to_p384(card_key.public_key(), example("p384 context"), example("p384 secret"),
                                Secret<64>::from_view(example("p384 randomness")))),
            to_hex(example("p384 wrapped")));
  const auto paper_key = Secret<32>::from_view(example("x25519 recipient private key"));
  EXPECT_EQ(to_hex(wrap_to_x25519(x25519_public_key(paper_key), example("x25519 context"), example("x25519 secret"),
                                  Secret<32>::from_view(example("x25519 randomness")))),
            to_hex(example("x25519 wrapped")));
}

}  // namespace
}  // namespace exclave::crypto
