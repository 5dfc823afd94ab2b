// The campaign: many seeds, each the life of a whole realm (campaign.h). Short here, long with `./dev sim N`.
//
//   EXCLAVE_SIM_SEEDS=20000   so many seeds instead of 500, over both shards
//   EXCLAVE_SIM_FIRST=20000   beginning with this one: a long campaign goes on where it was
//   EXCLAVE_SIM_SEED=17       only this one, with its story
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>

#include "crypto/nonce_ledger.h"
#include "tests/sim/campaign.h"

namespace exclave::realm_tests {
namespace {

constexpr std::uint64_t kSeeds = 500;
constexpr std::uint64_t kShards = 2;
constexpr std::uint64_t kTellEvery = 1000;
// With fewer seeds in a shard some rare branch may really not be met.
constexpr std::uint64_t kEnoughForProbes = 250;

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

std::optional<std::uint64_t> number_from(const char* variable) {
  const char* const text = ::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// For a seed that ends in an abort (a CHECK, a stuck run): which one it was.
std::atomic<std::uint64_t> running_seed = 0;
void tell_seed(int) {
  static constexpr std::size_t kDigits = 20;
  std::array<char, kDigits + 1> digits{};
  std::size_t at = kDigits;
  digits[at] = '\n';
  for (std::uint64_t left = running_seed; at > 0 && (left > 0 || at == kDigits); left /= 10) {
    digits[--at] = static_cast<char>('0' + left % 10);
  }
  constexpr std::string_view kText = "aborted in EXCLAVE_SIM_SEED=";
  static_cast<void>(!::write(STDERR_FILENO, kText.data(), kText.size()));
  static_cast<void>(!::write(STDERR_FILENO, digits.data() + at, digits.size() - at));
}

struct Ran {
  std::vector<std::string> complaints;
  std::string story;
  std::uint64_t trace = 0;
};

Ran run_seed(std::uint64_t seed, Probes& probes) {
  Ran ran;
  running_seed = seed;
  std::signal(SIGABRT, tell_seed);
  Campaign campaign(seed, probes);
  bool is_abandoned = false;
  try {
    campaign.run();
  } catch (const conformance::BodyAbandoned&) {
    is_abandoned = true;
  }
  ran.complaints = campaign.complaints();
  if (is_abandoned) ran.complaints.emplace_back("what the campaign itself needs failed, as told above");
  ran.story = campaign.story();
  ran.trace = campaign.trace_hash();
  if (!ran.complaints.empty()) ran.story += campaign.recent_calls();
  return ran;
}

// False if it failed, and told so.
bool expect_sound(std::uint64_t seed, Probes& probes) {
  const Ran ran = run_seed(seed, probes);
  for (const std::string& complaint : ran.complaints) {
    ADD_FAILURE() << "seed " << seed << ": " << complaint << "\nagain: EXCLAVE_SIM_SEED=" << seed
                  << " build/dev/tests/sim_realm_test --gtest_filter='*one_seed*'\n"
                  << ran.story;
  }
  return ran.complaints.empty();
}

class SimCampaign : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  // The realms' own keys come from fixed seeds and are made before: they may repeat, as nothing else may.
  static void SetUpTestSuite() {
    for (const std::size_t vaults : {3U, 4U, 7U}) static_cast<void>(sim_keys(vaults));
    crypto::enable_nonce_ledger();
  }
};

TEST_P(SimCampaign, whatever_breaks_acknowledged_records_come_back_exactly_or_it_is_said_that_they_do_not) {
  if (number_from("EXCLAVE_SIM_SEED").has_value()) GTEST_SKIP() << "one seed is asked for";
  constexpr int kMostFailures = 5;
  const std::uint64_t first = number_from("EXCLAVE_SIM_FIRST").value_or(0);
  const std::uint64_t end = first + number_from("EXCLAVE_SIM_SEEDS").value_or(kSeeds);
  const auto start = std::chrono::steady_clock::now();
  Probes probes = campaign_probes();
  std::uint64_t ran = 0;
  int failures = 0;
  for (std::uint64_t seed = first + GetParam(); seed < end && failures < kMostFailures; seed += kShards, ++ran) {
    if (ran % kTellEvery == kTellEvery - 1) std::cout << "at seed " << seed << std::endl;
    if (!expect_sound(seed, probes)) ++failures;
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  std::cout << ran << " seeds in " << took.count() << " s; reached:\n" << probes.to_string();
  if (ran < kEnoughForProbes || failures > 0) return;
  for (const std::string& name : probes.never_reached()) ADD_FAILURE() << "never reached: " << name;
}
INSTANTIATE_TEST_SUITE_P(Shard, SimCampaign, ::testing::Range(std::uint64_t{0}, kShards));

TEST(SimCampaignSeeds, one_seed_that_is_asked_for_tells_its_story) {
  const auto seed = number_from("EXCLAVE_SIM_SEED");
  if (!seed.has_value()) GTEST_SKIP() << "EXCLAVE_SIM_SEED is not set";
  Probes probes = campaign_probes();
  const Ran ran = run_seed(*seed, probes);
  std::cout << ran.story << "trace " << ran.trace << "\n";
  EXPECT_EQ(ran.complaints, std::vector<std::string>());
}

TEST(SimCampaignSeeds, those_that_found_something_find_it_no_more) {
  Probes probes = campaign_probes();
  for (const KeptSeed& kept : kKept) {
    SCOPED_TRACE(kept.found);
    expect_sound(kept.seed, probes);
  }
}

TEST(SimCampaignSeeds, the_same_seed_is_the_same_life) {
  Probes probes = campaign_probes();
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Ran once = run_seed(seed, probes);
    const Ran again = run_seed(seed, probes);
    EXPECT_EQ(once.trace, again.trace) << "seed " << seed;
    EXPECT_EQ(once.story, again.story) << "seed " << seed;
  }
}

}  // namespace
}  // namespace exclave::realm_tests
