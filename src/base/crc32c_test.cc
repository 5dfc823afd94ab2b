#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace exclave {
namespace {

TEST(Crc32c, matches_the_vectors_of_rfc_3720) {
  Bytes bytes(32, 0);
  EXPECT_EQ(crc32c(bytes), 0x8a9136aaU);
  bytes.assign(32, 0xff);
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43U);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<Byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46dd794eU);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, the_fast_one_equals_the_table_at_every_length_and_split) {
  Bytes bytes(67);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<Byte>(i * 37 + 11);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const ByteView all = ByteView(bytes).first(length);
    const std::uint32_t whole = crc32c_by_table(all);
    for (std::size_t cut = 0; cut <= length; ++cut) {
      EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), whole);
      EXPECT_EQ(crc32c_by_table(all.subspan(cut), crc32c_by_table(all.first(cut))), whole);
    }
  }
}

}  // namespace
}  // namespace exclave
