#include "env/time.h"

#include <gtest/gtest.h>

#include <limits>

namespace exclave::env {
namespace {

TEST(TimeTest, rfc3339_text_of_known_instants) {
  EXPECT_EQ(to_rfc3339({0}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_seconds(951'782'400)), "2000-02-29T00:00:00Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_seconds(1'000'000'000)), "2001-09-09T01:46:40Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_seconds(4'107'542'399)), "2100-02-28T23:59:59Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_seconds(4'107'542'400)), "2100-03-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339(Timestamp::from_seconds(7'258'118'400)), "2200-01-01T00:00:00Z");
}

TEST(TimeTest, seconds_are_rounded_down_on_both_sides_of_1970) {
  EXPECT_EQ(Timestamp{1'999'999'999}.seconds(), 1);
  EXPECT_EQ(Timestamp{-1}.seconds(), -1);
  EXPECT_EQ(Timestamp{-1'000'000'000}.seconds(), -1);
  EXPECT_EQ(Timestamp{-1'000'000'001}.seconds(), -2);
  EXPECT_EQ(to_rfc3339({999'999'999}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339({-1}), "1969-12-31T23:59:59Z");
}

// Found by fuzzing: a number of seconds overflowed.
TEST(TimeTest, what_lies_beyond_all_time_becomes_the_end_of_it) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(Timestamp::from_seconds(9'223'372'036).nanoseconds, 9'223'372'036'000'000'000);
  EXPECT_EQ(Timestamp::from_seconds(9'223'372'037).nanoseconds, kMost);
  EXPECT_EQ(Timestamp::from_seconds(kMost).nanoseconds, kMost);
  EXPECT_EQ(Timestamp::from_seconds(kLeast).nanoseconds, kLeast);
  EXPECT_EQ((Timestamp{kMost} + std::chrono::nanoseconds(1)).nanoseconds, kMost);
  EXPECT_EQ((Timestamp{kLeast} + std::chrono::nanoseconds(-1)).nanoseconds, kLeast);
  EXPECT_EQ((Timestamp{kMost} - Timestamp{-1}).count(), kMost);
  EXPECT_EQ((Timestamp{kLeast} - Timestamp{1}).count(), kLeast);
  EXPECT_EQ((Timestamp{kLeast} - Timestamp{kLeast}).count(), 0);
}

TEST(TimeTest, rfc3339_comes_back_for_every_kind_of_day) {
  for (std::int64_t seconds = -8'000'000'000; seconds < 9'200'000'000; seconds += 86'399 * 37) {
    const Timestamp time = Timestamp::from_seconds(seconds);
    const auto parsed = parse_rfc3339(to_rfc3339(time));
    ASSERT_TRUE(parsed.ok()) << to_rfc3339(time);
    ASSERT_EQ(parsed.value(), time);
  }
}

TEST(TimeTest, every_other_spelling_is_refused) {
  EXPECT_TRUE(parse_rfc3339("2026-11-21T22:34:17Z").ok());
  for (const char* wrong : {"",
                            "2026-11-21T22:34:17",
                            "2026-11-21 22:34:17Z",
                            "2026-11-21t22:34:17z",
                            "2026-11-21T22:34:17+00:00",
                            "2026-11-21T22:34:17.5Z",
                            "2026-11-21T24:00:00Z",
                            "2026-11-21T22:60:00Z",
                            "2026-11-21T22:34:60Z",
                            "2026-02-29T00:00:00Z",
                            "2026-02-31T00:00:00Z",
                            "2026-13-01T00:00:00Z",
                            "2026-00-01T00:00:00Z",
                            "2026-01-00T00:00:00Z",
                            "2026-1-021T22:34:17Z",
                            "2026-11-21T22:34:1 Z",
                            "2026-11-21T-2:34:17Z",
                            " 2026-11-21T22:34:17Z",
                            "2026-11-21T22:34:17Z ",
                            "2026/11/21T22:34:17Z",
                            "1699-12-31T23:59:59Z",
                            "2262-01-01T00:00:00Z",
                            "9999-12-31T23:59:59Z",
                            "0000-01-01T00:00:00Z",
                            "+026-11-21T22:34:17Z"}) {
    EXPECT_FALSE(parse_rfc3339(wrong).ok()) << wrong;
  }
  EXPECT_EQ(parse_rfc3339("soon").error().code(), Code::InvalidInput);
}

TEST(TimeTest, arithmetic_of_both_scales) {
  const Timestamp time{5};
  EXPECT_EQ((time + std::chrono::seconds(1)).nanoseconds, 1'000'000'005);
  EXPECT_EQ((time + std::chrono::seconds(1)) - time, std::chrono::seconds(1));
  const Instant instant{7};
  EXPECT_LT(instant, instant + std::chrono::nanoseconds(1));
  EXPECT_EQ((instant + -std::chrono::seconds(1)) - instant, -std::chrono::seconds(1));
}

}  // namespace
}  // namespace exclave::env
