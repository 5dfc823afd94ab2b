// A registry with many captures: what it costs to find them.
#include <gmock/gmock.h>

#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::IsEmpty;

class ManyStreams : public PosixRealm {
 protected:
  static constexpr std::uint64_t kCaptures = 70;  // so many that a vault is asked for several streams at once

  void capture_often() {
    for (std::uint64_t i = 0; i < kCaptures; ++i) {
      write("a", "version " + std::to_string(i));
      let_time_pass();
      names_.push_back(capture().snapshot);
    }
  }
  engine::RegistryHoldings find() {
    return must(engine::find_holdings(env().clock, env().threads, keys().pinned(), pointers(site_taps_)));
  }

  std::vector<format::ObjectName> names_;
};

TEST_F(ManyStreams, each_costs_one_call_of_each_vault_and_all_are_found_in_their_order) {
  capture_often();
  const auto holdings = find();
  EXPECT_THAT(holdings.problems, IsEmpty());
  EXPECT_EQ(holdings.streams.size(), kCaptures);
  ASSERT_EQ(holdings.snapshots.size(), kCaptures);
  for (std::uint64_t i = 0; i < kCaptures; ++i) {
    EXPECT_EQ(holdings.snapshots[i].object.name, names_[i]) << i;
    EXPECT_EQ(holdings.snapshots[i].complete_at.size(), 3U) << i;
  }
  for (const auto& tap : site_taps_) EXPECT_EQ(tap->entries_calls, kCaptures) << tap->name();
}

TEST_F(ManyStreams, a_vault_that_goes_away_amid_the_answers_costs_its_own_alone) {
  capture_often();
  std::atomic<std::uint64_t> told{0};
  site_taps_[1]->retells = [&](store::HeldEntry&) {
    if (++told == kCaptures) site_taps_[1]->is_down = true;
  };
  const auto holdings = find();
  EXPECT_EQ(holdings.unreachable.size(), 1U);
  ASSERT_EQ(holdings.snapshots.size(), kCaptures);
  EXPECT_EQ(holdings.snapshots.back().object.name, names_.back());
  EXPECT_EQ(holdings.snapshots.back().complete_at.size(), 2U);
}

}  // namespace
}  // namespace exclave::realm_tests
