#include "tests/sim/campaign.h"

#include <array>

namespace exclave::realm_tests {
namespace {

constexpr std::array<std::size_t, 10> kSizes = {3, 3, 3, 3, 3, 3, 4, 4, 4, 7};

}  // namespace

Probes campaign_probes() {
  return {
      "a realm of 3 vaults",
      "a realm of 4 vaults",
      "a realm of 7 vaults",
      "a realm with a liar",
      "a capture was acknowledged",
      "a capture was acknowledged while a vault was behind",
      "a capture was refused: too few vaults",
      "a capture ended in the agent's death",
      "an agent came back after its death and captured",
      "a capture reported entries that it could not read",
      "a stream was acknowledged",
      "a producer died and left no snapshot",
      "an acknowledged snapshot was compared",
      "an unacknowledged snapshot was restored all the same",
      "a vault was slow beside quick ones",
      "a vault died in the middle of somebody's work",
      "a vault died again while it started",
      "a vault was filled up by repair",
      "a damaged copy was replaced by repair",
      "a repair was cut short",
      "a copy was spoiled",
      "a vault was set back to an image",
      "a vault that was set back was filled up again",
      "an agent was set back to an image",
      "an agent set back into an earlier era was told so",
      "an agent lost its disk and went on in the next era",
      "the agent's state rotted",
      "the agent noticed that its state had rotted",
      "a disk was full",
      "syncs failed",
      "a vault was cut off",
      "a clock jumped by years",
      "writes failed",
      "a disk failed now and then",
      "the network was slow",
      "connections broke",
      "a liar: garbled bytes",
      "a liar: other bytes",
      "a liar: withheld",
      "a liar: hidden heads",
      "a liar: short streams",
      "a liar: strange entries",
      "a liar: empty promise",
      "a liar: old receipt",
      "a restore went round damage",
      "a restore was refused",
      "a restore was cut short and gone on with",
      "a restore named who did not answer",
      "an older snapshot was given, and it was said that vaults were missing",
  };
}

Campaign::Campaign(std::uint64_t seed, Probes& probes)
    : CampaignLife(seed, "campaign", probes, kSizes),
      promises_(shape_.vaults, shape_.quorum.k, shape_.liars),
      minds_(shape_.vaults),
      realm_(seed, {shape_.vaults, [this](std::size_t number) { return make_door(number); }}),
      vault_images_(shape_.vaults) {
  // Mostly a tree that fits the smallest objects: what costs time is their bytes, at every vault.
  if (rng_.percent(85)) realm_.write("/data/deep/large", noise(100'000, seed));
  must(must(realm_.home().env().files.open_directory("/data"))->sync_all());
  take_shape();
}

MakeDoor Campaign::make_door(std::size_t number) {
  return [this, number](wire::Handler& inner) -> std::unique_ptr<wire::Handler> {
    if (promises_.is_honest(number)) return std::make_unique<WatchedVault>(inner, promises_, number);
    const RealmKeys& keys = sim_keys(shape_.vaults);
    const std::string& name = keys.policy().vaults.at(number).name;
    return std::make_unique<LyingVault>(inner, promises_, number, minds_[number], machine_key(name + " receipt"),
                                        keys.policy().realm);
  };
}

void Campaign::run() {
  if (rng_.percent(20)) play_theme();
  const std::uint64_t steps = 5 + rng_.below(8);
  for (std::uint64_t i = 0; i < steps && complaints_.empty(); ++i) step();
  if (complaints_.empty()) last_judgement();
  for (const LiarsMind& mind : minds_) probes_.hit_lies(kLieNames, mind.told);
}

}  // namespace exclave::realm_tests
