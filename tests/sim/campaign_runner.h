// CampaignRunner: many seeds of one kind of campaign, over shards; short in a test, long with `./dev sim N`.
// Hides: the environment's words, how a failure is told, when probes count.
//
// Which seeds: tests/conformance/seeds.h; over all shards together. Only one, EXCLAVE_SIM_SEED: with its story.
//
// A kind of campaign has: Life(seed, Probes&), run(), complaints(), story(), trace_hash(), recent_calls(), and
// kOneSeed, the test that tells one seed's story.
// Threads: one test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/seeds.h"
#include "tests/conformance/world_under_test.h"
#include "tests/sim/probes.h"

namespace exclave::realm_tests {

// For a seed that ends in an abort (a CHECK, a stuck run): which one it was.
inline std::atomic<std::uint64_t> running_seed = 0;
inline void tell_seed(int) {
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

struct RanSeed {
  std::vector<std::string> complaints;
  std::string story;
  std::uint64_t trace = 0;
};

template <typename Life>
RanSeed run_seed(std::uint64_t seed, Probes& probes) {
  RanSeed ran;
  running_seed = seed;
  std::signal(SIGABRT, tell_seed);
  Life campaign(seed, probes);
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
template <typename Life>
bool expect_sound(std::uint64_t seed, Probes& probes) {
  const RanSeed ran = run_seed<Life>(seed, probes);
  for (const std::string& complaint : ran.complaints) {
    ADD_FAILURE() << "seed " << seed << ": " << complaint << "\nagain: EXCLAVE_SIM_SEED=" << seed
                  << " build/dev/tests/sim_realm_test --gtest_filter='" << Life::kOneSeed << "'\n"
                  << ran.story;
  }
  return ran.complaints.empty();
}

struct Shard {
  std::uint64_t number = 0;
  std::uint64_t shards = 2;
  std::uint64_t seeds = 0;              // of the short form, over all shards
  std::uint64_t enough_for_probes = 0;  // with fewer in a shard some rare branch may really not be met
};

template <typename Life>
void run_shard(const Shard& shard, Probes probes) {
  if (conformance::only_seed().has_value()) GTEST_SKIP() << "one seed is asked for";
  constexpr int kMostFailures = 5;
  constexpr std::uint64_t kTellEvery = 1000;
  const auto seeds = conformance::Seeds::chosen(shard.seeds);
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t ran = 0;
  int failures = 0;
  for (std::uint64_t seed = seeds.first + shard.number; seed < seeds.end && failures < kMostFailures;
       seed += shard.shards, ++ran) {
    if (ran % kTellEvery == kTellEvery - 1) std::cout << "at seed " << seed << std::endl;
    if (!expect_sound<Life>(seed, probes)) ++failures;
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
  std::cout << ran << " seeds in " << took.count() << " s; reached:\n" << probes.to_string();
  if (ran < shard.enough_for_probes || failures > 0) return;
  for (const std::string& name : probes.never_reached()) ADD_FAILURE() << "never reached: " << name;
}

template <typename Life>
void tell_one_seed(Probes probes) {
  const auto seed = conformance::only_seed();
  if (!seed.has_value()) GTEST_SKIP() << "EXCLAVE_SIM_SEED is not set";
  const RanSeed ran = run_seed<Life>(*seed, probes);
  std::cout << ran.story << "trace " << ran.trace << "\n";
  EXPECT_EQ(ran.complaints, std::vector<std::string>());
}

template <typename Life>
void expect_same_lives(Probes probes, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const RanSeed once = run_seed<Life>(seed, probes);
    const RanSeed again = run_seed<Life>(seed, probes);
    EXPECT_EQ(once.trace, again.trace) << "seed " << seed;
    EXPECT_EQ(once.story, again.story) << "seed " << seed;
  }
}

}  // namespace exclave::realm_tests
