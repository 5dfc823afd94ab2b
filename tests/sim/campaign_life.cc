#include "tests/sim/campaign_life.h"

#include <algorithm>

namespace exclave::realm_tests {
namespace {

// By the seed's number: a draw would change what all seeds mean.
constexpr std::uint64_t kSlowOneIn = 5;
constexpr std::uint64_t kSlowRest = 3;

RealmShape draw_shape(std::uint64_t seed, sim::detail::Rng& rng, std::span<const std::size_t> sizes) {
  RealmShape shape;
  shape.vaults = sizes[rng.below(sizes.size())];
  shape.quorum = policy::default_quorum(shape.vaults);
  const std::size_t most = std::max<std::size_t>(shape.quorum.b, 1);
  const std::size_t liars = rng.percent(50) ? 0 : 1 + rng.below(most);
  while (shape.liars.size() < liars) shape.liars.insert(rng.below(shape.vaults));
  if (seed % kSlowOneIn == kSlowRest) shape.slow = seed / kSlowOneIn % shape.vaults;
  return shape;
}

}  // namespace

CampaignLife::CampaignLife(std::uint64_t seed, std::string_view purpose, Probes& probes,
                           std::span<const std::size_t> sizes)
    : rng_(seed, purpose), probes_(probes), shape_(draw_shape(seed, rng_, sizes)) {
  probes_.hit("a realm of " + std::to_string(shape_.vaults) + " vaults");
  if (!shape_.liars.empty()) probes_.hit("a realm with a liar");
}

void CampaignLife::take_shape(const std::string& more) {
  std::string liars;
  for (const std::size_t liar : shape_.liars) liars += " " + call(liar);
  note(std::to_string(shape_.vaults) + " vaults, liars:" + (liars.empty() ? " none" : liars) + more +
       (shape_.slow.has_value() ? ", slow: " + call(*shape_.slow) : ""));
  if (!shape_.slow.has_value()) return;
  probes_.hit("a vault was slow beside quick ones");
  realm().universe().network().set_delay_of(call(*shape_.slow), std::chrono::milliseconds(100),
                                            std::chrono::milliseconds(700));
}

bool CampaignLife::wake_vault(std::size_t vault) {
  SimVault& waking = realm().vault(vault);
  if (waking.is_serving()) return true;
  if (machine(vault).is_up()) machine(vault).crash();
  const bool dies_again = rng_.percent(15);
  const Status woken = waking.start_again([&] {
    soothe(machine(vault));
    machine(vault).set_survival(sim::Survival::Seeded);
    if (dies_again) machine(vault).crash_at_call(rng_.below(12));
  });
  if (woken.ok()) return true;
  note("  " + call(vault) + " does not start: " + woken.error().message());
  if (machine(vault).is_up()) {
    complain("vault " + call(vault) + " does not start on a sound machine: " + woken.error().message());
  } else {
    probes_.hit("a vault died again while it started");
  }
  return false;
}

void CampaignLife::wake_vaults(std::uint64_t percent_each) {
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (is_serving(i) || !rng_.percent(percent_each)) continue;
    for (int tries = 0; tries < 10 && !wake_vault(i) && complaints_.empty(); ++tries) {
      if (percent_each < 100) break;
    }
  }
}

void CampaignLife::calm_down() {
  note("calm");
  auto& network = realm().universe().network();
  network.heal_all();
  network.set_cuts_per_million(0);
  network.set_delay(sim::NetworkOptions().min_delay, sim::NetworkOptions().max_delay);
  for (std::size_t i = 0; i < shape_.vaults; ++i) soothe(machine(i));
}

CampaignLife::ClockJump CampaignLife::draw_clock_jump(std::uint64_t percent_years, std::uint64_t most_years) {
  constexpr std::chrono::hours kYearLong{24 * 365};
  const bool by_years = rng_.percent(percent_years);
  const std::int64_t sign = rng_.percent(50) ? 1 : -1;
  if (by_years) return {kYearLong * sign * static_cast<std::int64_t>(1 + rng_.below(most_years)), true};
  return {std::chrono::minutes(sign * static_cast<std::int64_t>(1 + rng_.below(600))), false};
}

void CampaignLife::jump_clock(sim::Machine& whose, const ClockJump& jump) {
  note("clock of " + whose.name() + " jumps by " + std::to_string(jump.by / std::chrono::minutes(1)) + " minutes");
  whose.jump_clock(jump.by);
  if (jump.is_by_years) probes_.hit("a clock jumped by years");
}

void CampaignLife::complain(const std::string& what) {
  complaints_.push_back(what);
  note("COMPLAINT: " + what);
}

}  // namespace exclave::realm_tests
