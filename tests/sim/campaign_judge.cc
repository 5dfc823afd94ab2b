// What a campaign's realm is held to: see the fault budget in campaign.h.
#include <algorithm>

#include "engine/verify.h"
#include "tests/sim/campaign.h"

namespace exclave::realm_tests {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kLatest = "latest";
constexpr std::string_view kCanaryStart = "CANARY-7f3a";

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

bool contains(ByteView bytes, std::string_view part) {
  return as_text(bytes).find(part) != std::string_view::npos;
}

}  // namespace

// --- restores ---

void Campaign::restore_something(bool in_storm) {
  wake_abroad();
  std::vector<format::ObjectName> names;
  for (const Attempt& attempt : attempts_) {
    if (attempt.acknowledged.has_value()) names.push_back(*attempt.acknowledged);
  }
  const bool by_name = !names.empty() && rng_.percent(50);
  const std::string wanted = by_name ? names[rng_.below(names.size())].hex() : std::string(kLatest);
  const std::string target = "/restored" + std::to_string(++targets_);
  if (rng_.percent(30)) {
    for (std::size_t i = 0; i < shape_.vaults; ++i) {
      if (!rng_.percent(60)) continue;
      note("the site does not hear " + call(i));
      realm_.universe().network().partition("abroad", call(i));
    }
  }
  note("restore of " + wanted.substr(0, 12) + (in_storm ? " in a storm" : ""));
  const Outcome outcome = restore({{wanted, target}}, in_storm).front();
  judge(outcome, {wanted, target}, false);
  // The same again goes on where it was.
  const bool goes_on = outcome.refusal.has_value() && outcome.chosen.has_value() && in_storm && complaints_.empty();
  if (!goes_on) return;
  wake_abroad();
  const std::string chosen = outcome.chosen->object.name.hex();
  const Outcome second = restore({{chosen, target}}, false).front();
  if (!second.refusal.has_value()) probes_.hit("a restore was cut short and gone on with");
  judge(second, {chosen, target}, false);
}

void Campaign::restore_latest_from(const std::set<std::size_t>& heard) {
  wake_abroad();
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (!heard.contains(i)) realm_.universe().network().partition("abroad", call(i));
  }
  const Wish wish{std::string(kLatest), "/restored" + std::to_string(++targets_)};
  note("restore of the latest from what few vaults show");
  judge(restore({wish}, false).front(), wish, false);
  realm_.universe().network().heal_all();
}

// One snapshot after the other into targets of their own, from one look at the vaults.
std::vector<Campaign::Outcome> Campaign::restore(const std::vector<Wish>& wishes, bool in_storm) {
  std::vector<Outcome> outcomes(wishes.size());
  const auto run = [&](Site& site, const engine::RegistryHoldings& holdings, const Wish& wish,
                       Outcome& outcome) -> Status {
    outcome.chosen = TRY(engine::choose_snapshot(holdings, wish.snapshot));
    const auto content = TRY(site.open(holdings, *outcome.chosen));
    engine::RestoreOptions options;
    options.target = wish.target;
    if (!in_storm) options.syncing = engine::Syncing::LeaveToKernel;
    engine::StageTimes times;
    env::Env env = realm_.abroad().env();
    const auto report =
        TRY(engine::restore_snapshot(env, *content, outcome.chosen->object.name, options, times, {}, {}));
    for (const engine::CaptureProblem& problem : report.problems) outcome.reported.insert(problem.path);
    return {};
  };
  realm_.abroad().start("restore", [&] {
    const auto doors = realm_.doors_from(realm_.abroad(), realm_.site_transport());
    Site site(realm_.abroad().env(), realm_.keys(), SimRealm::pointers_to(doors));
    auto holdings = site.holdings();
    for (std::size_t i = 0; i < wishes.size(); ++i) {
      if (!holdings.ok()) {
        outcomes[i].refusal = holdings.error();
        continue;
      }
      outcomes[i].unreachable = holdings.value().unreachable;
      outcomes[i].problems = holdings.value().problems;
      Status ended = run(site, holdings.value(), wishes[i], outcomes[i]);
      if (!ended.ok()) outcomes[i].refusal = ended.take_error();
      outcomes[i].incidents = site.incidents().size();
    }
  });
  weather(realm_.abroad(), in_storm);
  return outcomes;
}

std::optional<std::size_t> Campaign::newest_acknowledged() const {
  for (std::size_t i = attempts_.size(); i > 0; --i) {
    if (attempts_[i - 1].acknowledged.has_value()) return i - 1;
  }
  return std::nullopt;
}

void Campaign::judge(const Outcome& outcome, const Wish& wish, bool in_calm) {
  for (const std::string& path : outcome.reported) note("  reported: " + path);
  note("  " + (outcome.refusal.has_value() ? "refused: " + outcome.refusal->message() : std::string("restored")) +
       (outcome.unreachable.empty() ? "" : ", unreachable: " + joined(outcome.unreachable)));
  if (outcome.incidents > 0) probes_.hit("a restore went round damage");
  if (!outcome.unreachable.empty()) probes_.hit("a restore named who did not answer");
  if (outcome.refusal.has_value()) probes_.hit("a restore was refused");
  for (const std::string& problem : outcome.problems) {
    if (problem.starts_with("fork")) complain(problem);
  }
  if (in_calm && outcome.refusal.has_value()) {
    return complain("restore of " + wish.snapshot.substr(0, 12) + " refused in calm: " + outcome.refusal->message());
  }
  if (!outcome.chosen.has_value()) return;
  const auto attempt_number = promises_.attempt_of(outcome.chosen->stream);
  if (!attempt_number.has_value()) return complain("a snapshot was chosen that nobody captured");
  const Attempt& attempt = attempts_.at(*attempt_number);

  if (in_calm && !std::includes(attempt.excepted.begin(), attempt.excepted.end(), outcome.reported.begin(),
                                outcome.reported.end())) {
    complain("a restore in calm left something out: '" + *outcome.reported.begin() + "' and perhaps more");
  }

  // After a power loss of the site nothing in the target is trusted, nor should it be.
  const bool lost_power = !realm_.abroad().is_up();
  wake_abroad();
  env::FileSystem& files = realm_.abroad().env().files;
  const bool has_target = files.stat(wish.target).ok();
  if (!outcome.refusal.has_value() && !lost_power && !has_target) {
    return complain("a restore succeeded and left no target");
  }
  if (!lost_power && has_target) {
    const TreePicture found = must(TreePicture::take(files, wish.target));
    if (outcome.refusal.has_value() && attempt.is_exact) {
      const auto pretences = attempt.picture.false_pretences(found);
      if (!pretences.empty()) complain("a refused restore left what looks finished and is not: " + joined(pretences));
    }
    if (!outcome.refusal.has_value() && attempt.is_exact) {
      if (attempt.acknowledged.has_value()) probes_.hit("an acknowledged snapshot was compared");
      auto excepted = attempt.excepted;
      excepted.insert(outcome.reported.begin(), outcome.reported.end());
      const auto differences = attempt.picture.differences(found, excepted);
      if (!differences.empty()) {
        complain("capture " + std::to_string(*attempt_number) + " came back otherwise: " + joined(differences));
      }
    }
  }
  if (outcome.refusal.has_value()) return;
  if (!attempt.acknowledged.has_value()) probes_.hit("an unacknowledged snapshot was restored all the same");
  const auto newest = newest_acknowledged();
  if (wish.snapshot != kLatest || !newest.has_value() || *attempt_number >= *newest) return;
  if (!attempt.acknowledged.has_value() && attempt.set_backs < set_backs_) return;
  if (outcome.unreachable.empty() || in_calm) {
    complain("latest is capture " + std::to_string(*attempt_number) + ", silently older than acknowledged capture " +
             std::to_string(*newest));
  } else {
    probes_.hit("an older snapshot was given, and it was said that vaults were missing");
  }
}

// --- the last judgement ---

void Campaign::last_judgement() {
  note("the last judgement");
  calm();
  if (complaints_.empty()) judge_liveness();
  if (complaints_.empty()) judge_promises();
  const bool repairs_first = rng_.percent(50);
  if (repairs_first && complaints_.empty()) judge_repairs();
  if (complaints_.empty()) judge_restores();
  if (!repairs_first && complaints_.empty()) judge_repairs();
  if (complaints_.empty()) judge_holdings();
  if (complaints_.empty()) search_for_canaries();
  for (const std::string& each : promises_.complaints()) complain(each);
}

void Campaign::judge_liveness() {
  for (const std::size_t liar : shape_.liars) minds_[liar].lie = Lie::None;
  if (era_ != newest_era_) agent_is_spoiled_ = false;
  const format::EraNumber era = era_ = newest_era_;
  capture_tree(false);
  // Rot that is noticed only now costs an era and no more.
  if (era_ != era) capture_tree(false);
  const Attempt& attempt = attempts_.back();
  if (!attempt.acknowledged.has_value()) complain("a capture in calm was refused: " + attempt.refusal);
  if (!attempt.excepted.empty()) complain("a capture in calm could not read its source");
  for (const std::size_t liar : shape_.liars) minds_[liar].lie = static_cast<Lie>(rng_.below(kLies));
}

// The power fails everywhere: what was promised is what is on the disks.
void Campaign::judge_promises() {
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    machine(i).set_survival(rng_.percent(30) ? sim::Survival::Nothing : sim::Survival::Seeded);
    machine(i).crash();
  }
  wake_vaults(100);
  for (std::size_t i = 0; i < shape_.vaults && complaints_.empty(); ++i) {
    if (promises_.is_honest(i)) audit(i);
  }
}

void Campaign::audit(std::size_t vault) {
  if (!is_serving(vault)) return;
  const wire::Caller site{realm_.keys().site().public_key()};
  for (const auto& [stream, head] : Promises::Heads(promises_.heads(vault))) {
    std::optional<Result<std::vector<store::HeldEntry>>> held;
    machine(vault).run(
        [&] { held.emplace(realm_.vault(vault).host().vault().entries(site, stream, {}, store::kMaxEntriesPerCall)); });
    if (!held->ok()) {
      if (is_serving(vault)) complain(call(vault) + " does not show a stream: " + held->error().message());
      return;
    }
    audit_stream(vault, stream, head, held->value());
  }
}

void Campaign::audit_stream(std::size_t vault, const format::StreamId& stream, std::uint64_t head,
                            const std::vector<store::HeldEntry>& held) {
  const std::string where = call(vault) + ", stream " + stream.hex().substr(0, 12) + ": ";
  if (held.size() < head) {
    return complain(where + "vouched for " + std::to_string(head) + " entries, holds " + std::to_string(held.size()));
  }
  const std::vector<Promises::Entry>& known = promises_.entries(stream);
  for (std::uint64_t i = 0; i < head; ++i) {
    const format::Entry& entry = held[i].entry.entry;
    if (entry.index.value() != i || i >= known.size() || entry.chain != known[i].chain) {
      return complain(where + "entry " + std::to_string(i) + " is not the one that was vouched for");
    }
    const auto bytes = promises_.objects().find(entry.object);
    if (bytes == promises_.objects().end()) continue;
    const auto on_disk = machine(vault).disk().content(realm_.vault(vault).host().path_of(entry.object));
    const bool is_good = on_disk.ok() && on_disk.value() == bytes->second;
    if (is_good) {
      promises_.mended(vault, entry.object);
    } else if (!promises_.spoiled(vault).contains(entry.object)) {
      complain(where + "object " + entry.object.hex().substr(0, 12) + " is not what was deposited");
    }
  }
}

void Campaign::judge_restores() {
  const std::string target = "/judged";
  std::vector<std::size_t> acknowledged;
  for (std::size_t i = 0; i < attempts_.size(); ++i) {
    if (attempts_[i].acknowledged.has_value()) acknowledged.push_back(i);
  }
  // The first, the last, and some in between.
  constexpr std::size_t kMost = 4;
  while (acknowledged.size() > kMost) {
    acknowledged.erase(acknowledged.begin() + 1 + static_cast<std::ptrdiff_t>(rng_.below(acknowledged.size() - 2)));
  }
  wake_abroad();
  std::vector<Wish> wishes;
  for (const std::size_t number : acknowledged) {
    wishes.push_back({attempts_[number].acknowledged->hex(), target + std::to_string(number)});
    note("judged: restore of capture " + std::to_string(number));
  }
  wishes.push_back({std::string(kLatest), target});
  note("judged: restore of the latest");
  const std::vector<Outcome> outcomes = restore(wishes, false);
  for (std::size_t i = 0; i < wishes.size() && complaints_.empty(); ++i) judge(outcomes[i], wishes[i], true);
}

// Twice: what the second has from the first, the first may have from the second.
void Campaign::judge_repairs() {
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < shape_.vaults && complaints_.empty(); ++i) {
      if (promises_.is_honest(i)) repair(i, round == 0 ? vault::Scrub::FromTheStart : vault::Scrub::No, false);
    }
  }
  for (std::size_t i = 0; i < shape_.vaults && complaints_.empty(); ++i) {
    if (!promises_.is_honest(i)) continue;
    observe_heads(i);
    audit(i);
    if (!promises_.spoiled(i).empty()) complain(call(i) + " still has spoiled copies after a scrub in calm");
  }
}

void Campaign::judge_holdings() {
  std::optional<Result<engine::HoldingsVerdict>> verdict;
  realm_.abroad().run([&] {
    const auto doors = realm_.doors_from(realm_.abroad(), realm_.site_transport());
    env::Env env = realm_.abroad().env();
    verdict.emplace(engine::verify_holdings(env, realm_.keys().pinned(), SimRealm::pointers_to(doors),
                                            engine::Reading::HeadersOnly, {}));
  });
  if (!verdict->ok()) return complain("the vaults cannot be verified: " + verdict->error().message());
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    const engine::VaultVerdict& vault = verdict->value().vaults[i];
    if (!promises_.is_honest(i)) continue;
    if (!vault.reachable) complain(vault.vault + " does not answer in calm: " + vault.connection);
    if (!vault.behind.empty()) complain(vault.vault + " is behind after repairs in calm: " + joined(vault.behind));
    for (const std::string& finding : vault.findings) {
      const bool is_clocks = clocks_were_wrong_ && finding.find(": retained ") != std::string::npos;
      if (!is_clocks) complain(vault.vault + ": " + finding);
    }
  }
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (machine(i).has_logged("fork: ")) complain(call(i) + " logged a fork");
  }
}

void Campaign::search_for_canaries() {
  for (const auto& [name, bytes] : promises_.objects()) {
    if (contains(bytes, kCanaryStart)) complain("object " + name.hex() + " shows plaintext");
  }
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    const std::string listing = machine(i).disk().listing();
    if (contains(as_bytes(listing), kCanaryStart)) complain(call(i) + " shows a name in plaintext");
    for (std::size_t at = 0; at < listing.size();) {
      const std::size_t end = listing.find('\n', at);
      const std::string path = listing.substr(at, listing.find(' ', at) - at);
      at = end + 1;
      if (path.find("/objects/") != std::string::npos) continue;  // judged above, and audited to be those
      const auto content = machine(i).disk().content(path);
      if (content.ok() && contains(content.value(), kCanaryStart)) complain(call(i) + " shows plaintext in " + path);
    }
  }
}

}  // namespace exclave::realm_tests
