#include "agent/log_tail.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

constexpr std::uint64_t kSegment = 1U << 20;
const pg::TimelineHistory kTwo{pg::Timeline(2), {{pg::Timeline(1), pg::Lsn(kSegment + 500)}}};

class LogTails : public ::testing::Test {
 protected:
  static Bytes log(std::uint64_t from, std::uint64_t to, Byte salt = 0) {
    Bytes bytes;
    for (std::uint64_t at = from; at < to; ++at) bytes.push_back(static_cast<Byte>(at * 31 / 7 + salt));
    return bytes;
  }
  void add(std::uint64_t from, std::uint64_t to) { tail_.add(pg::Lsn(from), log(from, to)); }
  std::optional<LogStretch> before(std::uint64_t to, const pg::TimelineHistory& history = {}) const {
    return tail_.before(pg::Lsn(to), history, size_);
  }
  LogTail tail_;
  const pg::SegmentSize size_ = pg::SegmentSize::of(kSegment).take();
};

TEST_F(LogTails, a_stretch_lies_in_one_file_and_on_one_timeline) {
  EXPECT_FALSE(before(100).has_value()) << "nothing is here";
  add(kSegment - 1000, kSegment + 1000);
  EXPECT_EQ(before(kSegment + 900)->from, pg::Lsn(kSegment));
  EXPECT_EQ(before(kSegment)->from, pg::Lsn(kSegment - 1000)) << "at a file's end, of that file";
  EXPECT_EQ(before(kSegment + 900, kTwo)->from, pg::Lsn(kSegment + 500));
  EXPECT_EQ(before(kSegment + 500, kTwo)->from, pg::Lsn(kSegment)) << "the first timeline's end";
  EXPECT_FALSE(before(kSegment + 1001).has_value());
  EXPECT_FALSE(before(kSegment - 1000).has_value());
}

TEST_F(LogTails, remembers_the_end_of_much_and_begins_anew_behind_a_gap) {
  for (std::uint64_t at = kSegment; at < kSegment + 500'000; at += 1000) add(at, at + 1000);
  const auto last = before(kSegment + 500'000);
  ASSERT_TRUE(last.has_value());
  EXPECT_GE(pg::bytes_between(last->from, last->to), LogTail::kBytes);
  EXPECT_LE(pg::bytes_between(last->from, last->to), 2 * LogTail::kBytes);
  add(kSegment + 600'000, kSegment + 600'010);
  EXPECT_FALSE(before(kSegment + 500'000).has_value());
  EXPECT_EQ(before(kSegment + 600'010)->from, pg::Lsn(kSegment + 600'000));
}

TEST_F(LogTails, goes_on_where_a_broken_connection_left_it) {
  add(kSegment, kSegment + 1000);
  tail_.cut_to(pg::Lsn(kSegment + 700));
  EXPECT_FALSE(before(kSegment + 1000).has_value());
  add(kSegment + 700, kSegment + 1200);
  EXPECT_EQ(before(kSegment + 1200)->from, pg::Lsn(kSegment));
  tail_.cut_to(pg::Lsn(kSegment - 1));
  EXPECT_FALSE(before(kSegment + 500).has_value());
}

TEST_F(LogTails, the_same_log_is_known_in_any_pieces_and_another_one_too) {
  add(kSegment, kSegment + 1000);
  const auto stretch = before(kSegment + 900);
  for (const std::uint64_t step : {1U, 7U, 300U, 5000U}) {
    for (const Byte salt : {Byte{0}, Byte{1}}) {
      StretchCheck check(*stretch);
      for (std::uint64_t at = kSegment - 100; at < kSegment + 2000; at += step) {
        EXPECT_EQ(check.is_same().has_value(), at >= kSegment + 900);
        check.feed(pg::Lsn(at), log(at, at + step, salt));
      }
      EXPECT_EQ(check.is_same(), salt == 0);
    }
  }
}

}  // namespace
}  // namespace exclave::agent
