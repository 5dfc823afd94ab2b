#include "format/binary.h"

#include <gtest/gtest.h>

namespace exclave::format {
namespace {

Result<std::uint64_t> varint_of(const Bytes& bytes) {
  BinaryReader reader(bytes, "record");
  const std::uint64_t value = TRY(reader.varint());
  TRY(reader.end());
  return value;
}

TEST(binary, integers_are_big_endian_and_round_trip) {
  BinaryWriter writer;
  writer.u8(0x01);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090a0b0c0d0e0fU);
  writer.i64(-2);
  EXPECT_EQ(to_hex(writer.view()), "0102030405060708090a0b0c0d0e0ffffffffffffffffe");
  BinaryReader reader(writer.view(), "record");
  EXPECT_EQ(reader.u8().value(), 0x01);
  EXPECT_EQ(reader.u16().value(), 0x0203);
  EXPECT_EQ(reader.u32().value(), 0x04050607U);
  EXPECT_EQ(reader.u64().value(), 0x08090a0b0c0d0e0fU);
  EXPECT_EQ(reader.i64().value(), -2);
  EXPECT_TRUE(reader.end().ok());
}

TEST(binary, varints_round_trip_at_every_length) {
  for (unsigned bits = 0; bits < 64; ++bits) {
    for (const std::uint64_t value :
         {(std::uint64_t{1} << bits) - 1, std::uint64_t{1} << bits, ~std::uint64_t{0} >> bits}) {
      BinaryWriter writer;
      writer.varint(value);
      const auto read = varint_of(writer.take());
      ASSERT_TRUE(read.ok()) << value;
      EXPECT_EQ(read.value(), value);
    }
  }
}

TEST(binary, varints_have_one_spelling_and_fit_64_bits) {
  EXPECT_EQ(varint_of({0x00}).value(), 0U);
  EXPECT_EQ(varint_of({0x80, 0x01}).value(), 128U);
  EXPECT_EQ(varint_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}).value(), ~std::uint64_t{0});
  const std::vector<Bytes> refused = {
      {},
      {0x80},
      {0x80, 0x00},
      {0xff, 0x00},
      {0x80, 0x80, 0x00},
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00},
  };
  for (const Bytes& bytes : refused) {
    const auto read = varint_of(bytes);
    ASSERT_FALSE(read.ok()) << to_hex(bytes);
    EXPECT_EQ(read.error().code(), Code::Corrupt);
  }
}

TEST(binary, nothing_is_read_past_the_end) {
  const Bytes three = {1, 2, 3};
  EXPECT_FALSE(BinaryReader(three, "record").u32().ok());
  EXPECT_FALSE(BinaryReader(three, "record").u64().ok());
  EXPECT_FALSE(BinaryReader(three, "record").raw(4).ok());
  EXPECT_TRUE(BinaryReader(three, "record").raw(3).ok());
  EXPECT_FALSE((BinaryReader(three, "record").id<Id<4, struct Four>>().ok()));
  EXPECT_FALSE(BinaryReader(Bytes{4, 1, 2, 3}, "record").bytes().ok());
  EXPECT_FALSE(BinaryReader(Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, "record").bytes().ok());
}

TEST(binary, texts_above_their_limit_and_bytes_after_the_end_are_refused) {
  const Bytes four = {4, 'a', 'b', 'c', 'd'};
  EXPECT_EQ(BinaryReader(four, "record").text(4).value(), "abcd");
  EXPECT_FALSE(BinaryReader(four, "record").text(3).ok());
  BinaryReader reader(four, "record");
  EXPECT_TRUE(reader.u8().ok());
  const Status end = reader.end();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().message(), "record: has bytes after its end");
}

TEST(binary, counts_that_cannot_fit_in_what_is_left_are_refused) {
  const Bytes bytes = {2, 0, 0, 0, 0};
  EXPECT_EQ(BinaryReader(bytes, "record").count(2).value(), 2U);
  EXPECT_FALSE(BinaryReader(bytes, "record").count(3).ok());
  EXPECT_FALSE(BinaryReader(Bytes{0xff, 0xff, 0xff, 0xff, 0x0f}, "record").count(1).ok());
}

}  // namespace
}  // namespace exclave::format
