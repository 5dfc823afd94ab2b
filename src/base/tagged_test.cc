#include "base/tagged.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <unordered_set>

#include "base/checked.h"

namespace exclave {
namespace {

using Apples = Tagged<std::uint32_t, struct ApplesTag>;
using Pears = Tagged<std::uint32_t, struct PearsTag>;
using ShortId = Id<4, struct ShortIdTag>;

TEST(TaggedTest, is_explicit_both_ways_and_cannot_be_mixed) {
  static_assert(!std::is_convertible_v<std::uint32_t, Apples>);
  static_assert(!std::is_convertible_v<Apples, std::uint32_t>);
  static_assert(!std::is_constructible_v<Apples, Pears>);
  static_assert(!std::equality_comparable_with<Apples, Pears>);
  EXPECT_EQ(Apples(3).value(), 3U);
  EXPECT_EQ(Apples().value(), 0U);
}

TEST(TaggedTest, is_ordered_by_its_value) {
  EXPECT_LT(Apples(2), Apples(10));
  EXPECT_EQ(Apples(2), Apples(2));
}

TEST(IdTest, is_printed_and_parsed_as_hex) {
  const ShortId id = ShortId::from_hex("00ff10ab").value();
  EXPECT_EQ(id.hex(), "00ff10ab");
  EXPECT_EQ(id.array(), (std::array<Byte, 4>{0x00, 0xff, 0x10, 0xab}));
  EXPECT_FALSE(ShortId::from_hex("00ff10").ok());
  EXPECT_FALSE(ShortId::from_hex("00ff10ab00").ok());
  EXPECT_FALSE(ShortId::from_hex("00FF10AB").ok());
}

TEST(IdTest, is_ordered_by_bytes_and_hashable) {
  const ShortId low = ShortId::from_hex("00ffffff").value();
  const ShortId high = ShortId::from_hex("80000000").value();
  EXPECT_LT(low, high);
  std::unordered_set<ShortId> set = {low, high, low};
  EXPECT_EQ(set.size(), 2U);
}

TEST(IdTest, zero_is_recognised) {
  EXPECT_TRUE(ShortId().is_zero());
  EXPECT_FALSE(ShortId::from_hex("00000001").value().is_zero());
}

TEST(IdDeathTest, view_of_another_length_aborts) {
  EXPECT_DEATH(static_cast<void>(ShortId::from_view(Bytes(3))), "CHECK failed");
}

TEST(CheckedTest, overflow_is_an_error) {
  EXPECT_EQ(checked_add<std::uint64_t>(UINT64_MAX - 1, 1).value(), UINT64_MAX);
  EXPECT_EQ(checked_add<std::uint64_t>(UINT64_MAX, 1).error().code(), Code::InvalidInput);
  EXPECT_EQ(checked_multiply<std::uint32_t>(65'536, 65'535).value(), 4'294'901'760U);
  EXPECT_FALSE(checked_multiply<std::uint32_t>(65'536, 65'536).ok());
}

}  // namespace
}  // namespace exclave
