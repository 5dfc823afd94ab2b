#include "crypto/shamir.h"

#include <algorithm>
#include <array>

namespace exclave::crypto {
namespace {

constexpr std::size_t kMostShares = 255;

// All ones if the lowest bit is set, else zero; without a branch.
constexpr std::uint8_t mask_of(unsigned bit) {
  return static_cast<std::uint8_t>(0U - (bit & 1U));
}

// The value at `x` of the polynomial whose constant is the secret's byte `at`, by Horner's rule.
std::uint8_t evaluate(ByteView secret, ByteView randomness, std::size_t threshold, std::size_t at, std::uint8_t x) {
  std::uint8_t value = 0;
  for (std::size_t power = threshold - 1; power > 0; --power) {
    const std::uint8_t coefficient = randomness[(power - 1) * secret.size() + at];
    value = static_cast<std::uint8_t>(gf256_multiply(value, x) ^ coefficient);
  }
  return static_cast<std::uint8_t>(gf256_multiply(value, x) ^ secret[at]);
}

Status check_shares(const std::vector<const Share*>& shares) {
  if (shares.empty()) return Error(Code::InvalidInput, "no shares to combine");
  std::array<bool, kMostShares + 1> seen{};
  for (const Share* share : shares) {
    CHECK(share != nullptr);
    if (share->x == 0) return Error(Code::InvalidInput, "share has index 0");
    if (seen[share->x]) return Error(Code::InvalidInput, "share " + std::to_string(share->x) + " is given twice");
    seen[share->x] = true;
    if (share->y.size() == 0) return Error(Code::InvalidInput, "share " + std::to_string(share->x) + " is empty");
    if (share->y.size() != shares.front()->y.size()) {
      return Error(Code::InvalidInput, "share " + std::to_string(share->x) + " has another length than the first");
    }
  }
  return {};
}

// Lagrange's weight of share `mine` at zero: the product over the others of x / (x - x_mine); minus is xor.
std::uint8_t weight_at_zero(const std::vector<const Share*>& shares, const Share& mine) {
  std::uint8_t numerator = 1;
  std::uint8_t denominator = 1;
  for (const Share* other : shares) {
    if (other == &mine) continue;
    numerator = gf256_multiply(numerator, other->x);
    denominator = gf256_multiply(denominator, static_cast<std::uint8_t>(other->x ^ mine.x));
  }
  return gf256_multiply(numerator, gf256_inverse(denominator));
}

}  // namespace

// Eight steps of shift and add; what decides a step is a mask, never a branch.
std::uint8_t gf256_multiply(std::uint8_t a, std::uint8_t b) {
  constexpr unsigned kReduction = 0x1b;  // x^8 = x^4 + x^3 + x + 1
  unsigned left = a;
  unsigned product = 0;
  for (unsigned bit = 0; bit < 8; ++bit) {
    product ^= left & mask_of(static_cast<unsigned>(b) >> bit);
    left = ((left << 1) & 0xffU) ^ (kReduction & mask_of(left >> 7));
  }
  return static_cast<std::uint8_t>(product);
}

// a^254 by Fermat: a^(2+4+...+128). Zero stays zero.
std::uint8_t gf256_inverse(std::uint8_t a) {
  std::uint8_t power = a;
  std::uint8_t inverse = 1;
  for (int i = 0; i < 7; ++i) {
    power = gf256_multiply(power, power);
    inverse = gf256_multiply(inverse, power);
  }
  return inverse;
}

Result<std::vector<Share>> split_secret(ByteView secret, std::uint8_t threshold, std::uint8_t count,
                                        ByteView randomness) {
  if (secret.empty()) return Error(Code::InvalidInput, "secret to split is empty");
  if (threshold == 0) return Error(Code::InvalidInput, "threshold is 0");
  if (count < threshold) return Error(Code::InvalidInput, "fewer shares than the threshold");
  if (randomness.size() != secret.size() * (threshold - 1U)) {
    return Error(Code::InvalidInput, "randomness has not one byte per secret byte and coefficient");
  }
  std::vector<Share> shares;
  shares.reserve(count);
  for (unsigned x = 1; x <= count; ++x) {
    Share share{static_cast<std::uint8_t>(x), SecretBytes(secret.size())};
    for (std::size_t at = 0; at < secret.size(); ++at) {
      share.y.mutable_view()[at] = evaluate(secret, randomness, threshold, at, share.x);
    }
    shares.push_back(std::move(share));
  }
  return shares;
}

Result<SecretBytes> combine_shares(const std::vector<const Share*>& shares) {
  TRY(check_shares(shares));
  SecretBytes secret(shares.front()->y.size());
  for (const Share* share : shares) {
    const std::uint8_t weight = weight_at_zero(shares, *share);
    for (std::size_t at = 0; at < secret.size(); ++at) {
      secret.mutable_view()[at] ^= gf256_multiply(weight, share->y.view()[at]);
    }
  }
  return secret;
}

}  // namespace exclave::crypto
