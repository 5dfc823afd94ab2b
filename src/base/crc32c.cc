#include "base/crc32c.h"

#include <array>

namespace exclave {
namespace {

constexpr std::uint32_t kReversedPolynomial = 0x82f63b78;
constexpr std::size_t kStride = 8;

using Table = std::array<std::uint32_t, 256>;

// kTables[n][b]: the CRC of the byte b followed by n zero bytes, without the inversions.
constexpr std::array<Table, kStride> kTables = [] {
  std::array<Table, kStride> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kReversedPolynomial : 0);
    tables[0][i] = value;
  }
  for (std::size_t n = 1; n < kStride; ++n) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[n - 1][i];
      tables[n][i] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}();

std::uint32_t step(std::uint32_t value, Byte byte) {
  return (value >> 8) ^ kTables[0][(value ^ byte) & 0xff];
}

}  // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
  std::uint32_t value = ~before;
  const Byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= kStride; left -= kStride, at += kStride) {
    value = kTables[7][(value ^ at[0]) & 0xff] ^ kTables[6][((value >> 8) ^ at[1]) & 0xff] ^
            kTables[5][((value >> 16) ^ at[2]) & 0xff] ^ kTables[4][((value >> 24) ^ at[3]) & 0xff] ^
            kTables[3][at[4]] ^ kTables[2][at[5]] ^ kTables[1][at[6]] ^ kTables[0][at[7]];
  }
  for (; left > 0; --left, ++at) value = step(value, *at);
  return ~value;
}

std::uint32_t crc32c_slowly(ByteView bytes, std::uint32_t before) {
  std::uint32_t value = ~before;
  for (const Byte byte : bytes) value = step(value, byte);
  return ~value;
}

}  // namespace exclave
