// Shamir's secret sharing, byte-wise over GF(256) with the AES polynomial (x^8 + x^4 + x^3 + x + 1).
// Hides: field arithmetic, constant-time and table-free.
//
//   share := x (1..255) | y (as long as the secret)      any `threshold` shares give the secret, fewer give nothing
//
// I1  All coefficients but the constant are uniform in 0..255, including the leading one; they are an argument.
// I2  x = 0 and repeated x are refused.
// I3  No branch and no memory index depends on secret bytes.
// Threads: pure.
// Errors: InvalidInput (x, sizes, count).
// Source: docs/formats/shares.md.
#pragma once

#include <vector>

#include "crypto/secret.h"

namespace exclave::crypto {

struct Share {
  std::uint8_t x = 0;
  SecretBytes y;
};

// Splits into `count` shares with x = 1..count. `randomness`: secret.size() * (threshold - 1) uniform bytes.
// 1 <= threshold <= count <= 255.
Result<std::vector<Share>> split_secret(ByteView secret, std::uint8_t threshold, std::uint8_t count,
                                        ByteView randomness);

// Combines exactly the given shares (all of one size, at least one).
// Whether the result is right only a commitment tells.
Result<SecretBytes> combine_shares(const std::vector<const Share*>& shares);

// Field operations, exposed for the exhaustive tests.
std::uint8_t gf256_multiply(std::uint8_t a, std::uint8_t b);
std::uint8_t gf256_inverse(std::uint8_t a);  // of 0 is 0

}  // namespace exclave::crypto
