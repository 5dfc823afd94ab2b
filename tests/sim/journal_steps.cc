// What a journal campaign draws: frames, deaths, weather, and how all is made good again.
#include <algorithm>

#include "tests/sim/journal_campaign.h"

namespace exclave::realm_tests {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kVaultState = "/srv/vault";

}  // namespace

void JournalCampaign::step() {
  const std::size_t vault = any_vault();
  const std::uint64_t chance = rng_.below(100);
  if (chance < 30) return burst(rng_.percent(40));
  if (chance < 36) return close_segment();
  if (chance < 42) return rest();
  if (chance < 46) return end_writer();
  if (chance < 52) return break_vault(vault);
  if (chance < 57) return wake_vaults(60);
  if (chance < 64) return change_weather();
  if (chance < 66) return realm_.universe().network().heal_all();
  if (chance < 69) return image_of_vault(vault);
  if (chance < 73) return set_vault_back(vault);
  if (chance < 78) return spoil(vault);
  if (chance < 81) return repair(vault);
  if (chance < 83) return image_of_home();
  if (chance < 86) return set_home_back();
  if (chance < 88) return disturb_clock();
  if (chance < 93) return change_lies();
  if (chance < 95) return calm();
  return read_something(rng_.percent(40));
}

// --- frames ---

void JournalCampaign::append(std::uint64_t frames) {
  const std::size_t most = rng_.percent(10) ? 60'000 : 4000;
  for (std::uint64_t i = 0; i < frames; ++i) {
    const Status appended = home_.append(1 + rng_.below(most));
    if (!appended.ok()) {
      note("  no frame: " + appended.error().message());
      // As a supervisor does: it takes no more, the next start is another journal.
      if (realm_.home().is_up()) {
        probes_.hit("a spool could not be written");
        home_.drop();
      }
      return;
    }
    if (rng_.percent(30)) realm_.universe().run_for(milliseconds(rng_.below(20)));
  }
}

void JournalCampaign::burst(bool in_storm) {
  if (!wake_home()) return;
  const std::uint64_t frames = 1 + rng_.below(rng_.percent(20) ? 60 : 8);
  note(std::to_string(frames) + " frames" + (in_storm ? " in a storm" : ""));
  if (in_storm) strike();
  append(frames);
  if (!home_.is_open()) return;
  const bool waits = rng_.percent(80);
  const bool are_there = waits && home_.await(in_storm ? seconds(12) : seconds(4));
  if (!realm_.home().is_up()) {
    probes_.hit("the writer died in the midst of appends");
    home_lost_power_ = true;
    return home_.drop();
  }
  if (waits) note("  acknowledged: " + std::to_string(home_.journal().acknowledged));
  note_progress();
  if (!are_there && waits) probes_.hit("frames were not acknowledged: too few vaults");
}

void JournalCampaign::close_segment() {
  if (!wake_home()) return;
  if (rng_.percent(15) && home_.period + 1 < RealmKeys::kPeriods) {
    ++home_.period;
    probes_.hit("a period ended");
  }
  note("a new segment, of period " + std::to_string(home_.period));
  if (!home_.writer().roll().ok()) return home_.drop();
  append(1);
}

void JournalCampaign::rest() {
  const auto time = rng_.percent(10) ? std::chrono::nanoseconds(seconds(20 + rng_.below(40)))
                                     : std::chrono::nanoseconds(milliseconds(300 + rng_.below(6000)));
  realm_.universe().run_for(time);
}

void JournalCampaign::end_writer() {
  if (!home_.is_open()) return;
  switch (rng_.below(3)) {
    case 0:
      note("the writer ends");
      if (home_.finish(seconds(10)).ok()) probes_.hit("the writer ended well");
      return home_.drop();
    case 1:
      note("the writer is killed");
      probes_.hit("the writer was killed");
      realm_.home().kill();
      return home_.drop();
    default:
      note("the writer's machine loses its power");
      probes_.hit("the writer's machine lost its power");
      home_lost_power_ = true;
      if (rng_.percent(40)) realm_.home().set_survival(sim::Survival::Nothing);
      realm_.home().crash();
      return home_.drop();
  }
}

void JournalCampaign::recover(bool in_storm) {
  if (in_storm) strike();
  const auto left = home_.recover(seconds(20));
  if (!left.ok()) {
    note("  recovery: " + left.error().message());
    probes_.hit("a recovery was cut short");
    if (left.error().code() == Code::Corrupt) complain("a spool cannot be read: " + left.error().message());
    return;
  }
  for (const spread::SpooledStream& each : left.value()) judge_left(each);
}

bool JournalCampaign::wake_home() {
  sim::Machine& home = realm_.home();
  for (int tries = 0; tries < 3; ++tries) {
    if (!home.is_up()) {
      home_.drop();
      // Half of the time the vaults have not noticed yet that its connections are dead.
      if (rng_.percent(50)) realm_.universe().run_for(minutes(10));
      home.restart();
      home.set_survival(sim::Survival::Seeded);
    }
    if (home_.is_open()) return true;
    soothe(home);
    if (rng_.percent(60)) recover(is_stormy_ && rng_.percent(30));
    if (home_.open().ok()) {
      note("journal " + std::to_string(home_.journal().tag) + " begins: " + home_.journal().id().hex().substr(0, 8));
      if (rng_.percent(30)) recover(is_stormy_ && rng_.percent(30));
    }
    if (home.is_up() && home_.is_open()) return true;
    home_lost_power_ = true;
  }
  return false;
}

// --- vaults ---

void JournalCampaign::break_vault(std::size_t vault) {
  if (!machine(vault).is_up()) return;
  note(call(vault) + " dies");
  if (rng_.percent(30)) machine(vault).set_survival(sim::Survival::Nothing);
  if (rng_.percent(40)) return machine(vault).kill();
  machine(vault).crash();
}

void JournalCampaign::image_of_vault(std::size_t vault) {
  if (!is_honest(vault) || !is_serving(vault)) return;
  note("image of " + call(vault));
  vault_images_[vault].emplace(machine(vault).disk().snapshot());
}

void JournalCampaign::set_vault_back(std::size_t vault) {
  if (!is_honest(vault)) return;
  if (!vault_images_[vault].has_value()) return image_of_vault(vault);
  if (!others_hold_everything(vault)) return;
  note(call(vault) + " is set back to its image");
  probes_.hit("a vault was set back to an image");
  if (machine(vault).is_up()) machine(vault).crash();
  realm_.vault(vault).put_down();
  machine(vault).disk().restore(*vault_images_[vault]);
  machine(vault).rewind_random();
  faulty_.insert(vault);
  vaults_were_damaged_ = true;
  if (wake_vault(vault) && home_.is_open()) burst(false);
}

// One bit, in what a vault has of journals.
void JournalCampaign::spoil(std::size_t vault) {
  if (!is_honest(vault) || !others_hold_everything(vault)) return;
  std::vector<std::string> paths;
  const bool is_closed = rng_.percent(50);
  const std::string folder = std::string(kVaultState) + (is_closed ? "/objects/" : "/journal/");
  const std::string listing = machine(vault).disk().listing();
  for (std::size_t at = 0; at < listing.size(); at = listing.find('\n', at) + 1) {
    const std::string line = listing.substr(at, listing.find('\n', at) - at);
    const bool is_meant = line.starts_with(folder) && line.find(" file ") != std::string::npos;
    if (is_meant && line.find("/aside") == std::string::npos) paths.push_back(line.substr(0, line.find(' ')));
  }
  if (paths.empty()) return;
  const std::string& path = paths[rng_.below(paths.size())];
  const auto content = machine(vault).disk().content(path);
  if (!content.ok() || content.value().size() < format::kSegmentFrontBytes) return;
  const std::uint64_t below = std::min<std::uint64_t>(content.value().size(), rng_.percent(70) ? 40'000 : 1 << 20);
  must(machine(vault).disk().flip_bit(path, rng_.below(below), static_cast<unsigned>(rng_.below(8))));
  note("a bit of " + call(vault) + path + " rots");
  probes_.hit(is_closed ? "a closed segment rotted" : "an open segment rotted");
  faulty_.insert(vault);
  vaults_were_damaged_ = true;
}

void JournalCampaign::repair(std::size_t vault) {
  if (!is_honest(vault) || !is_serving(vault)) return;
  const bool scrubs = rng_.percent(50);
  note("repair of " + call(vault) + (scrubs ? " with a scrub" : ""));
  std::optional<Result<vault::RepairReport>> result;
  machine(vault).start("repair", [&] {
    const auto doors = realm_.doors_of_vault(vault);
    vault::RepairOptions options;
    if (scrubs) options.scrub = vault::Scrub::FromTheStart;
    result.emplace(realm_.vault(vault).repair(SimRealm::pointers_to(doors), options));
  });
  while (!result.has_value()) realm_.universe().run_for(seconds(1));
  realm_.universe().run_for(milliseconds(50));
  if (!result->ok()) return note("  cut short: " + result->error().message());
  if (result->value().entries > 0) probes_.hit("repair brought closed segments");
  if (result->value().replaced > 0) probes_.hit("a damaged segment was replaced by repair");
}

// --- home set back ---

void JournalCampaign::image_of_home() {
  if (!wake_home()) return;
  note("image of home");
  home_image_.emplace(HomeImage{realm_.home().disk().snapshot(), home_.last_place});
}

void JournalCampaign::set_home_back() {
  if (!home_image_.has_value()) return image_of_home();
  note("home is set back to its image");
  probes_.hit("the writer was set back to an image");
  if (realm_.home().is_up()) realm_.home().crash();
  home_.drop();
  realm_.home().wait();
  realm_.home().disk().restore(home_image_->disk);
  realm_.home().rewind_random();
  home_.last_place = home_image_->last_place;
  if (rng_.percent(50)) realm_.home().set_clock_offset({});
  home_was_set_back_ = true;
}

// --- weather ---

void JournalCampaign::strike() {
  const std::size_t vault = any_vault();
  switch (rng_.below(9)) {
    case 0:
      note("  the power of home fails soon");
      return realm_.home().crash_at_call(rng_.below(40));
    case 1:
    case 2:
      if (!machine(vault).is_up()) return;
      note("  the power of " + call(vault) + " fails soon");
      probes_.hit("a vault died in the midst of appends");
      return machine(vault).crash_at_call(rng_.below(40));
    case 3:
      note("  connections to " + call(vault) + " are cut");
      return realm_.universe().network().cut("home", call(vault));
    case 4:
      return strike_disk(realm_.home(), JournalHome::kSpools);
    case 5:
    case 6:
      return strike_disk(machine(vault), std::string(kVaultState) + "/journal");
    default:
      return change_weather();
  }
}

void JournalCampaign::strike_disk(sim::Machine& machine, const std::string& part) {
  if (!machine.is_up()) return;
  disks_were_struck_ = true;
  switch (rng_.below(3)) {
    case 0:
      note("  disk of " + machine.name() + " is nearly full");
      probes_.hit("a disk was full");
      return machine.disk().set_capacity_bytes(machine.disk().used_bytes() + rng_.below(600'000));
    case 1:
      note("  syncs of " + machine.name() + " fail");
      probes_.hit("syncs failed");
      return machine.inject({.call = rng_.percent(70) ? sim::FileCall::Sync : sim::FileCall::SyncDirectory,
                             .path_part = part,
                             .nth = 1 + rng_.below(6),
                             .times = 1 + rng_.below(3)});
    default:
      note("  writes of " + machine.name() + " fail");
      return machine.inject(
          {.call = sim::FileCall::Write, .path_part = part, .nth = 1 + rng_.below(8), .times = 1 + rng_.below(3)});
  }
}

void JournalCampaign::change_weather() {
  const std::size_t vault = any_vault();
  auto& network = realm_.universe().network();
  switch (rng_.below(6)) {
    case 0:
    case 1:
      note("home and " + call(vault) + " do not hear each other");
      probes_.hit("a vault was cut off");
      return network.partition("home", call(vault));
    case 2:
      note(call(vault) + " is cut off");
      probes_.hit("a vault was cut off");
      return network.isolate(call(vault));
    case 3:
      note("the network is slow");
      return network.set_delay(milliseconds(50), milliseconds(100 + rng_.below(900)));
    case 4:
      note("connections break");
      return network.set_cuts_per_million(static_cast<std::uint32_t>(1000 * (1 + rng_.below(20))));
    default:
      return strike_disk(machine(vault), rng_.percent(70) ? std::string(kVaultState) + "/journal" : std::string());
  }
}

void JournalCampaign::disturb_clock() {
  const ClockJump jump = draw_clock_jump(60, 3);
  jump_clock(rng_.percent(60) ? realm_.home() : machine(any_vault()), jump);
}

void JournalCampaign::change_lies() {
  for (const std::size_t liar : shape_.liars) {
    minds_[liar].lie = static_cast<JournalLie>(rng_.below(kJournalLies.size()));
    note(call(liar) + " lies: " + std::string(kJournalLies.at(static_cast<std::size_t>(minds_[liar].lie))));
  }
}

void JournalCampaign::calm() {
  calm_down();
  soothe(realm_.home());
  wake_vaults(100);
}

// --- orders of steps that chance alone seldom finds ---

void JournalCampaign::play_theme() {
  calm();
  if (!complaints_.empty() || !wake_home()) return;
  switch (rng_.below(3)) {
    case 0:
      return one_vault_alone_gets_the_end();
    case 1:
      return a_clock_is_set_right_and_home_set_back();
    default:
      return the_end_is_hidden_while_the_rest_is_closed();
  }
}

// Some frames of a segment are acknowledged, later ones and its entry reach one vault alone.
void JournalCampaign::one_vault_alone_gets_the_end() {
  const std::size_t alone = any_vault();
  note("theme: " + call(alone) + " alone gets the end");
  append(1 + rng_.below(4));
  if (!home_.is_open() || !home_.await(seconds(20))) return;
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (i != alone) realm_.universe().network().partition("home", call(i));
  }
  append(1 + rng_.below(4));
  if (!home_.is_open()) return;
  if (rng_.percent(70) && !home_.writer().roll().ok()) return home_.drop();
  realm_.universe().run_for(seconds(15));
  home_.look();
  realm_.home().crash();
  home_.drop();
  home_lost_power_ = true;
  realm_.universe().network().heal_all();
  if (rng_.percent(50)) spoil(alone);
  read_something(false);
}

void JournalCampaign::a_clock_is_set_right_and_home_set_back() {
  note("theme: a clock that was ahead is set right, and home set back");
  home_.drop();
  realm_.home().jump_clock(hours(24 * 365));
  if (!wake_home()) return;
  burst(false);
  image_of_home();
  home_.drop();
  realm_.home().set_clock_offset({});
  burst(false);
  set_home_back();
  realm_.home().set_clock_offset({});
  burst(false);
}

void JournalCampaign::the_end_is_hidden_while_the_rest_is_closed() {
  if (shape_.liars.empty()) return;
  const std::size_t liar = *shape_.liars.begin();
  note("theme: " + call(liar) + " hides the end while the rest is closed");
  minds_[liar].lie = JournalLie::None;
  append(2);
  if (!home_.is_open()) return;
  home_.await(seconds(20));
  ignore(home_.writer().sync_spool(), "then the spool may lose more, and closes nothing");
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (i != liar) realm_.universe().network().partition("home", call(i));
  }
  append(2);
  realm_.universe().run_for(seconds(5));
  realm_.home().set_survival(sim::Survival::Nothing);
  realm_.home().crash();
  home_.drop();
  home_lost_power_ = true;
  realm_.universe().network().heal_all();
  minds_[liar].lie = JournalLie::OlderEnd;
  if (!wake_home()) return;
  recover(false);
  minds_[liar].lie = JournalLie::None;
}

}  // namespace exclave::realm_tests
