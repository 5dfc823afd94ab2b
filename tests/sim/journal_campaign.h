// JournalCampaign: one seed's life of a registry's journals, and a judge who remembers what was acknowledged.
//
//   seed -> size (3, 4 or 7 vaults), liars -> some dozens of steps: frames one by one and in bursts, closing, rest, deaths of
//           the writer and of vaults, machines set back, cut and slow lines, wrong clocks, failing disks, rot, repair, readings
//           -> calm -> the power fails everywhere, home is gone -> the last judgement
//
// The fault budget, and what must hold within it:
//
//   What                         at most                             while it is kept
//   lying vaults                 max(b, 1), all of the run           every acknowledged frame is read back byte for byte once
//   rot, vaults set back to an   as many as leave the other honest   the honest vaults answer
//   image                        ones everything acknowledged
//   vaults down or cut off       any number, for any time            a reader that calls an end proven has all that was
//                                                                    acknowledged when it began
//   writer: deaths, set back,    any number; also with its random    what was acknowledged stays; the next journal's frames are
//   full or failing spool        bytes again                         acknowledged within kLiveness, in calm
//   clocks of home and vaults    any; years                          the same
//
//   proven := n - k + f + 1 vaults answered, and none shows a mark beyond what is there (engine/database_log.h, I1). f is b, or
//   more if so many lie, or have lost something and were not seen whole since: with n = 3 a policy bears none (b = 0).
//
// Not asked for:
//   - where home lost the end of its spool, or was set back, one that lies can show later what it hid while the rest was
//     closed, or an entry that nobody else has. Then the reader stops with a Conflict, and a person chooses
//     (engine/journal_reader.h, I2).
//   - a home that is set back, with its random bytes, while its clock stands before its last journal's place draws the same
//     journal again (set_back_test.cc): the campaign takes the next place.
//
// Always, whatever the budget: no frame comes back that was not written so, at its place, once; no read finds two; no spool
// that only lost power calls itself damaged; no nonce repeats (the process-wide ledger aborts).
//
// Threads: one test.
#pragma once

#include "tests/sim/campaign_life.h"
#include "tests/sim/journal_doors.h"
#include "tests/sim/journal_realm.h"

namespace exclave::realm_tests {

// Everything that a campaign of many seeds must have met.
Probes journal_probes();

class JournalCampaign final : public CampaignLife {
 public:
  static constexpr const char* kOneSeed = "JournalCampaignSeeds.one_seed*";
  static constexpr std::chrono::minutes kLiveness{10};

  JournalCampaign(std::uint64_t seed, Probes& probes);

  // Until the last judgement, or the first complaint.
  void run();

 private:
  // What else is drawn at its start.
  struct Manner {
    bool sends_directly = false;
    std::uint8_t largest_class = 18;
    std::uint64_t spool_limit_bytes = 0;
  };
  struct HomeImage {
    sim::DiskSnapshot disk;
    std::uint64_t last_place = 0;
  };

  SimRealm& realm() override { return realm_; }
  static Manner draw_manner(sim::detail::Rng& rng);
  MakeDoor make_door(std::size_t number);

  // --- steps (journal_steps.cc) ---
  void step();
  void play_theme();
  void one_vault_alone_gets_the_end();
  void a_clock_is_set_right_and_home_set_back();
  void the_end_is_hidden_while_the_rest_is_closed();
  void append(std::uint64_t frames);
  void burst(bool in_storm);
  void strike();
  void strike_disk(sim::Machine& machine, const std::string& part);
  void change_weather();
  void close_segment();
  void rest();
  void end_writer();
  void break_vault(std::size_t vault);
  void image_of_vault(std::size_t vault);
  void set_vault_back(std::size_t vault);
  void spoil(std::size_t vault);
  void repair(std::size_t vault);
  void image_of_home();
  void set_home_back();
  void disturb_clock();
  void change_lies();
  void recover(bool in_storm);
  // Home's writer is there, or its machine died again.
  bool wake_home();
  void calm();

  // --- judgement (journal_judge.cc) ---
  // Whether all honest vaults but this one, together, give everything that is acknowledged.
  bool others_hold_everything(std::size_t vault);
  void read_something(bool while_it_grows);
  void judge(const JournalReading& reading, const WrittenJournal& journal, std::uint64_t owed, bool is_calm);
  void judge_left(const spread::SpooledStream& left);
  void see_who_is_whole();
  void last_judgement();
  void judge_liveness();
  void judge_journals();
  void note_progress();

  bool is_honest(std::size_t vault) const { return !shape_.liars.contains(vault); }
  std::set<std::size_t> all_vaults() const;
  std::size_t faults() const;

  const Manner manner_;
  SeenEntries seen_;
  std::vector<JournalLiarsMind> minds_;  // by vault
  SimRealm realm_;
  JournalHome home_;

  std::set<std::size_t> faulty_;      // honest vaults that rotted or were set back, and were not seen whole since
  bool vaults_were_damaged_ = false;  // any, ever
  bool home_lost_power_ = false;      // ever; as the next
  bool home_was_set_back_ = false;
  bool disks_were_struck_ = false;
  bool is_stormy_ = true;  // until the last judgement
  std::optional<HomeImage> home_image_;
  std::vector<std::optional<sim::DiskSnapshot>> vault_images_;
};

}  // namespace exclave::realm_tests
