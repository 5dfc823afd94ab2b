// The campaign: many seeds, each the life of a whole realm (campaign.h). Short here, long with `./dev sim N`
// (campaign_runner.h).
#include <gtest/gtest.h>

#include <array>

#include "tests/conformance/nonce_ledger_environment.h"
#include "tests/sim/campaign.h"
#include "tests/sim/campaign_runner.h"

namespace exclave::realm_tests {
namespace {

constexpr Shard kRealmShard = {.number = 0, .shards = 2, .seeds = 500, .enough_for_probes = 250};

// Seeds that found something. They are always run.
struct KeptSeed {
  std::uint64_t seed;
  const char* found;
};
constexpr std::array<KeptSeed, 3> kKept = {{
    {16, "a name that could not be read took the file's other names with it, unsaid"},
    {254, "after an agent whose clock had been ahead was set back, latest was the old state"},
    {5414, "a scrub took the name from a file before the good copy was synced, and then the sync failed"},
}};

// Of all tests of this binary, each of which ctest runs in a process of its own. gtest owns it.
const auto* const kNonceLedger = ::testing::AddGlobalTestEnvironment(new conformance::NonceLedgerEnvironment([] {
  for (const std::size_t vaults : {3U, 4U, 7U}) static_cast<void>(sim_keys(vaults));
}));

class SimCampaign : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SimCampaign, whatever_breaks_acknowledged_records_come_back_exactly_or_it_is_said_that_they_do_not) {
  Shard shard = kRealmShard;
  shard.number = GetParam();
  run_shard<Campaign>(shard, campaign_probes());
}
INSTANTIATE_TEST_SUITE_P(Shard, SimCampaign, ::testing::Range(std::uint64_t{0}, kRealmShard.shards));

TEST(SimCampaignSeeds, one_seed_that_is_asked_for_tells_its_story) {
  tell_one_seed<Campaign>(campaign_probes());
}

TEST(SimCampaignSeeds, those_that_found_something_find_it_no_more) {
  Probes probes = campaign_probes();
  for (const KeptSeed& kept : kKept) {
    SCOPED_TRACE(kept.found);
    expect_sound<Campaign>(kept.seed, probes);
  }
}

TEST(SimCampaignSeeds, the_same_seed_is_the_same_life) {
  expect_same_lives<Campaign>(campaign_probes(), 1, 3);
}

}  // namespace
}  // namespace exclave::realm_tests
