// CampaignLife: what the campaigns of trees and of journals share: a realm of a drawn shape, its vaults that wake up again,
// what was told, and what was complained of.
//
//   CampaignLife(seed)   draws the shape, and nothing else
//   Campaign             : CampaignLife, has the realm (its doors need what the campaign remembers)
//
// I1  Draws and their order are what a seed means: kept seeds (kKept) live the same lives as long as they stay.
// Threads: one test.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/detail/seeded.h"
#include "tests/sim/probes.h"
#include "tests/sim/sim_realm.h"

namespace exclave::realm_tests {

// What one seed draws at its start.
struct RealmShape {
  std::size_t vaults = 3;
  policy::Quorum quorum;
  std::set<std::size_t> liars;
  std::optional<std::size_t> slow;  // a vault that is ever far away, beside quick ones
};

class CampaignLife {
 public:
  CampaignLife(const CampaignLife&) = delete;
  CampaignLife& operator=(const CampaignLife&) = delete;
  virtual ~CampaignLife() = default;

  // Empty: all invariants held.
  const std::vector<std::string>& complaints() const { return complaints_; }
  // What was drawn and what came of it, one line each.
  const std::string& story() const { return story_; }
  std::uint64_t trace_hash() { return realm().universe().trace_hash(); }
  std::string recent_calls() { return realm().universe().recent_calls(30); }

 protected:
  // `sizes`: of a realm, as often as each shall be drawn.
  CampaignLife(std::uint64_t seed, std::string_view purpose, Probes& probes, std::span<const std::size_t> sizes);
  virtual SimRealm& realm() = 0;
  // Once the realm is there.
  void take_shape(const std::string& more = {});

  // --- vaults ---
  std::size_t any_vault() { return rng_.below(shape_.vaults); }
  sim::Machine& machine(std::size_t vault) { return realm().vault(vault).machine(); }
  std::string call(std::size_t vault) { return realm().vault(vault).name(); }
  bool is_serving(std::size_t vault) { return realm().vault(vault).is_serving(); }
  // False if it died again while it woke up.
  bool wake_vault(std::size_t vault);
  // Each of those that do not serve, by that chance; with 100 until they do.
  void wake_vaults(std::uint64_t percent_each);

  // --- weather ---
  // The network, and the vaults' disks and memory.
  void calm_down();
  struct ClockJump {
    std::chrono::nanoseconds by;
    bool is_by_years = false;
  };
  ClockJump draw_clock_jump(std::uint64_t percent_years, std::uint64_t most_years);
  void jump_clock(sim::Machine& whose, const ClockJump& jump);

  void note(const std::string& line) { story_ += line + "\n"; }
  void complain(const std::string& what);

  sim::detail::Rng rng_;
  Probes& probes_;
  const RealmShape shape_;
  std::vector<std::string> complaints_;

 private:
  std::string story_;
};

}  // namespace exclave::realm_tests
