#include "crypto/shamir.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/testing/vectors.h"

namespace exclave::crypto {
namespace {

using testing::load_vectors;
using testing::Vector;

// Carry-less product of two polynomials over GF(2), then long division by x^8 + x^4 + x^3 + x + 1.
std::uint8_t slow_product(unsigned a, unsigned b) {
  unsigned product = 0;
  for (unsigned bit = 0; bit < 8; ++bit) {
    if ((b >> bit & 1U) != 0) product ^= a << bit;
  }
  for (unsigned bit = 15; bit >= 8; --bit) {
    if ((product >> bit & 1U) != 0) product ^= 0x11bU << (bit - 8);
  }
  return static_cast<std::uint8_t>(product);
}

Bytes pseudorandom(std::string_view seed, std::size_t size) {
  Bytes out(size);
  for (std::size_t at = 0; at < size; at += 8000) {
    const Bytes info = to_bytes(std::string(seed) + std::to_string(at));
    hkdf_expand(HkdfHash::Sha256, as_bytes("shamir test"), info,
                MutableByteView(out).subspan(at, std::min<std::size_t>(8000, size - at)));
  }
  return out;
}

std::vector<const Share*> choose(const std::vector<Share>& shares, unsigned mask) {
  std::vector<const Share*> chosen;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if ((mask >> i & 1U) != 0) chosen.push_back(&shares[i]);
  }
  return chosen;
}

Share copy_of(const Share& share) {
  return {share.x, SecretBytes(to_bytes(share.y.view()))};
}

TEST(Shamir, every_product_in_the_field_equals_the_slow_definition) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      ASSERT_EQ(gf256_multiply(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b)), slow_product(a, b))
          << a << " * " << b;
    }
  }
}

TEST(Shamir, every_element_but_zero_has_its_inverse) {
  EXPECT_EQ(gf256_inverse(0), 0);
  for (unsigned a = 1; a < 256; ++a) {
    EXPECT_EQ(slow_product(a, gf256_inverse(static_cast<std::uint8_t>(a))), 1) << a;
  }
}

TEST(Shamir, the_field_gives_the_examples_of_fips_197) {
  EXPECT_EQ(gf256_multiply(0x57, 0x83), 0xc1);
  EXPECT_EQ(gf256_multiply(0x57, 0x13), 0xfe);
  EXPECT_EQ(gf256_inverse(0x53), 0xca);
}

TEST(Shamir, shares_agree_with_a_second_implementation) {
  for (const Vector& vector : load_vectors("shares", 5)) {
    const auto threshold = static_cast<std::uint8_t>(parse_u32(vector.text(0)).take());
    const auto count = static_cast<std::uint8_t>(parse_u32(vector.text(1)).take());
    const auto shares = split_secret(vector.bytes(2), threshold, count, vector.bytes(3)).take();
    const auto expected = split(vector.text(4), ',');
    ASSERT_EQ(shares.size(), expected.size()) << vector.name;
    std::vector<const Share*> last;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      EXPECT_EQ(shares[i].x, i + 1);
      EXPECT_EQ(to_hex(shares[i].y.view()), expected[i]) << vector.name << " share " << i + 1;
      if (i + threshold >= shares.size()) last.push_back(&shares[i]);
    }
    EXPECT_EQ(to_hex(combine_shares(last).take().view()), vector.text(2)) << vector.name;
  }
}

TEST(Shamir, any_three_or_more_of_five_shares_combine_and_no_fewer_do) {
  const Bytes secret = pseudorandom("secret", 32);
  const auto shares = split_secret(secret, 3, 5, pseudorandom("coefficients", 64)).take();
  unsigned combined = 0;
  for (unsigned mask = 1; mask < 32; ++mask) {
    const auto result = combine_shares(choose(shares, mask)).take();
    const bool enough = std::popcount(mask) >= 3;
    EXPECT_EQ(equal(result.view(), secret), enough) << mask;
    if (enough) ++combined;
  }
  EXPECT_EQ(combined, 16U);
}

TEST(Shamir, the_order_of_shares_does_not_matter) {
  const Bytes secret = to_bytes("order");
  const auto shares = split_secret(secret, 3, 5, pseudorandom("order", 10)).take();
  EXPECT_TRUE(equal(combine_shares({&shares[4], &shares[0], &shares[2]}).take().view(), secret));
  EXPECT_TRUE(equal(combine_shares({&shares[0], &shares[2], &shares[4]}).take().view(), secret));
}

// With one share missing, each value of the secret fits exactly one value of the missing share: nothing is known.
TEST(Shamir, fewer_shares_than_the_threshold_leave_every_secret_equally_possible) {
  const Bytes secret = {0x5e};
  const auto shares = split_secret(secret, 3, 3, pseudorandom("hiding", 2)).take();
  std::array<int, 256> seen{};
  for (unsigned guess = 0; guess < 256; ++guess) {
    const Share forged{3, SecretBytes(Bytes{static_cast<Byte>(guess)})};
    ++seen[combine_shares({&shares[0], &shares[1], &forged}).take().view()[0]];
  }
  for (const int count : seen) EXPECT_EQ(count, 1);
}

// Over all leading coefficients, a single share takes every value once: so zero must be allowed as a coefficient too.
TEST(Shamir, every_coefficient_value_is_used_so_a_share_is_uniform) {
  std::array<int, 256> seen{};
  for (unsigned coefficient = 0; coefficient < 256; ++coefficient) {
    const auto shares = split_secret(Bytes{0x77}, 2, 2, Bytes{static_cast<Byte>(coefficient)}).take();
    ++seen[shares[1].y.view()[0]];
  }
  for (const int count : seen) EXPECT_EQ(count, 1);
}

TEST(Shamir, shares_of_uniform_randomness_pass_a_chi_square_test) {
  const std::size_t size = 65536;
  const Bytes secret(size, 0);
  const auto shares = split_secret(secret, 3, 3, pseudorandom("uniform", 2 * size)).take();
  for (const Share& share : shares) {
    std::array<double, 256> seen{};
    for (const Byte byte : share.y.view()) seen[byte] += 1;
    double chi_square = 0;
    for (const double count : seen) chi_square += (count - 256) * (count - 256) / 256;
    EXPECT_GT(chi_square, 160) << "share " << int{share.x};  // 255 degrees of freedom: far beyond six sigmas outside
    EXPECT_LT(chi_square, 400) << "share " << int{share.x};
  }
}

TEST(Shamir, combining_refuses_index_zero_repeats_unequal_lengths_and_nothing) {
  const auto shares = split_secret(as_bytes("secret"), 2, 3, pseudorandom("refuse", 6)).take();
  const auto refused = [](const std::vector<const Share*>& chosen) {
    const auto result = combine_shares(chosen);
    return !result.ok() && result.error().code() == Code::InvalidInput;
  };
  Share zero = copy_of(shares[0]);
  zero.x = 0;
  Share repeated = copy_of(shares[1]);
  repeated.x = 1;
  const Share longer{3, SecretBytes(Bytes(7))};
  const Share empty{3, SecretBytes()};
  EXPECT_FALSE(refused({&shares[0], &shares[1]}));
  EXPECT_TRUE(refused({&zero, &shares[1]}));
  EXPECT_TRUE(refused({&shares[0], &shares[0]}));
  EXPECT_TRUE(refused({&shares[0], &repeated}));
  EXPECT_TRUE(refused({&shares[0], &longer}));
  EXPECT_TRUE(refused({&shares[0], &empty}));
  EXPECT_TRUE(refused({&empty}));
  EXPECT_TRUE(refused({}));
}

TEST(Shamir, splitting_refuses_impossible_parameters) {
  const auto refused = [](ByteView secret, int threshold, int count, std::size_t randomness) {
    const auto result = split_secret(secret, static_cast<std::uint8_t>(threshold), static_cast<std::uint8_t>(count),
                                     Bytes(randomness, 1));
    return !result.ok() && result.error().code() == Code::InvalidInput;
  };
  const Bytes secret(4);
  EXPECT_FALSE(refused(secret, 3, 5, 8));
  EXPECT_TRUE(refused({}, 3, 5, 0));
  EXPECT_TRUE(refused(secret, 0, 5, 0));
  EXPECT_TRUE(refused(secret, 3, 2, 8));
  EXPECT_TRUE(refused(secret, 3, 0, 8));
  EXPECT_TRUE(refused(secret, 3, 5, 7));
  EXPECT_TRUE(refused(secret, 3, 5, 9));
}

TEST(Shamir, the_example_of_the_format_page_holds) {
  const auto example = [](std::string_view name) { return testing::example_in_page("shares.md", name); };
  const Bytes secret = example("secret");
  const auto shares = split_secret(secret, 2, 3, example("randomness")).take();
  EXPECT_EQ(to_hex(shares[0].y.view()), to_hex(example("y of share 1")));
  EXPECT_EQ(to_hex(shares[1].y.view()), to_hex(example("y of share 2")));
  EXPECT_EQ(to_hex(shares[2].y.view()), to_hex(example("y of share 3")));
  EXPECT_TRUE(equal(combine_shares({&shares[0], &shares[2]}).take().view(), secret));
}

}  // namespace
}  // namespace exclave::crypto
