// What crashes and promotions leave in WAL, built by hand: real servers leave it too rarely to wait for.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pg/testing/wal_writer.h"
#include "pg/wal_checker.h"

namespace exclave::pg {
namespace {

using testing::WalWriter;

WalStart at_start() {
  WalStart start;
  start.system = SystemIdentifier(WalWriter::kSystem);
  start.segment_size = SegmentSize::of(WalWriter::kSegmentBytes).take();
  start.start = WalWriter::begin();
  return start;
}

const Bytes kSmall(40, 3);

TEST(WalAfterCrash, a_record_that_the_next_page_declares_void_is_dropped) {
  for (const std::size_t pages : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    WalWriter writer;
    for (int i = 0; i < 5; ++i) writer.record(0, 10, kSmall);
    writer.torn_record(Bytes(100'000, 7), pages);
    writer.record(0, 0, kSmall);  // its prev-link skips the torn one
    writer.record(0, 10, kSmall);
    auto checker = WalChecker::create(at_start()).take();
    const Status status = checker.feed(writer.wal());
    ASSERT_TRUE(status.ok()) << status.error().message();
    EXPECT_EQ(checker.records(), writer.records());
    EXPECT_EQ(checker.overwritten_records(), 1U);
    EXPECT_EQ(checker.end_of_last_record(), writer.end());
    // Also when the reading began within the torn record.
    WalStart inside = at_start();
    inside.start = inside.start + 1'000;
    auto late = WalChecker::create(inside).take();
    ASSERT_TRUE(late.feed(ByteView(writer.wal()).subspan(1'000)).ok());
    EXPECT_EQ(late.records(), 2U);
  }
}

TEST(WalAfterCrash, the_last_record_that_holds_a_time_is_known) {
  struct Kind {
    Byte info;
    Byte manager;
    bool holds_time;
  };
  for (const auto& [info, manager, holds_time] :
       {Kind{0x90, 0, true}, Kind{0x10, 0, true}, Kind{0x00, 0, true}, Kind{0x70, 0, true}, Kind{0x00, 1, true},
        Kind{0x20, 1, true}, Kind{0x30, 1, true}, Kind{0x40, 1, true}, Kind{0x10, 1, false}, Kind{0x10, 8, false},
        Kind{0x30, 0, false}, Kind{0x00, 10, false}}) {
    WalWriter writer;
    writer.record(0x00, 1, kSmall);
    const Lsn before = writer.end();
    writer.record(info, manager, kSmall);
    const Lsn end = writer.end();
    writer.record(0, 10, kSmall);
    auto checker = WalChecker::create(at_start()).take();
    ASSERT_TRUE(checker.feed(writer.wal()).ok());
    EXPECT_EQ(checker.last_timed(), holds_time ? end : before) << int{info} << " of " << int{manager};
  }
}

TEST(WalAfterCrash, a_page_may_not_void_a_record_that_is_whole) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  writer.fill_page();
  writer.record(0, 10, kSmall);
  Bytes wal = writer.wal();
  ASSERT_EQ(wal[8'192] | wal[8'193] << 8, 0xd110);
  wal[8'192 + 2] |= 8;
  auto checker = WalChecker::create(at_start()).take();
  EXPECT_EQ(checker.feed(wal).error().code(), Code::Corrupt);
}

TEST(WalAfterCrash, a_record_that_simply_stops_at_a_page_is_corrupt) {
  WalWriter writer;
  writer.torn_record(Bytes(20'000, 7), 1);
  writer.record(0, 10, kSmall);
  Bytes wal = writer.wal();
  wal[2 * 8'192 + 2] = 0;
  auto checker = WalChecker::create(at_start()).take();
  EXPECT_EQ(checker.feed(wal).error().code(), Code::Corrupt);
}

TEST(WalAfterSwitch, reading_may_begin_in_the_zeros) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  writer.record(0x40, 0, {});
  writer.record(0, 10, kSmall);
  for (const std::size_t from : {std::size_t{41}, std::size_t{200}, std::size_t{8'192}, std::size_t{100'001}}) {
    WalStart inside = at_start();
    inside.start = inside.start + from;
    auto checker = WalChecker::create(inside).take();
    const Status status = checker.feed(ByteView(writer.wal()).subspan(from));
    ASSERT_TRUE(status.ok()) << from << ": " << status.error().message();
    EXPECT_EQ(checker.records(), 1U);
    EXPECT_EQ(checker.end_of_last_record(), writer.end());
  }
}

TEST(WalAfterSwitch, a_switch_counts_once_its_segment_is_whole_and_reading_goes_on_behind_it) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  const Lsn before = writer.end();
  writer.record(0x40, 0, {});
  auto checker = WalChecker::create(at_start()).take();
  ASSERT_TRUE(checker.feed(ByteView(writer.wal()).first(writer.wal().size() - 1)).ok());
  EXPECT_EQ(checker.end_of_last_record(), before);
  EXPECT_FALSE(checker.last_switch().has_value());
  ASSERT_TRUE(checker.feed(Bytes(1, 0)).ok());
  EXPECT_EQ(checker.end_of_last_record(), writer.end());
  EXPECT_EQ(checker.last_switch(), writer.end());
  WalStart behind = at_start();
  behind.start = writer.end();
  behind.starts_at = StartsAt::RecordBoundary;
  behind.previous_record = checker.begin_of_last_record();
  writer.record(0, 10, kSmall);
  auto next = WalChecker::create(behind).take();
  ASSERT_TRUE(next.feed(ByteView(writer.wal()).subspan(WalWriter::kSegmentBytes)).ok());
  EXPECT_EQ(next.records(), 1U);
}

TEST(WalOverTimelines, goes_on_at_the_switch_point_and_nowhere_else) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  writer.record(0, 10, Bytes(9'000, 2));
  const Lsn point = writer.end();
  const TimelineHistory history{Timeline(2), {{Timeline(1), point}}};
  auto checker = WalChecker::create(at_start()).take();
  EXPECT_EQ(checker.follow(history, point).error().code(), Code::Conflict) << "not there yet";
  ASSERT_TRUE(checker.feed(writer.wal()).ok());
  const std::size_t common = writer.wal().size();
  writer.set_timeline(2);
  writer.record(0, 10, Bytes(30'000, 2));
  ASSERT_TRUE(checker.follow(history, point).ok());
  ASSERT_TRUE(checker.feed(ByteView(writer.wal()).subspan(common)).ok());
  EXPECT_EQ(checker.records(), 3U);
  EXPECT_EQ(checker.follow(history, point).error().code(), Code::Conflict) << "too far";
  // From the segment's start on the new timeline: pages before the switch point are of the old one.
  WalStart again = at_start();
  again.history = history;
  auto second = WalChecker::create(again).take();
  ASSERT_TRUE(second.feed(writer.wal()).ok());
  EXPECT_EQ(second.end_of_last_record(), writer.end());
  again.history.switches[0].switch_point = point + 8'192;
  auto wrong = WalChecker::create(again).take();
  EXPECT_EQ(wrong.feed(writer.wal()).error().code(), Code::Corrupt);
}

TEST(WalOverTimelines, a_record_begun_on_the_old_one_and_never_finished_is_forgotten) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  const Lsn point = writer.end();
  WalWriter dead = writer;
  dead.record(0, 10, Bytes(500, 9));
  // The dead branch's beginning of a record reached us, and only then the switch: a new checker is needed.
  auto checker = WalChecker::create(at_start()).take();
  ASSERT_TRUE(checker.feed(ByteView(dead.wal()).first(writer.wal().size() + 100)).ok());
  EXPECT_EQ(checker.follow({Timeline(2), {{Timeline(1), point}}}, point).error().code(), Code::Conflict);
  EXPECT_EQ(checker.end_of_last_record(), point);
}

TEST(WalStarts, boundaries_that_cannot_be_are_refused) {
  WalStart start = at_start();
  start.starts_at = StartsAt::RecordBoundary;
  for (const std::uint64_t offset : {1U, 4U, 8U, 20U, 25U, 31U}) {
    start.start = WalWriter::begin() + offset;
    EXPECT_EQ(WalChecker::create(start).error().code(), Code::InvalidInput) << offset;
  }
  start.start = WalWriter::begin() + 40;
  EXPECT_TRUE(WalChecker::create(start).ok());
}

TEST(WalRecords, impossible_lengths_and_links_are_corrupt_and_name_the_position) {
  WalWriter writer;
  writer.record(0, 10, kSmall);
  const std::size_t second = writer.wal().size();
  writer.record(0, 10, kSmall);
  const auto message_with = [&](std::size_t at, Byte value) {
    Bytes wal = writer.wal();
    wal[second + at] = value;
    auto checker = WalChecker::create(at_start()).take();
    const Status status = checker.feed(wal);
    EXPECT_FALSE(status.ok());
    return status.ok() ? "" : status.error().message();
  };
  const std::string where = to_text(WalWriter::begin() + second) + " on timeline 1";
  EXPECT_EQ(message_with(0, 23), "WAL at " + where + ": record of 23 bytes");
  EXPECT_NE(message_with(3, 0x7f).find(where + ": record of"), std::string::npos);
  EXPECT_NE(message_with(8, 1).find(where + ": record follows one at"), std::string::npos);
  EXPECT_EQ(message_with(30, 9), "WAL at " + where + ": record has a wrong CRC");
}

}  // namespace
}  // namespace exclave::pg
