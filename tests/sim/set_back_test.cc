// C7: a machine of the agent that is set back to an image of itself. Nothing is repeated (realm_crash_test.cc), and what
// it captures from then on is the latest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/journal_doors.h"
#include "tests/sim/journal_realm.h"

namespace exclave::realm_tests {
namespace {

void set_back(SimRealm& realm, const sim::DiskSnapshot& image) {
  realm.home().crash();
  realm.home().wait();
  realm.home().disk().restore(image);
  realm.home().rewind_random();
  realm.home().restart();
}

format::ObjectName latest(SimRealm& realm) {
  format::ObjectName name;
  realm.on_site([&](Site& site) {
    const auto holdings = site.holdings();
    ASSERT_TRUE(is_ok(holdings));
    const auto chosen = engine::choose_snapshot(holdings.value(), "latest");
    ASSERT_TRUE(is_ok(chosen));
    name = chosen.value().object.name;
  });
  return name;
}

TEST(SetBack, C7_an_agent_whose_clock_was_ahead_before_it_was_set_back_still_captures_the_latest) {
  SimRealm realm(1);
  must(realm.capture());
  const sim::DiskSnapshot image = realm.home().disk().snapshot();
  realm.home().set_clock_offset(std::chrono::hours(24 * 365));
  must(realm.capture());
  set_back(realm, image);
  realm.home().set_clock_offset({});
  realm.write("/data/f1", noise(900, 1));
  const auto captured = must(realm.capture());
  EXPECT_EQ(captured.snapshot, latest(realm));
}

TEST(SetBack, C7_the_vault_that_missed_the_newest_stream_does_not_decide_what_comes_after_it) {
  SimRealm realm(2);
  must(realm.capture());
  const sim::DiskSnapshot image = realm.home().disk().snapshot();
  realm.home().set_clock_offset(std::chrono::hours(1));
  realm.universe().network().partition("home", realm.vault(0).name());
  must(realm.capture(engine::Behind::GracePeriod));
  realm.universe().network().heal_all();
  realm.universe().network().partition("home", realm.vault(1).name());
  set_back(realm, image);
  realm.home().set_clock_offset({});
  const auto captured = must(realm.capture(engine::Behind::GracePeriod));
  realm.universe().network().heal_all();
  EXPECT_EQ(captured.snapshot, latest(realm));
}

TEST(SetBack, C7_an_agent_set_back_into_an_earlier_era_is_told_so_instead_of_depositing_what_is_never_the_latest) {
  SimRealm realm(3);
  must(realm.capture());
  const auto newer = must(realm.capture(engine::Behind::WaitForAll, format::EraNumber(2)));
  const auto refused = realm.capture();
  EXPECT_TRUE(failed_with(refused, Code::Precondition));
  EXPECT_NE(refused.error().message().find("has gone on in era 2"), std::string::npos);
  EXPECT_EQ(newer.snapshot, latest(realm));
}

// A place in the order is remembered at home, the rest of a journal's name is chance. Found by the campaign of journals.
TEST(SetBack,
     C7_a_journal_that_is_begun_again_with_the_same_name_is_an_alarm_and_harms_neither_the_first_nor_the_next) {
  SimRealm realm(4);
  JournalHome home(realm);
  home.begins_again = true;
  realm.home().set_clock_offset(std::chrono::hours(24 * 365));
  must(home.open());
  home.drop();
  const sim::DiskSnapshot image = realm.home().disk().snapshot();
  const std::uint64_t place = home.last_place;
  realm.home().set_clock_offset({});
  const auto append = [&](int frames) {
    for (int i = 0; i < frames; ++i) must(home.append(100));
  };
  must(home.open());
  append(5);
  ASSERT_TRUE(home.await(std::chrono::seconds(10)));
  const WrittenJournal first = home.journal();
  realm.home().crash();
  home.drop();
  realm.home().wait();
  realm.home().disk().restore(image);
  realm.home().rewind_random();
  realm.home().restart();
  home.last_place = place;
  must(home.open());
  ASSERT_EQ(home.journal().id(), first.id());
  append(2);
  EXPECT_FALSE(home.await(std::chrono::minutes(1)));
  for (const auto& vault : home.writer().progress().vaults) {
    ASSERT_TRUE(vault.failure.has_value());
    EXPECT_EQ(vault.failure->code(), Code::Corrupt) << vault.failure->message();
  }
  home.drop();
  must(home.open());
  append(2);
  EXPECT_TRUE(home.await(std::chrono::seconds(10))) << "the next start has another place";
  const policy::Quorum quorum = realm.keys().policy().quorum;
  const JournalReading reading = read_journal_abroad(realm, first, {0, 1, 2}, quorum);
  ASSERT_FALSE(reading.refusal.has_value()) << reading.refusal->message();
  EXPECT_FALSE(reading.wrong.has_value()) << *reading.wrong;
  EXPECT_EQ(reading.frames, first.appended);
  EXPECT_TRUE(reading.is_proven(3, quorum.k, quorum.b));
}

// --- journals whose segments are closed already ---

struct ClosedLater {
  std::string_view what;
  bool is_second = false;       // the image's open segment is the journal's second
  int frames = 0;               // that the image does not have
  bool has_next = false;        // and one more segment
  bool is_alone = false;        // one vault alone took all this
  std::uint64_t wanted = 0;     // frames of the image that are counted on
  std::size_t disagreeing = 0;  // vaults; none: it leaves the spool
};

class SetBackJournal : public ::testing::TestWithParam<ClosedLater> {};

// A liar could have kept the second entry, and readers would have stopped between the two.
TEST_P(SetBackJournal, C7_a_home_that_was_set_back_signs_no_second_entry_for_a_segment_that_is_closed) {
  const ClosedLater& later = GetParam();
  SeenEntries seen;
  SimRealm realm(5, {3, [&seen](std::size_t) -> MakeDoor {
                       return [&seen](wire::Handler& inner) { return std::make_unique<WatchedJournals>(inner, seen); };
                     }});
  JournalHome home(realm);
  const auto append = [&](int frames) {
    for (int i = 0; i < frames; ++i) must(home.append(1000));
    EXPECT_EQ(home.await(std::chrono::seconds(10)), !later.is_alone || frames == 3);
  };
  must(home.open());
  append(3);
  if (later.is_second) must(home.writer().roll());
  if (later.is_second) append(3);
  realm.universe().run_for(std::chrono::seconds(1));
  must(home.writer().sync_spool());
  const sim::DiskSnapshot image = realm.home().disk().snapshot();
  for (const std::size_t away : {1U, 2U}) {
    if (later.is_alone) realm.universe().network().partition("home", realm.vault(away).name());
  }
  append(later.frames);
  if (later.has_next) must(home.writer().roll());
  if (later.has_next) append(2);
  EXPECT_TRUE(is_ok(home.finish(std::chrono::minutes(1))));
  home.drop();
  realm.universe().network().heal_all();
  set_back(realm, image);
  for (int turns = 0; turns < 2; ++turns) {
    const auto left = must(home.recover(std::chrono::minutes(1), later.wanted));
    if (later.disagreeing == 0) {
      ASSERT_EQ(left.size(), turns == 0 ? 1U : 0U) << "what is complete leaves the spool";
      EXPECT_TRUE(left.empty() || left[0].is_complete);
      EXPECT_TRUE(left.empty() || left[0].holders == 3U);
      continue;
    }
    ASSERT_EQ(left.size(), 1U);
    EXPECT_FALSE(left[0].is_complete);
    EXPECT_EQ(left[0].holders, 3 - later.disagreeing);
    EXPECT_THAT(left[0].losses, ::testing::IsEmpty());
    EXPECT_THAT(left[0].reasons, ::testing::SizeIs(later.disagreeing));
    EXPECT_THAT(left[0].reasons, ::testing::Each(::testing::HasSubstr("with something else")));
  }
  EXPECT_EQ(seen.forks_of(home.journal().id()), 0U);
  const policy::Quorum quorum = realm.keys().policy().quorum;
  const JournalReading reading = read_journal_abroad(realm, home.journal(), {0, 1, 2}, quorum);
  ASSERT_FALSE(reading.refusal.has_value()) << reading.refusal->message();
  EXPECT_FALSE(reading.wrong.has_value()) << *reading.wrong;
  EXPECT_EQ(reading.frames, home.journal().appended);
  EXPECT_TRUE(reading.is_proven(3, quorum.k, quorum.b));
}
INSTANTIATE_TEST_SUITE_P(
    Closed, SetBackJournal,
    ::testing::Values(
        ClosedLater{.what = "with_the_same_frames"},
        ClosedLater{.what = "with_the_same_frames_that_are_counted_on", .wanted = 3},
        ClosedLater{.what = "with_more_frames", .frames = 2},
        ClosedLater{
            .what = "with_more_than_the_frames_that_are_counted_on", .frames = 2, .wanted = 3, .disagreeing = 3},
        ClosedLater{
            .what = "with_more_frames_in_the_second", .is_second = true, .frames = 2, .wanted = 6, .disagreeing = 3},
        ClosedLater{.what = "and_one_more_behind_it", .has_next = true},
        ClosedLater{.what = "and_one_more_behind_it_where_frames_are_counted_on", .has_next = true, .wanted = 3},
        ClosedLater{.what = "at_one_vault_alone", .frames = 2, .is_alone = true, .disagreeing = 1}),
    [](const auto& each) { return std::string(each.param.what); });

}  // namespace
}  // namespace exclave::realm_tests
