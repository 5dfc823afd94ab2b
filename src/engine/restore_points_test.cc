#include "engine/restore_points.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "pg/testing/wal_writer.h"

namespace exclave::engine {
namespace {

using pg::testing::WalWriter;

constexpr pg::Timeline kFirst(1);
constexpr pg::Timeline kSecond(2);

void add_point(WalWriter& writer, const std::string& name, Byte seconds) {
  Bytes data(2 + 8 + 64);
  data[0] = 255;  // the record's own data, of 72 bytes
  data[1] = 72;
  const std::uint64_t time = seconds * std::uint64_t{1'000'000};  // behind 2000-01-01
  for (std::size_t i = 0; i < 8; ++i) data[2 + i] = static_cast<Byte>(time >> (8 * i));
  std::copy(name.begin(), name.end(), data.begin() + 10);
  writer.record(0x70, 0, data);
}
void add_other(WalWriter& writer, std::size_t records = 1) {
  for (std::size_t i = 0; i < records; ++i) writer.record(0, 10, Bytes(300, 1));
}

struct NamedPoints : ::testing::Test {
  static pg::WalStart of_server() {
    pg::WalStart start;
    start.system = pg::SystemIdentifier(WalWriter::kSystem);
    start.segment_size = pg::SegmentSize::of(WalWriter::kSegmentBytes).take();
    return start;
  }
  // [from, to) of what was written.
  void look(pg::Lsn from, pg::Lsn to, pg::Timeline timeline = kFirst) {
    const auto at = static_cast<std::size_t>(pg::bytes_between(WalWriter::begin(), from));
    const auto size = static_cast<std::size_t>(pg::bytes_between(from, to));
    points.look(timeline, from, ByteView(writer.wal()).subspan(at, size));
  }
  std::optional<RestorePoints::Found> last() const { return points.last({kFirst, {}}); }

  WalWriter writer;
  RestorePoints points{"wanted", of_server()};
};

TEST_F(NamedPoints, a_name_means_its_last_point) {
  add_other(writer);
  add_point(writer, "wanted", 1);
  add_point(writer, "other", 2);
  add_other(writer, 100);
  add_point(writer, "wanted", 3);
  const pg::Lsn end = writer.end();
  add_other(writer);
  look(WalWriter::begin(), writer.end());
  ASSERT_TRUE(last().has_value());
  EXPECT_EQ(last()->point.end, end);
  EXPECT_EQ(env::to_rfc3339(last()->point.time), "2000-01-01T00:00:03Z");
  EXPECT_EQ(last()->of_that_name, 2U);
  EXPECT_EQ(points.names({kFirst, {}}), "other, wanted");
}

TEST_F(NamedPoints, pieces_that_overlap_or_leave_gaps_count_each_point_once) {
  add_other(writer, 60);
  add_point(writer, "wanted", 1);
  const pg::Lsn middle = writer.end();
  add_other(writer, 200);
  const pg::Lsn third = writer.end();
  add_other(writer, 60);
  add_point(writer, "wanted", 2);
  const pg::Lsn end = writer.end();
  for (pg::Lsn at = WalWriter::begin(); at < middle;) {
    const pg::Lsn to = std::min(middle, at + 77);
    look(at, to);
    at = to;
  }
  look(WalWriter::begin(), middle);  // a whole stream again
  look(WalWriter::begin() + 9'000, middle + 500);
  look(third, end);  // behind a gap: from the next page on
  ASSERT_TRUE(last().has_value());
  EXPECT_EQ(last()->point.end, end);
  EXPECT_EQ(last()->of_that_name, 2U);
}

TEST_F(NamedPoints, damage_costs_the_points_in_it_and_no_others) {
  add_point(writer, "wanted", 1);
  const pg::Lsn first = writer.end();
  add_other(writer, 100);
  const pg::Lsn damaged = writer.end();
  add_point(writer, "wanted", 2);
  add_other(writer, 100);
  const pg::Lsn later = writer.end();
  Bytes bytes = writer.wal();
  bytes[static_cast<std::size_t>(pg::bytes_between(WalWriter::begin(), damaged)) + 40] ^= 1;
  points.look(kFirst, WalWriter::begin(), bytes);
  ASSERT_TRUE(last().has_value());
  EXPECT_EQ(last()->point.end, first);
  add_other(writer, 100);
  add_point(writer, "wanted", 3);
  look(later, writer.end());
  EXPECT_EQ(last()->point.end, writer.end());
}

TEST_F(NamedPoints, points_of_a_branch_that_was_left_count_for_nothing) {
  add_other(writer, 10);
  add_point(writer, "wanted", 1);
  const pg::Lsn point = writer.end();
  add_other(writer, 2);
  const pg::Lsn left = writer.end();
  WalWriter branch = writer;
  add_point(writer, "wanted", 2);
  add_point(writer, "there only", 2);
  look(WalWriter::begin(), writer.end());
  const pg::TimelineHistory history{kSecond, {{kFirst, left}}};
  EXPECT_EQ(points.last(history)->point.end, point);
  EXPECT_EQ(last()->of_that_name, 2U);
  // The next timeline begins where the first was left: the point stands on the page on which it was.
  branch.set_timeline(2);
  add_point(branch, "wanted", 3);
  const pg::Lsn end = branch.end();
  add_other(branch, 50);
  RestorePoints both("wanted", of_server());
  const auto at = static_cast<std::size_t>(pg::bytes_between(WalWriter::begin(), left));
  both.look(kFirst, WalWriter::begin(), ByteView(branch.wal()).first(at));
  both.look(kSecond, left, ByteView(branch.wal()).subspan(at));
  EXPECT_EQ(both.last(history)->point.end, end);
  EXPECT_EQ(both.last(history)->of_that_name, 2U);
}

TEST_F(NamedPoints, remembers_a_bounded_number_of_names_the_newest) {
  for (int i = 0; i < 50; ++i) add_point(writer, "n" + std::to_string(i), 1);
  add_point(writer, "n49", 1);
  look(WalWriter::begin(), writer.end());
  EXPECT_FALSE(last().has_value());
  const std::string names = points.names({kFirst, {}});
  EXPECT_TRUE(names.starts_with("n30, n31")) << names;
  EXPECT_TRUE(names.ends_with("n49, and older ones")) << names;
}

TEST(PointName, is_what_a_server_takes) {
  EXPECT_TRUE(check_point_name("before the move: 'x'").ok());
  EXPECT_TRUE(check_point_name(std::string(63, 'x')).ok());
  EXPECT_EQ(check_point_name(std::string(64, 'x')).error().code(), Code::InvalidInput);
  EXPECT_EQ(check_point_name("").error().code(), Code::InvalidInput);
  EXPECT_EQ(check_point_name(std::string_view("a\0b", 3)).error().code(), Code::InvalidInput);
}

}  // namespace
}  // namespace exclave::engine
