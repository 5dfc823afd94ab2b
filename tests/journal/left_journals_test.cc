// What a writer that died left in its spool, and the power failures that follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/journal_realm.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;

// Found by the campaign of journals: the entry was durable, and the frames were in memory alone. With the power they were gone,
// and the spool called itself damaged for ever, although every vault had all of it.
TEST(LeftJournals, H7_what_recovery_closes_is_on_homes_disk_before_its_entry_is) {
  realm_tests::SimRealm realm(5);
  realm_tests::JournalHome home(realm);
  conformance::must(home.open());
  for (int i = 0; i < 5; ++i) conformance::must(home.append(1000));
  ASSERT_TRUE(home.await(10s));
  home.drop();  // the process goes, the machine stays
  auto left = conformance::must(home.recover(1min));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(left[0].is_complete);

  // The names that were removed were not gone for good yet.
  realm.home().set_survival(sim::Survival::Nothing);
  realm.home().crash();
  home.drop();
  realm.home().restart();
  left = conformance::must(home.recover(1min));
  for (const spread::SpooledStream& each : left) {
    EXPECT_TRUE(each.is_complete);
    EXPECT_THAT(each.reasons, ::testing::IsEmpty());
  }
  EXPECT_THAT(conformance::must(home.recover(1min)), ::testing::IsEmpty());
}

// Found by the campaign of journals: the reader followed the longest chain, and where it could not have a closed segment it did not
// look at what others had open of it.
TEST(LeftJournals, L6_rot_in_the_only_copy_of_a_closed_segment_hides_no_frames_that_others_hold_open) {
  realm_tests::SimRealm realm(6);
  realm_tests::JournalHome home(realm);
  conformance::must(home.open());
  const auto append = [&](int frames) {
    for (int i = 0; i < frames; ++i) conformance::must(home.append(1000));
  };
  append(3);
  ASSERT_TRUE(home.await(10s));
  realm.universe().run_for(2s);
  for (const std::size_t away : {0U, 1U}) realm.universe().network().partition("home", realm.vault(away).name());
  append(2);
  conformance::must(home.writer().roll());
  realm.universe().run_for(15s);
  realm.home().crash();
  home.drop();
  realm.universe().network().heal_all();
  const auto site = realm.vault(2).host().door(realm.keys().site());
  const auto held = conformance::must(site->entries(home.journal().id(), format::EntryIndex(0), 10));
  ASSERT_EQ(held.size(), 1U);
  conformance::must(
      realm.vault(2).machine().disk().flip_bit(realm.vault(2).host().path_of(held[0].entry.entry.object), 5000));
  const auto reading = realm_tests::read_journal_abroad(realm, home.journal(), {0, 1, 2}, realm.keys().policy().quorum);
  ASSERT_FALSE(reading.refusal.has_value()) << reading.refusal->message();
  EXPECT_TRUE(reading.end.lost.has_value());
  EXPECT_GE(reading.frames, 3U) << "they were acknowledged";
}

}  // namespace
}  // namespace exclave::journal_tests
