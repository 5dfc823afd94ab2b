#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace exclave {
namespace {

TEST(Crc32c, gives_the_vectors_of_rfc_3720) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(Bytes(32, 0x00)), 0x8a9136aau);
  EXPECT_EQ(crc32c(Bytes(32, 0xff)), 0x62a8ab43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, is_what_its_slow_twin_says_at_every_length_and_split) {
  Bytes bytes(97);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<Byte>(i * 37 + 5);
  for (std::size_t end = 0; end <= bytes.size(); ++end) {
    const ByteView view = ByteView(bytes).first(end);
    EXPECT_EQ(crc32c(view), crc32c_slowly(view));
    EXPECT_EQ(crc32c(view.subspan(end / 3), crc32c(view.first(end / 3))), crc32c_slowly(view));
  }
}

}  // namespace
}  // namespace exclave
