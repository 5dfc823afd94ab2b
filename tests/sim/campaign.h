// Campaign: one seed's life of a whole realm, and a judge who remembers what was acknowledged.
//
//   seed -> size (3, 4 or 7 vaults), liars, then a dozen steps: captures in calm and in storms, streams, repairs, deaths,
//           damage, wrong clocks, set-back machines, lost agents, restores -> calm -> the last judgement
//
// The fault budget, and what must hold within it:
//
//   What                       at most                                 while it is kept
//   lying vaults               max(b, 1), all of the run               judged as below, by everybody else's vaults
//   spoiled copies, vaults     as many as leave each owed entry one    every acknowledged snapshot restores bit-exact
//   set back to an image       good copy at an honest vault            once the honest vaults answer; "latest" is not
//                                                                      older than the newest acknowledged one
//   vaults down or cut off     any number, for any time                a capture acknowledges or refuses; a restore is
//                                                                      exact or refuses, and names who did not answer
//   agent: deaths, set back,   any number; a lost disk as often as     what was acknowledged before stays; the next
//   full or failing disk, lost there is a next era                     capture in calm succeeds
//   or rotten state
//   clocks of agent and vaults any; years                              the same; retention may be reported as wrong
//
//   owed := vouched for by k vaults at some moment (liars count: that is what the agent sees). With k - 1 >= max(b, 1)
//   an acknowledged entry always begins with an honest copy. Steps ask Promises before they spoil one.
//
// One thing is not asked for: an agent that was set back does not know of a capture that it was interrupted in, and no
// vault that answers may know it either. If its clock was ahead then, that unacknowledged snapshot may be "latest" for
// ever after (stream_order.h, I1); it is a genuine one, and restores exactly.
//
// Always, whatever the budget: no restore ends well with other bytes; no writer or honest vault contradicts itself; what
// an honest vault vouched for is there after a power loss; no canary stands in a vault's files; no nonce repeats (the
// process-wide ledger aborts).
//
// Threads: one test.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/campaign_life.h"
#include "tests/sim/promises.h"
#include "tests/sim/sim_realm.h"
#include "tests/sim/tree_picture.h"
#include "tests/sim/vault_doors.h"

namespace exclave::realm_tests {

// Everything that a campaign of many seeds must have met.
Probes campaign_probes();

class Campaign final : public CampaignLife {
 public:
  static constexpr const char* kOneSeed = "SimCampaignSeeds.one_seed*";

  Campaign(std::uint64_t seed, Probes& probes);

  // Until the last judgement, or the first complaint.
  void run();

 private:
  // A capture that was tried.
  struct Attempt {
    std::uint64_t set_backs = 0;     // of the agent, so far
    TreePicture picture;             // of what its snapshot must restore to
    std::set<std::string> excepted;  // entries that it reported as not captured whole
    bool is_exact = true;            // false: reading the source failed here and there, and nobody knows where
    std::optional<format::ObjectName> acknowledged;
    std::string refusal;
  };
  struct Wish {
    std::string snapshot;  // its name in hex, or "latest"
    std::string target;
  };
  // How a restore ended.
  struct Outcome {
    std::optional<Error> refusal;
    std::optional<engine::FoundSnapshot> chosen;
    std::set<std::string> reported;  // entries that are not as they were, and it says so
    std::vector<std::string> unreachable;
    std::vector<std::string> problems;
    std::size_t incidents = 0;
  };
  struct AgentImage {
    sim::DiskSnapshot disk;
    format::EraNumber era;
    bool is_spoiled = false;
  };
  struct VaultImage {
    sim::DiskSnapshot disk;
    Promises::Standing standing;
  };
  // One that may go on beside other work. Owned by its actor and by who waits for it.
  struct Repair {
    std::optional<Result<vault::RepairReport>> result;
  };
  using Reports = std::optional<Result<engine::CaptureReport>>;

  SimRealm& realm() override { return realm_; }
  MakeDoor make_door(std::size_t number);

  // --- steps (campaign_steps.cc) ---
  void step();
  // Steps in an order that chance alone seldom finds.
  void play_theme();
  void edit();
  void edit_once();
  Bytes content(std::size_t size);
  void capture_tree(bool in_storm, std::optional<engine::Behind> behind = std::nullopt);
  void capture_stream(bool in_storm);
  void conclude(Attempt& attempt, Reports& result, bool was_clean);
  std::shared_ptr<Repair> start_repair(std::size_t vault, vault::Scrub scrub = vault::Scrub::No);
  void repair(std::size_t vault, vault::Scrub scrub, bool in_storm);
  void break_vault(std::size_t vault);
  void keep_vault_image(std::size_t vault);
  void set_vault_back(std::size_t vault);
  void spoil_copy(std::size_t vault);
  void keep_agent_image();
  void set_agent_back();
  void lose_agent();
  void spoil_agent_state();
  void disturb_clock();

  // --- weather (campaign_weather.cc): what goes on over several steps, and what strikes in the middle of one ---
  void change_weather();
  // Strikes now and then until `worker`'s actors have ended.
  void weather(sim::Machine& worker, bool in_storm);
  void strike(sim::Machine& worker);
  void strike_disk(sim::Machine& machine, const std::string& state);
  void calm();
  void wake_home();
  void wake_abroad();

  // --- judgement (campaign_judge.cc) ---
  void restore_something(bool in_storm);
  void restore_latest_from(const std::set<std::size_t>& heard);
  std::vector<Outcome> restore(const std::vector<Wish>& wishes, bool in_storm);
  void judge(const Outcome& outcome, const Wish& wish, bool in_calm);
  std::optional<std::size_t> newest_acknowledged() const;
  void last_judgement();
  void judge_liveness();
  void judge_promises();
  void audit(std::size_t vault);
  void audit_stream(std::size_t vault, const format::StreamId& stream, std::uint64_t head,
                    const std::vector<store::HeldEntry>& held);
  void judge_restores();
  void judge_repairs();
  void judge_holdings();
  void search_for_canaries();
  void observe_heads(std::size_t vault);

  Promises promises_;
  std::vector<LiarsMind> minds_;  // by vault
  SimRealm realm_;

  format::EraNumber era_{1};         // that the agent is in
  format::EraNumber newest_era_{1};  // that any agent ever was in
  std::uint64_t set_backs_ = 0;
  bool agent_is_spoiled_ = false;
  std::vector<Attempt> attempts_;
  std::optional<AgentImage> agent_image_;
  std::vector<std::optional<VaultImage>> vault_images_;
  bool clocks_were_wrong_ = false;
  bool source_is_failing_ = false;
  std::uint64_t edits_ = 0;
  std::uint64_t targets_ = 0;
};

}  // namespace exclave::realm_tests
