// Histories that a real server wrote are read in replication_test.
#include "pg/timeline_history.h"

#include <gtest/gtest.h>

namespace exclave::pg {
namespace {

Result<TimelineHistory> parse(std::string_view text, std::uint32_t timeline = 4) {
  return parse_timeline_history(Timeline(timeline), as_bytes(text));
}

TEST(TimelineHistories, tell_who_wrote_a_byte) {
  const auto history =
      parse("1\t0/3000000\tno recovery target specified\n\n# a note\n3\t0/5000028\tbefore 2026-11-28\n").take();
  EXPECT_EQ(history.switches.size(), 2U);
  EXPECT_EQ(history.timeline_of(Lsn(0x2ffffff)), Timeline(1));
  EXPECT_EQ(history.timeline_of(Lsn(0x3000000)), Timeline(3));
  EXPECT_EQ(history.timeline_of(Lsn(0x5000027)), Timeline(3));
  EXPECT_EQ(history.timeline_of(Lsn(0x5000028)), Timeline(4));
  EXPECT_EQ(history.left_at(Timeline(3)).take(), Lsn(0x5000028));
  EXPECT_EQ(history.began_at(Timeline(1)), Lsn());
  EXPECT_EQ(history.began_at(Timeline(3)), Lsn(0x3000000));
  EXPECT_EQ(history.began_at(Timeline(4)), Lsn(0x5000028));
  EXPECT_EQ(history.left_at(Timeline(2)).error().code(), Code::NotFound);
  EXPECT_EQ(TimelineHistory{}.timeline_of(Lsn(1)), Timeline(1));
  EXPECT_TRUE(parse("").ok());
  EXPECT_TRUE(parse("1\t0/3000000").ok()) << "the reason may be missing";
}

TEST(TimelineHistories, part_where_one_leaves_what_the_other_has) {
  const auto one = parse("1\t0/300\n2\t0/500\n").take();
  EXPECT_FALSE(parted_at(one, one).has_value());
  EXPECT_FALSE(parted_at({}, {}).has_value());
  EXPECT_EQ(parted_at(one, {Timeline(1), {}}), Lsn(0x300)) << "timeline 1 goes on";
  EXPECT_EQ(parted_at({Timeline(1), {}}, one), Lsn(0x300));
  EXPECT_EQ(parted_at(one, one.as_of(Timeline(2))), Lsn(0x500));
  EXPECT_EQ(parted_at(one, parse("1\t0/200\n2\t0/500\n").take()), Lsn(0x200)) << "another server's timeline 2";
  EXPECT_EQ(parted_at(one, parse("1\t0/300\n2\t0/400\n").take()), Lsn(0x400));
  EXPECT_EQ(parted_at(one, parse("1\t0/300\n3\t0/500\n").take()), Lsn(0x300)) << "two that left at one place";
  EXPECT_EQ(parted_at(one, parse("2\t0/300\n3\t0/500\n").take()), Lsn(0)) << "nothing in common";
  EXPECT_EQ(parted_at(one.as_of(Timeline(2)), parse("1\t0/300\n", 3).take()), Lsn(0x300));
}

TEST(TimelineHistories, out_of_order_or_malformed_are_corrupt) {
  for (const char* bad : {"1", "1 0/3000000\tx", "x\t0/3000000", "0\t0/3000000", "1\t0/0\t", "1\tzzz", "4\t0/3000000",
                          "5\t0/3000000", "2\t0/3000000\n1\t0/4000000", "1\t0/3000000\n1\t0/4000000",
                          "1\t0/3000000\n2\t0/2000000", "-1\t0/1", "99999999999\t0/1"}) {
    EXPECT_EQ(parse(bad).error().code(), Code::Corrupt) << bad;
  }
  EXPECT_EQ(parse(std::string(kMaximumHistoryBytes + 1, '\n')).error().code(), Code::Corrupt);
}

}  // namespace
}  // namespace exclave::pg
