// The campaign of journals: many seeds, each the life of a registry's journals (journal_campaign.h). Short here, long with
// `./dev sim N` (campaign_runner.h).
#include <gtest/gtest.h>

#include "tests/sim/campaign_runner.h"
#include "tests/sim/journal_campaign.h"

namespace exclave::realm_tests {
namespace {

constexpr Shard kJournalShard = {.number = 0, .shards = 2, .seeds = 160, .enough_for_probes = 80};

class SimJournals : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SimJournals, whatever_breaks_acknowledged_frames_come_back_exactly_and_a_proven_end_has_them_all) {
  Shard shard = kJournalShard;
  shard.number = GetParam();
  run_shard<JournalCampaign>(shard, journal_probes());
}
INSTANTIATE_TEST_SUITE_P(Shard, SimJournals, ::testing::Range(std::uint64_t{0}, kJournalShard.shards));

TEST(JournalCampaignSeeds, one_seed_that_is_asked_for_tells_its_story) {
  tell_one_seed<JournalCampaign>(journal_probes());
}

TEST(JournalCampaignSeeds, the_same_seed_is_the_same_life) {
  expect_same_lives<JournalCampaign>(journal_probes(), 1, 3);
}

}  // namespace
}  // namespace exclave::realm_tests
