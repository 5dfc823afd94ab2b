#include "agent/log_tail.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

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
  void remember(std::uint64_t to, const pg::TimelineHistory& history = {}, std::chrono::seconds later = 10s) {
    now_ = now_ + later;
    tail_.remember(pg::Lsn(to), history, size_, now_);
  }
  std::optional<LogStretch> newest(std::uint64_t at_most) { return tail_.newest(pg::Lsn(at_most)); }
  LogTail tail_;
  env::Instant now_;
  const pg::SegmentSize size_ = pg::SegmentSize::of(kSegment).take();
};

TEST_F(LogTails, a_stretch_lies_in_one_file_and_on_one_timeline) {
  remember(100);
  EXPECT_FALSE(newest(100).has_value()) << "nothing is here";
  add(kSegment - 1000, kSegment + 1000);
  remember(kSegment);
  EXPECT_EQ(newest(kSegment)->from, pg::Lsn(kSegment - 1000)) << "at a file's end, of that file";
  remember(kSegment + 400);
  EXPECT_EQ(newest(kSegment + 400)->from, pg::Lsn(kSegment));
  remember(kSegment + 900, kTwo);
  EXPECT_EQ(newest(kSegment + 900)->from, pg::Lsn(kSegment + 500)) << "where the second timeline begins";
  EXPECT_EQ(newest(kSegment + 900)->to, pg::Lsn(kSegment + 900));
  remember(kSegment + 1001);
  EXPECT_EQ(newest(kSegment + 2000)->to, pg::Lsn(kSegment + 900)) << "what is not here is not remembered";
}

TEST_F(LogTails, one_a_second_is_remembered_and_each_timelines_first) {
  add(kSegment, kSegment + 1000);
  remember(kSegment + 100);
  remember(kSegment + 200, {}, 0s);
  remember(kSegment + 550, kTwo, 0s);
  remember(kSegment + 600, kTwo, 0s);
  remember(kSegment + 700, kTwo, 2s);
  EXPECT_EQ(newest(kSegment + 250)->to, pg::Lsn(kSegment + 100));
  EXPECT_EQ(newest(kSegment + 650)->to, pg::Lsn(kSegment + 550));
  EXPECT_EQ(newest(kSegment + 900)->to, pg::Lsn(kSegment + 700));
}

TEST_F(LogTails, what_lags_far_behind_is_told_by_a_stretch_of_its_own) {
  for (std::uint64_t at = kSegment; at < kSegment + 500'000; at += 1000) {
    add(at, at + 1000);
    remember(at + 1000, {}, 1s);
  }
  EXPECT_EQ(newest(kSegment + 100'500)->to, pg::Lsn(kSegment + 100'000)) << "its bytes are gone, its hash is not";
  const auto last = newest(kSegment + 500'000);
  EXPECT_GE(pg::bytes_between(last->from, last->to), LogTail::kBytes);
  EXPECT_LE(pg::bytes_between(last->from, last->to), 2 * LogTail::kBytes);
}

TEST_F(LogTails, goes_on_where_a_broken_connection_left_it) {
  add(kSegment, kSegment + 1000);
  remember(kSegment + 300);
  remember(kSegment + 900);
  tail_.cut_to(pg::Lsn(kSegment + 700));
  EXPECT_EQ(newest(kSegment + 2000)->to, pg::Lsn(kSegment + 300));
  tail_.add(pg::Lsn(kSegment + 100), {});
  add(kSegment + 700, kSegment + 1200);
  remember(kSegment + 1200);
  EXPECT_EQ(newest(kSegment + 1200)->from, pg::Lsn(kSegment));
  tail_.clear();
  EXPECT_FALSE(newest(kSegment + 1200).has_value());
}

TEST_F(LogTails, the_same_log_is_known_in_any_pieces_and_another_one_too) {
  add(kSegment, kSegment + 1000);
  remember(kSegment + 900);
  const auto stretch = newest(kSegment + 900);
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
