#include "base/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace exclave {
namespace {

TEST(BytesTest, hex_is_lower_case_and_comes_back) {
  EXPECT_EQ(to_hex(Bytes{0x00, 0x0f, 0xa0, 0xff}), "000fa0ff");
  EXPECT_EQ(to_hex({}), "");
  Bytes all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Byte>(i);
  EXPECT_EQ(from_hex(to_hex(all)).value(), all);
  EXPECT_EQ(from_hex("").value(), Bytes{});
}

TEST(BytesTest, hex_has_one_spelling) {
  for (const char* wrong : {"0", "000", "0g", "0A", "FF", " 00", "00 ", "0x00", "0\n", "-1", "\xff\xff"}) {
    const auto result = from_hex(wrong);
    ASSERT_FALSE(result.ok()) << wrong;
    EXPECT_EQ(result.error().code(), Code::InvalidInput);
  }
}

TEST(BytesTest, hex_into_wants_the_exact_length) {
  std::array<Byte, 2> out{};
  EXPECT_TRUE(from_hex_into("01ff", out).ok());
  EXPECT_EQ(out, (std::array<Byte, 2>{0x01, 0xff}));
  EXPECT_FALSE(from_hex_into("01", out).ok());
  EXPECT_FALSE(from_hex_into("01ff00", out).ok());
  EXPECT_FALSE(from_hex_into("", out).ok());
}

// RFC 4648, section 10.
const std::vector<std::pair<std::string, std::string>> kBase64Vectors = {{"", ""},
                                                                         {"f", "Zg=="},
                                                                         {"fo", "Zm8="},
                                                                         {"foo", "Zm9v"},
                                                                         {"foob", "Zm9vYg=="},
                                                                         {"fooba", "Zm9vYmE="},
                                                                         {"foobar", "Zm9vYmFy"}};

TEST(BytesTest, base64_vectors_of_rfc_4648) {
  for (const auto& [plain, encoded] : kBase64Vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(from_base64(encoded).value(), to_bytes(plain));
  }
}

TEST(BytesTest, base64_uses_the_standard_alphabet) {
  EXPECT_EQ(to_base64(Bytes{0xfb, 0xff, 0xbf}), "+/+/");
  EXPECT_EQ(from_base64("+/+/").value(), (Bytes{0xfb, 0xff, 0xbf}));
  EXPECT_FALSE(from_base64("-_-_").ok());
}

TEST(BytesTest, base64_comes_back_for_every_length_and_byte) {
  Bytes bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
    bytes.push_back(static_cast<Byte>(i * 7));
  }
}

TEST(BytesTest, base64_has_one_spelling) {
  for (const char* wrong : {"Z", "Zg", "Zg=", "Zg===", "Zg==Zg==", "=Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm8=Zm8=",
                            "Zg==\n", "Zm 9v", " Zm9v", "Zm9v ", "Zm9\xff", "Zg=g", "Zm9v=", "Zm9v===="}) {
    const auto result = from_base64(wrong);
    ASSERT_FALSE(result.ok()) << wrong;
    EXPECT_EQ(result.error().code(), Code::InvalidInput);
  }
}

TEST(BytesTest, base64_accepts_exactly_one_last_digit_per_padding) {
  // One byte leaves four spare bits, two bytes leave two: of 64 last digits, 4 and 16 are canonical.
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  int one_byte = 0;
  int two_bytes = 0;
  for (const char digit : digits) {
    one_byte += from_base64(std::string("A") + digit + "==").ok() ? 1 : 0;
    two_bytes += from_base64(std::string("AA") + digit + "=").ok() ? 1 : 0;
  }
  EXPECT_EQ(one_byte, 4);
  EXPECT_EQ(two_bytes, 16);
}

TEST(BytesTest, integers_are_big_endian) {
  std::array<Byte, 8> at{};
  store_u16(at, 0x0102);
  EXPECT_EQ(to_hex(ByteView(at).first(2)), "0102");
  EXPECT_EQ(load_u16(at), 0x0102);
  store_u32(at, 0x01020304);
  EXPECT_EQ(to_hex(ByteView(at).first(4)), "01020304");
  EXPECT_EQ(load_u32(at), 0x01020304U);
  store_u64(at, 0xf1f2f3f4f5f6f7f8);
  EXPECT_EQ(to_hex(at), "f1f2f3f4f5f6f7f8");
  EXPECT_EQ(load_u64(at), 0xf1f2f3f4f5f6f7f8);
}

TEST(BytesTest, equal_compares_length_and_content) {
  EXPECT_TRUE(equal({}, Bytes{}));
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("ac")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("a")));
}

TEST(BytesTest, text_and_bytes_convert_without_loss) {
  const std::string text("a\0\xff", 3);
  EXPECT_EQ(as_text(as_bytes(text)), text);
  EXPECT_EQ(to_bytes(text), (Bytes{'a', 0, 0xff}));
  Bytes joined = to_bytes("a");
  append(joined, as_bytes("bc"));
  EXPECT_EQ(joined, to_bytes("abc"));
}

}  // namespace
}  // namespace exclave
