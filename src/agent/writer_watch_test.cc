#include "agent/writer_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "posix/world.h"
#include "spread/testing/fake_vault.h"

namespace exclave::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

class WriterWatchTest : public ::testing::Test {
 protected:
  // What a vault shows of journal `tag`, which was marked `seconds` after the watch began.
  store::OpenSegment marked(Byte tag, int seconds, const crypto::Ed25519SigningKey& by) const {
    store::OpenSegment segment;
    segment.stream = journal(tag);
    segment.end = 8192;
    format::Mark mark;
    mark.place = {segment.stream, segment.index};
    mark.end = 8192;
    mark.frames = 1;
    mark.at_seconds = began_.seconds() + seconds;
    segment.mark = format::SignedMark::sign(mark, by);
    return segment;
  }
  static format::StreamId journal(Byte tag) { return format::StreamId::from_view(Bytes(32, tag)); }
  void show(std::vector<store::OpenSegment> open) {
    lux_.shows_open = std::move(open);
    watch_.look();
  }

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  const crypto::Ed25519SigningKey writer_ = policy::testing::machine_key("writer");
  const crypto::Ed25519SigningKey other_ = policy::testing::machine_key("another");
  spread::testing::FakeVault lux_{"lux", env_.clock};
  spread::testing::FakeVault oslo_{"oslo", env_.clock};
  const env::Timestamp began_ = env_.clock.now();
  WriterWatch watch_{env_, writer_.public_key(), {}, {&lux_, &oslo_}};
};

TEST_F(WriterWatchTest, C7_a_journal_that_somebody_else_marked_with_our_key_is_an_alarm_for_good) {
  show({});
  EXPECT_EQ(watch_.alarm(), std::nullopt);
  show({marked(1, 100, writer_)});
  EXPECT_THAT(watch_.alarm(),
              Optional(AllOf(HasSubstr("somebody else writes with this agent's key"), HasSubstr("lux"))));
  show({});
  EXPECT_THAT(watch_.alarm(), Optional(HasSubstr("0101"))) << "the copy has ended, and has written";
}

TEST_F(WriterWatchTest, journals_of_ours_and_of_earlier_runs_and_a_vaults_inventions_are_none) {
  watch_.note_own(journal(1));
  show({});
  store::OpenSegment unmarked;
  unmarked.stream = journal(4);
  show({marked(1, 100, writer_), marked(2, -100, writer_), marked(3, 100, other_), unmarked});
  EXPECT_EQ(watch_.alarm(), std::nullopt);
  store::OpenSegment moved = marked(5, 100, writer_);
  moved.mark = marked(1, 100, writer_).mark;  // ours, shown for another journal
  show({moved});
  EXPECT_EQ(watch_.alarm(), std::nullopt);
}

TEST_F(WriterWatchTest, what_a_clock_that_was_ahead_has_left_is_none_until_it_goes_on) {
  show({marked(1, 100, writer_)});
  show({marked(1, 100, writer_)});
  show({marked(1, 99, writer_)});  // by a vault that was set back
  EXPECT_EQ(watch_.alarm(), std::nullopt);
  show({marked(1, 101, writer_)});
  EXPECT_NE(watch_.alarm(), std::nullopt);
}

TEST_F(WriterWatchTest, a_vault_that_shows_marks_without_end_costs_a_bounded_time) {
  show({});
  std::vector<store::OpenSegment> many(WriterWatch::kMostMarks, marked(3, 100, other_));
  many.push_back(marked(1, 100, writer_));
  show(many);
  EXPECT_EQ(watch_.alarm(), std::nullopt) << "it was not looked at";
  many.erase(many.begin());
  show(many);
  EXPECT_NE(watch_.alarm(), std::nullopt);
}

TEST_F(WriterWatchTest, each_vault_has_a_first_look_of_its_own) {
  show({});
  oslo_.shows_open = {marked(1, 100, writer_)};
  watch_.look();
  EXPECT_EQ(watch_.alarm(), std::nullopt) << "it may have been there since an earlier run";
  oslo_.shows_open = {marked(2, 100, writer_)};
  watch_.look();
  EXPECT_THAT(watch_.alarm(), Optional(HasSubstr("vault oslo")));
}

}  // namespace
}  // namespace exclave::agent
