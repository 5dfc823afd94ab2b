// What happens to a realm in a campaign: work and damage.
#include <algorithm>

#include "tests/sim/campaign.h"

namespace exclave::realm_tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::string_view kCanary = "CANARY-7f3a-plaintext";
}  // namespace

void Campaign::step() {
  for (const std::size_t liar : shape_.liars) {
    minds_[liar].lie = rng_.percent(25) ? Lie::None : static_cast<Lie>(rng_.below(kLies));
    if (minds_[liar].lie != Lie::None) note("  " + call(liar) + " lies: " + std::string(name_of(minds_[liar].lie)));
  }
  const std::size_t vault = any_vault();
  const std::uint64_t drawn = rng_.below(100);
  if (drawn < 32) {
    capture_tree(rng_.percent(55));
  } else if (drawn < 40) {
    capture_stream(rng_.percent(40));
  } else if (drawn < 50) {
    repair(vault, rng_.percent(60) ? vault::Scrub::FromTheStart : vault::Scrub::No, rng_.percent(30));
  } else if (drawn < 54) {
    break_vault(vault);
  } else if (drawn < 63) {
    set_vault_back(vault);
  } else if (drawn < 69) {
    spoil_copy(vault);
  } else if (drawn < 71) {
    keep_agent_image();
  } else if (drawn < 77) {
    set_agent_back();
  } else if (drawn < 78) {
    lose_agent();
  } else if (drawn < 80) {
    spoil_agent_state();
  } else if (drawn < 83) {
    disturb_clock();
  } else if (drawn < 89) {
    change_weather();
  } else {
    restore_something(rng_.percent(50));
  }
  wake_vaults(50);
  if (rng_.percent(25)) calm();
}

void Campaign::play_theme() {
  const std::size_t vault = any_vault();
  switch (rng_.below(4)) {
    case 0:
      note("theme: an agent is set back");
      keep_agent_image();
      if (rng_.percent(50)) disturb_clock();
      capture_tree(rng_.percent(30));
      if (rng_.percent(50)) {
        lose_agent();
        capture_tree(false);
      }
      set_agent_back();
      return capture_tree(rng_.percent(30));
    case 1:
      note("theme: a vault is set back");
      keep_vault_image(vault);
      capture_tree(false);
      capture_stream(rng_.percent(30));
      set_vault_back(vault);
      wake_vaults(100);
      return repair(vault, vault::Scrub::FromTheStart, rng_.percent(50));
    case 2: {
      note("theme: too many vaults die at the end of a capture");
      for (std::size_t i = 0; i <= shape_.vaults - shape_.quorum.k; ++i) machine(i).crash_at_call(16 + rng_.below(14));
      capture_tree(false);
      calm();
      return restore_something(false);
    }
    default:
      note("theme: a site hears only a vault that is behind");
      capture_tree(false);
      realm_.universe().network().partition("home", call(vault));
      capture_tree(false, engine::Behind::GracePeriod);
      realm_.universe().network().heal_all();
      return restore_latest_from({vault});
  }
}

// --- the source ---

Bytes Campaign::content(std::size_t size) {
  Bytes bytes = noise(size, rng_.next());
  if (size >= kCanary.size()) {
    const std::size_t at = rng_.below(size - kCanary.size() + 1);
    std::copy(kCanary.begin(), kCanary.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return bytes;
}

void Campaign::edit_once() {
  env::FileSystem& files = realm_.home().env().files;
  const std::string name = "f" + std::to_string(rng_.below(8));
  ++edits_;
  switch (rng_.below(9)) {
    case 0:
    case 1:
      return realm_.write("/data/" + name, content(rng_.below(6000)));
    case 2:
      return realm_.write("/data/" + std::string(kCanary) + std::to_string(edits_), content(100 + rng_.below(2000)));
    case 3: {  // a part of a large file
      const auto directory = must(files.open_directory("/data/deep"));
      const auto file = must(directory->open_for_write("large"));
      return must(file->write_at(rng_.below(300'000), content(1 + rng_.below(20'000))));
    }
    case 4:
      return ignore(files.remove_file("/data/" + name), "it may be gone already");
    case 5:
      must(files.make_directories("/data/deep/d" + std::to_string(rng_.below(3)), 0750));
      return realm_.write("/data/deep/" + name, content(rng_.below(3000)));
    case 6: {
      const auto directory = must(files.open_directory("/data"));
      env::FileAttributes attributes;
      attributes.mode = rng_.percent(50) ? 0600 : 0644;
      return ignore(directory->set_attributes(name, attributes), "it may be gone");
    }
    case 7: {
      const auto directory = must(files.open_directory("/data/deep"));
      return ignore(directory->create_symlink("link" + std::to_string(edits_), "../" + name), "any name is as good");
    }
    default: {
      const auto directory = must(files.open_directory("/data"));
      return ignore(directory->create_link("twin" + std::to_string(edits_), *directory, name), "it may be gone");
    }
  }
}

// The source's own disk is a sound one: what it holds is durable before a capture begins.
void Campaign::edit() {
  const std::uint64_t edits = rng_.below(4);
  for (std::uint64_t i = 0; i < edits; ++i) edit_once();
  must(must(realm_.home().env().files.open_directory("/data"))->sync_all());
  if (rng_.percent(50)) realm_.universe().run_for(seconds(1 + rng_.below(100)));
}

// --- captures ---

void Campaign::capture_tree(bool in_storm, std::optional<engine::Behind> behind) {
  wake_home();
  edit();
  Attempt attempt;
  attempt.set_backs = set_backs_;
  attempt.picture = must(TreePicture::take(realm_.home().env().files, "/data"));
  if (in_storm && rng_.percent(10)) {
    source_is_failing_ = true;
    realm_.home().inject({.call = sim::FileCall::Read,
                          .path_part = "/data",
                          .nth = 1 + rng_.below(6),
                          .times = 1 + rng_.below(2),
                          .code = Code::Corrupt});
  }
  attempt.is_exact = !source_is_failing_;
  note("capture " + std::to_string(attempts_.size()) + (in_storm ? " in a storm" : ""));
  attempts_.push_back(std::move(attempt));
  promises_.begin_attempt(attempts_.size() - 1);
  Reports result;
  const engine::Behind drawn = rng_.percent(50) ? engine::Behind::WaitForAll : engine::Behind::GracePeriod;
  realm_.home().start("capture", [&] {
    const auto doors = realm_.doors_from(realm_.home(), realm_.writer_transport());
    Agent agent(realm_.home().env(), SimRealm::agent_directory(era_), realm_.keys(), SimRealm::pointers_to(doors),
                era_);
    engine::TreeCaptureOptions options;
    options.source = "/data";
    options.behind = behind.value_or(drawn);
    result.emplace(agent.capture(options));
  });
  weather(realm_.home(), in_storm);
  conclude(attempts_.back(), result, true);
}

void Campaign::capture_stream(bool in_storm) {
  wake_home();
  const bool is_clean = rng_.percent(75);
  const Bytes dump = content(rng_.below(80'000));
  Attempt attempt;
  attempt.set_backs = set_backs_;
  attempt.picture = TreePicture::of_stream("dump", dump);
  note("stream " + std::to_string(attempts_.size()) + (is_clean ? "" : " whose producer dies") +
       (in_storm ? " in a storm" : ""));
  attempts_.push_back(std::move(attempt));
  promises_.begin_attempt(attempts_.size() - 1);
  Reports result;
  realm_.home().start("ingest", [&] {
    const auto doors = realm_.doors_from(realm_.home(), realm_.writer_transport());
    Agent agent(realm_.home().env(), SimRealm::agent_directory(era_), realm_.keys(), SimRealm::pointers_to(doors),
                era_);
    std::size_t at = 0;
    const engine::ReadStream read = [&](MutableByteView out) -> Result<std::size_t> {
      const std::size_t take = std::min({out.size(), dump.size() - at, std::size_t{10'000}});
      std::copy_n(dump.begin() + static_cast<std::ptrdiff_t>(at), take, out.begin());
      at += take;
      return take;
    };
    const engine::EndedCleanly ended = [&]() -> Status {
      return is_clean ? Status() : Status(Error(Code::Cancelled, "the producer died"));
    };
    engine::ByteStreamOptions options;
    options.dataset = "dump";
    options.source = "test";
    result.emplace(agent.capture_stream(options, read, ended));
  });
  weather(realm_.home(), in_storm);
  conclude(attempts_.back(), result, is_clean);
  if (attempts_.back().acknowledged.has_value()) probes_.hit("a stream was acknowledged");
}

void Campaign::conclude(Attempt& attempt, Reports& result, bool was_clean) {
  const bool died = !realm_.home().is_up();
  source_is_failing_ = false;
  if (died) probes_.hit("a capture ended in the agent's death");
  CHECK(result.has_value());
  if (!result->ok()) {
    attempt.refusal = result->error().message();
    note("  refused: " + attempt.refusal);
    if (!was_clean) probes_.hit("a producer died and left no snapshot");
    if (attempt.refusal.find("has gone on in era") != std::string::npos) {
      probes_.hit("an agent set back into an earlier era was told so");
      if (era_ >= newest_era_) complain("an agent in the newest era was told that there is a later one");
      era_ = newest_era_;  // the operator brings the keys once more
    }
    if (agent_is_spoiled_ && !died && result->error().code() == Code::Corrupt) {
      probes_.hit("the agent noticed that its state had rotted");
      lose_agent();
    }
    if (attempt.refusal.find("are needed") != std::string::npos) probes_.hit("a capture was refused: too few vaults");
    return;
  }
  const engine::CaptureReport& report = result->value();
  if (!was_clean) complain("a stream whose producer died became snapshot " + report.snapshot.hex());
  attempt.acknowledged = report.snapshot;
  for (const engine::CaptureProblem& problem : report.problems) attempt.excepted.insert(problem.path);
  if (!report.problems.empty()) probes_.hit("a capture reported entries that it could not read");
  // What it reports it did not swallow: all else must be exact.
  attempt.is_exact = true;
  probes_.hit("a capture was acknowledged");
  if (!report.vaults_behind().empty()) probes_.hit("a capture was acknowledged while a vault was behind");
  note("  acknowledged " + report.snapshot.hex().substr(0, 12) +
       ", behind: " + std::to_string(report.vaults_behind().size()) + (died ? ", then the agent died" : ""));
}

// --- vaults ---

// nullptr: it cannot or shall not.
std::shared_ptr<Campaign::Repair> Campaign::start_repair(std::size_t vault, vault::Scrub scrub) {
  if (!promises_.is_honest(vault) || !is_serving(vault)) return nullptr;
  const auto repair = std::make_shared<Repair>();
  machine(vault).start("repair", [this, repair, vault, scrub] {
    const auto doors = realm_.doors_of_vault(vault);
    vault::RepairOptions options;
    options.scrub = scrub;
    auto result = realm_.vault(vault).repair(SimRealm::pointers_to(doors), options);
    repair->result.emplace(std::move(result));
  });
  return repair;
}

void Campaign::repair(std::size_t vault, vault::Scrub scrub, bool in_storm) {
  if (!promises_.is_honest(vault) || !is_serving(vault)) return;
  note("repair of " + call(vault) + (scrub == vault::Scrub::FromTheStart ? " with a scrub" : "") +
       (in_storm ? " in a storm" : ""));
  const std::shared_ptr<Repair> repair = start_repair(vault, scrub);
  const std::optional<Result<vault::RepairReport>>& result = repair->result;
  const std::uint64_t strikes = in_storm ? 1 + rng_.below(3) : 0;
  for (std::uint64_t i = 0; i < strikes; ++i) {
    realm_.universe().run_for(milliseconds(rng_.below(300)));
    if (machine(vault).is_up()) strike(machine(vault));
  }
  // The daemon's own threads go on: only the repair is waited for.
  while (!result.has_value()) realm_.universe().run_for(seconds(5));
  realm_.universe().run_for(milliseconds(50));
  if (!result->ok()) {
    probes_.hit("a repair was cut short");
    note("  cut short: " + result->error().message());
    return;
  }
  const vault::RepairReport& report = result->value();
  if (report.error.has_value()) {
    probes_.hit("a repair was cut short");
    note("  cut short: " + report.error->message());
  }
  note("  entries " + std::to_string(report.entries) + ", replaced " + std::to_string(report.replaced) + " of " +
       std::to_string(report.damaged) + ", unreachable " + std::to_string(report.unreachable.size()));
  if (report.entries > 0) probes_.hit("a vault was filled up by repair");
  if (report.replaced > 0) probes_.hit("a damaged copy was replaced by repair");
  if (report.entries > 0 && vault_images_[vault].has_value()) {
    probes_.hit("a vault that was set back was filled up again");
  }
  if (report.damaged > 0 || report.replaced > 0) audit(vault);
}

void Campaign::break_vault(std::size_t vault) {
  if (!machine(vault).is_up()) return;
  if (rng_.percent(50)) {
    note("power loss at " + call(vault));
    machine(vault).crash();
  } else {
    note("kill of " + call(vault));
    machine(vault).kill();
  }
}

void Campaign::keep_vault_image(std::size_t vault) {
  if (!promises_.is_honest(vault) || !is_serving(vault)) return;
  note("image of " + call(vault));
  observe_heads(vault);
  vault_images_[vault].emplace(VaultImage{machine(vault).disk().snapshot(), promises_.standing(vault)});
}

void Campaign::set_vault_back(std::size_t vault) {
  if (!vault_images_[vault].has_value()) return keep_vault_image(vault);
  if (is_serving(vault)) observe_heads(vault);
  if (!promises_.may_set_back(vault, vault_images_[vault]->standing)) return;
  note(call(vault) + " is set back to its image");
  probes_.hit("a vault was set back to an image");
  if (machine(vault).is_up()) machine(vault).crash();
  realm_.vault(vault).put_down();
  machine(vault).disk().restore(vault_images_[vault]->disk);
  machine(vault).rewind_random();
  promises_.set_back(vault, vault_images_[vault]->standing);
}

void Campaign::spoil_copy(std::size_t vault) {
  std::vector<format::ObjectName> good;
  for (const auto& [name, bytes] : promises_.objects()) {
    if (promises_.holds_good(vault, name) && promises_.may_spoil(vault, name)) good.push_back(name);
  }
  if (good.empty()) return;
  const std::uint64_t times = 1 + rng_.below(3);
  for (std::uint64_t i = 0; i < times; ++i) {
    const format::ObjectName& name = good[rng_.below(good.size())];
    if (!promises_.may_spoil(vault, name)) continue;
    const std::string path = realm_.vault(vault).host().path_of(name);
    if (machine(vault).is_up() && rng_.percent(25)) {
      if (!machine(vault).env().files.remove_file(path).ok()) continue;
      // A power failure that is still to come may come here: then the file is gone or not, and either is allowed.
      const auto root = machine(vault).env().files.open_directory("/");
      if (root.ok()) ignore(root.value()->sync_all(), "see above");
    } else {
      const std::uint64_t size = promises_.objects().at(name).size();
      if (!machine(vault).disk().flip_bit(path, rng_.below(size), static_cast<unsigned>(rng_.below(8))).ok()) continue;
    }
    note("copy of " + name.hex().substr(0, 12) + " at " + call(vault) + " is spoiled");
    promises_.spoil(vault, name);
    probes_.hit("a copy was spoiled");
  }
}

void Campaign::observe_heads(std::size_t vault) {
  machine(vault).run([&] {
    const wire::Caller site{realm_.keys().site().public_key()};
    const auto page = realm_.vault(vault).host().vault().heads(site, realm_.keys().registry().id, {});
    if (!page.ok()) return;
    for (const store::StreamHead& head : page.value().heads) {
      if (head.receipt.has_value()) promises_.vouched(vault, head.receipt->receipt);
    }
  });
}

// --- the agent ---

void Campaign::keep_agent_image() {
  wake_home();
  note("image of the agent");
  agent_image_.emplace(AgentImage{realm_.home().disk().snapshot(), era_, agent_is_spoiled_});
}

void Campaign::set_agent_back() {
  if (!agent_image_.has_value()) return keep_agent_image();
  note("the agent is set back to its image");
  probes_.hit("an agent was set back to an image");
  if (realm_.home().is_up()) realm_.home().crash();
  realm_.home().wait();
  realm_.home().disk().restore(agent_image_->disk);
  realm_.home().rewind_random();
  if (rng_.percent(50)) {
    note("  and its clock is right again");
    realm_.home().set_clock_offset({});
  }
  era_ = agent_image_->era;
  agent_is_spoiled_ = agent_image_->is_spoiled;
  ++set_backs_;
}

void Campaign::lose_agent() {
  if (newest_era_.value() == realm_.keys().eras()) return;
  wake_home();
  note("the agent's state is lost; it goes on in the next era");
  agent_is_spoiled_ = false;
  probes_.hit("an agent lost its disk and went on in the next era");
  // Its directory of the next era is a new one, as `agent recover` makes it.
  era_ = newest_era_ = format::EraNumber(newest_era_.value() + 1);
}

// Only while there is a next era: what the agent cannot read any more is given up for it.
void Campaign::spoil_agent_state() {
  if (newest_era_.value() == realm_.keys().eras()) return;
  wake_home();
  std::vector<std::string> paths;
  const std::string listing = realm_.home().disk().listing();
  for (std::size_t at = 0; at < listing.size(); at = listing.find('\n', at) + 1) {
    const std::string path = listing.substr(at, listing.find(' ', at) - at);
    if (path.starts_with(SimRealm::agent_directory(era_) + "/")) paths.push_back(path);
  }
  if (paths.empty()) return;
  const std::string& path = paths[rng_.below(paths.size())];
  const auto content = realm_.home().disk().content(path);
  if (!content.ok() || content.value().empty()) return;
  must(realm_.home().disk().flip_bit(path, rng_.below(content.value().size()), static_cast<unsigned>(rng_.below(8))));
  note("a bit of " + path + " rots");
  agent_is_spoiled_ = true;
  probes_.hit("the agent's state rotted");
}

// --- clocks ---

void Campaign::disturb_clock() {
  const ClockJump jump = draw_clock_jump(50, 4);
  const bool is_agents = rng_.percent(60);
  const std::size_t vault = any_vault();
  jump_clock(is_agents ? realm_.home() : machine(vault), jump);
  clocks_were_wrong_ = true;
}

}  // namespace exclave::realm_tests
