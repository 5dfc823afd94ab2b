#include "agent/commit_tally.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

using format::FrameNumber;
using pg::Lsn;

void acknowledge_frame(CommitTally& tally, Lsn log_end) {
  tally.framed(log_end);
  tally.acknowledged(log_end);
}

TEST(CommitTally, commits_are_outstanding_until_their_frame_is_durable) {
  CommitTally tally;
  tally.received(3, Lsn(300));
  EXPECT_EQ(tally.outstanding(), 3U);
  tally.framed(Lsn(320));
  tally.appended(FrameNumber(1), 3, 4096);
  tally.received(5, Lsn(500));
  tally.framed(Lsn(500));
  tally.appended(FrameNumber(2), 5, 8192);
  EXPECT_EQ(tally.outstanding_bytes(), 12288U);
  tally.durable(1);  // the opening alone
  EXPECT_EQ(tally.outstanding(), 5U);
  tally.durable(2);
  EXPECT_EQ(tally.outstanding(), 2U);
  EXPECT_EQ(tally.outstanding_bytes(), 8192U);
  tally.durable(3);
  EXPECT_EQ(tally.outstanding(), 0U);
  EXPECT_EQ(tally.outstanding_bytes(), 0U);
}

TEST(CommitTally, what_was_acknowledged_last_is_a_commit_and_no_piece_behind_it) {
  CommitTally tally;
  tally.received(1, Lsn(300));
  tally.framed(Lsn(350));  // the beginning of another record as well
  EXPECT_EQ(tally.last_acknowledged(), Lsn(0));
  tally.acknowledged(Lsn(349));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(0));
  tally.acknowledged(Lsn(350));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(300));
  acknowledge_frame(tally, Lsn(400));  // no commit in it
  EXPECT_EQ(tally.last_acknowledged(), Lsn(300));
}

TEST(CommitTally, a_commit_that_is_received_and_lies_behind_the_frame_waits_for_the_next_one) {
  CommitTally tally;
  tally.received(1, Lsn(300));
  acknowledge_frame(tally, Lsn(250));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(0));
  acknowledge_frame(tally, Lsn(310));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(300));
}

TEST(CommitTally, what_a_broken_connection_left_half_gathered_comes_again) {
  CommitTally tally;
  tally.received(2, Lsn(200));
  tally.framed(Lsn(200));
  tally.received(4, Lsn(400));
  tally.drop_unframed();
  EXPECT_EQ(tally.received(), 2U);
  tally.received(3, Lsn(300));  // the server may have another log there by now
  acknowledge_frame(tally, Lsn(310));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(300));
}

TEST(CommitTally, a_branch_that_is_left_takes_its_commits_with_it) {
  CommitTally tally;
  tally.recall(Lsn(500));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(500));
  tally.journal_ended();
  tally.leave_at(Lsn(400));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(400));
  tally.received(1, Lsn(450));
  acknowledge_frame(tally, Lsn(450));
  EXPECT_EQ(tally.last_acknowledged(), Lsn(450));
}

TEST(CommitTally, a_journal_that_ended_leaves_nothing_outstanding) {
  CommitTally tally;
  tally.received(2, Lsn(200));
  tally.framed(Lsn(200));
  tally.appended(FrameNumber(1), 2, 4096);
  tally.journal_ended();
  EXPECT_EQ(tally.outstanding(), 0U);
  EXPECT_EQ(tally.outstanding_bytes(), 0U);
  tally.durable(9);
  EXPECT_EQ(tally.received(), 2U);
}

}  // namespace
}  // namespace exclave::agent
