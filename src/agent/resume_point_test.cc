#include "agent/resume_point.h"

#include <gtest/gtest.h>

#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::agent {
namespace {

using pg::Lsn;
using pg::Timeline;
using Shown = ResumePoint::Shown;

class ResumePointTest : public ::testing::Test {
 protected:
  ResumePointTest() { memory_.emplace(world_.env().files, directory_.path(), "people"); }

  // A stream that has received `log` from `start` on, up to a record that holds a time.
  void receive(ResumePoint& point, Lsn start, std::string_view log) {
    EXPECT_FALSE(point.connected(kFirst, start).has_value());
    point.received(start, as_bytes(log));
    point.remember(start + log.size(), size_, env::Instant());
    point.appended(start + log.size());
  }
  Shown show(ResumePoint& point, const LogStretch& stretch, std::string_view log) {
    return point.look(stretch.from, as_bytes(log));
  }

  inline static const pg::TimelineHistory kFirst{Timeline(1), {}};
  static constexpr Lsn kStart{0x100'0000};
  const pg::SegmentSize size_ = pg::SegmentSize::of(std::uint64_t{16} << 20).take();
  posix::World world_;
  conformance::ScratchDirectory directory_{"resume"};
  std::optional<StreamMemory> memory_;
};

TEST_F(ResumePointTest, nothing_is_here_at_first) {
  ResumePoint point(*memory_);
  EXPECT_FALSE(point.recall().take().has_value());
  EXPECT_FALSE(point.end().has_value());
  EXPECT_FALSE(point.parted_at(kFirst).has_value());
  EXPECT_FALSE(point.connected(kFirst, kStart).has_value());
  EXPECT_TRUE(point.is_shown());
  EXPECT_EQ(point.end(), kStart);
}

TEST_F(ResumePointTest, the_next_connection_is_shown_what_was_received_last) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  const auto stretch = point.connected(kFirst, *point.end());
  ASSERT_TRUE(stretch.has_value());
  EXPECT_EQ(stretch->from, kStart);
  EXPECT_FALSE(point.is_shown());
  EXPECT_EQ(show(point, *stretch, "one "), Shown::NotYet);
  EXPECT_EQ(point.look(kStart + 4, as_bytes("commit")), Shown::Same);
  EXPECT_TRUE(point.is_shown());
}

TEST_F(ResumePointTest, so_is_the_next_run) {
  {
    ResumePoint point(*memory_);
    receive(point, kStart, "one commit");
    ASSERT_TRUE(point.keep(*point.end(), kStart + 9, std::nullopt).ok());
  }
  ResumePoint point(*memory_);
  const auto left = point.recall().take();
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->commit, kStart + 9);
  EXPECT_EQ(point.end(), kStart + 10);
  const auto stretch = point.connected(kFirst, *point.end());
  ASSERT_TRUE(stretch.has_value());
  EXPECT_EQ(show(point, *stretch, "one c0mmit"), Shown::Another);
}

TEST_F(ResumePointTest, nothing_is_kept_of_a_server_that_has_not_shown_it) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  ASSERT_TRUE(point.keep(kStart + 10, Lsn(), std::nullopt).ok());
  ASSERT_TRUE(point.connected(kFirst, *point.end()).has_value());
  ASSERT_TRUE(point.keep(kStart + 500, Lsn(), std::nullopt).ok());
  EXPECT_EQ(memory_->position().take()->acknowledged, kStart + 10);
}

TEST_F(ResumePointTest, a_server_that_removed_the_stretch_is_taken_at_its_word_until_log_comes) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  ASSERT_TRUE(point.connected(kFirst, *point.end()).has_value());
  point.take_at_its_word();
  EXPECT_FALSE(point.connected(kFirst, *point.end()).has_value());
  point.received(*point.end(), as_bytes("more"));
  EXPECT_TRUE(point.connected(kFirst, *point.end()).has_value());
}

TEST_F(ResumePointTest, a_failover_behind_what_is_here_parts_from_it) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  const auto promoted = [](Lsn at) { return pg::TimelineHistory{Timeline(2), {{Timeline(1), at}}}; };
  EXPECT_FALSE(point.parted_at(promoted(kStart + 10)).has_value());
  EXPECT_EQ(point.parted_at(promoted(kStart + 4)), kStart + 4);
  point.leave_at(kStart + 4);
  EXPECT_EQ(point.end(), kStart + 4);
  EXPECT_FALSE(point.connected(promoted(kStart + 4), kStart + 4).has_value());
}

TEST_F(ResumePointTest, what_frees_a_segment_of_the_server_is_kept_before) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  EXPECT_TRUE(point.must_keep(kStart + 10, size_));
  ASSERT_TRUE(point.keep(kStart + 10, Lsn(), std::nullopt).ok());
  EXPECT_FALSE(point.must_keep(kStart + 20, size_));
  EXPECT_TRUE(point.must_keep(kStart + size_.bytes(), size_));
}

TEST_F(ResumePointTest, so_is_what_tells_a_new_timeline_from_another_servers) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  ASSERT_TRUE(point.keep(kStart + 10, Lsn(), std::nullopt).ok());
  const Lsn at = kStart + 10;
  point.switched({Timeline(2), {{Timeline(1), at}}});
  point.received(at, as_bytes("other"));
  EXPECT_FALSE(point.must_keep(at + 5, size_));
  point.remember(at + 5, size_, env::Instant());
  EXPECT_FALSE(point.must_keep(at + 4, size_));
  EXPECT_TRUE(point.must_keep(at + 5, size_));
}

TEST_F(ResumePointTest, log_that_is_nowhere_is_forgotten_for_good) {
  ResumePoint point(*memory_);
  receive(point, kStart, "one commit");
  ASSERT_TRUE(point.keep(kStart + 10, Lsn(), std::nullopt).ok());
  ASSERT_TRUE(point.forget(std::nullopt).ok());
  EXPECT_FALSE(point.end().has_value());
  EXPECT_FALSE(ResumePoint(*memory_).recall().take().has_value());
}

// Whoever is killed after a slot was lost still tells of what was acknowledged before.
TEST_F(ResumePointTest, what_was_acknowledged_without_the_vaults_outlives_the_log_that_is_forgotten) {
  const Exposure exposed{kStart, kStart + 10, env::Timestamp::from_seconds(7), {{12, 3}, {13, 1}}};
  {
    ResumePoint point(*memory_);
    receive(point, kStart, "one commit");
    ASSERT_TRUE(point.keep(kStart + 10, kStart + 9, exposed).ok());
    ASSERT_TRUE(point.forget(exposed).ok());
    EXPECT_FALSE(point.end().has_value());
  }
  ResumePoint point(*memory_);
  const auto left = point.recall().take();
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->exposed, exposed);
  EXPECT_FALSE(point.end().has_value()) << "the log goes on wherever the server's does";
  EXPECT_FALSE(point.connected(kFirst, kStart + 500).has_value());
  EXPECT_TRUE(point.is_shown());
  EXPECT_EQ(point.end(), kStart + 500);
  EXPECT_TRUE(point.must_keep(kStart + 500, size_));
}

}  // namespace
}  // namespace exclave::agent
