#include "tests/sim/journal_campaign.h"

#include <array>

namespace exclave::realm_tests {
namespace {

constexpr std::array<std::size_t, 10> kJournalSizes = {3, 3, 3, 3, 3, 3, 3, 4, 4, 7};

}  // namespace

Probes journal_probes() {
  return {
      "a realm of 3 vaults",
      "a realm of 4 vaults",
      "a realm of 7 vaults",
      "a realm with a liar",
      "frames were acknowledged",
      "frames were acknowledged while a vault was behind",
      "frames were not acknowledged: too few vaults",
      "an unacknowledged frame came back",
      "the writer ended well",
      "the writer's machine lost its power",
      "the writer was killed",
      "the writer died in the midst of appends",
      "the writer was set back to an image",
      "a writer that was set back would have begun the same journal again",
      "the writer rolled: a vault's disk had failed",
      "a spool could not be written",
      "a spool lost its end",
      "a spool was at its limit",
      "what a dead writer left was completed",
      "what a dead writer left stayed: a vault holds more",
      "rarely: a home that was set back left a segment as a vault has closed it",
      "a recovery was cut short",
      "a period ended",
      "a vault was slow beside quick ones",
      "a vault died in the midst of appends",
      "a vault died again while it started",
      "a vault was set back to an image",
      "a vault had lost what it had confirmed: an alarm",
      "a vault that had lost frames was seen whole again",
      "a closed segment rotted",
      "an open segment rotted",
      "repair brought closed segments",
      "a damaged segment was replaced by repair",
      "a vault was cut off",
      "a clock jumped by years",
      "a disk was full",
      "syncs failed",
      "a lie was an alarm for the writer",
      "a reader went round a lie or damage",
      "a reader named who did not answer",
      "rarely: a reader stopped with a Conflict that a lie had made",
      "a journal was read while it grew",
      "an end was proven",
      "an end was proven although a vault did not answer",
      "an end was not proven",
      "a liar: keeps nothing",
      "a liar: other bytes",
      "a liar: older end",
      "a liar: more than was sent",
      "a liar: forgetful",
      "a liar: closed",
      "a liar: damaged",
      "a liar: foreign marks",
  };
}

JournalCampaign::Manner JournalCampaign::draw_manner(sim::detail::Rng& rng) {
  Manner manner;
  manner.sends_directly = rng.percent(50);
  manner.largest_class = rng.percent(20) ? 20 : 18;
  manner.spool_limit_bytes = rng.percent(50) ? 600'000 : std::uint64_t{1} << 30;
  return manner;
}

JournalCampaign::JournalCampaign(std::uint64_t seed, Probes& probes)
    : CampaignLife(seed, "journals", probes, kJournalSizes),
      manner_(draw_manner(rng_)),
      minds_(shape_.vaults),
      realm_(seed, {shape_.vaults, [this](std::size_t number) { return make_door(number); }}),
      home_(realm_,
            [this](spread::JournalOptions& options) {
              options.sends_directly = manner_.sends_directly;
              options.spool_limit_bytes = manner_.spool_limit_bytes;
              options.classes.largest = manner_.largest_class;
            }),
      vault_images_(shape_.vaults) {
  take_shape((manner_.sends_directly ? ", direct appends" : "") + std::string(", spool limit ") +
             std::to_string(manner_.spool_limit_bytes));
}

MakeDoor JournalCampaign::make_door(std::size_t number) {
  return [this, number](wire::Handler& inner) -> std::unique_ptr<wire::Handler> {
    if (is_honest(number)) return std::make_unique<WatchedJournals>(inner, seen_);
    const RealmKeys& keys = sim_keys(shape_.vaults);
    return std::make_unique<LyingJournals>(inner, seen_, minds_[number],
                                           machine_key(keys.policy().vaults.at(number).name + " receipt"),
                                           keys.policy().realm);
  };
}

std::set<std::size_t> JournalCampaign::all_vaults() const {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < shape_.vaults; ++i) all.insert(i);
  return all;
}

std::size_t JournalCampaign::faults() const {
  return std::max<std::size_t>(shape_.quorum.b, shape_.liars.size() + faulty_.size());
}

void JournalCampaign::run() {
  must(home_.open());
  change_lies();
  const std::uint64_t steps = 20 + rng_.below(15);
  const std::uint64_t theme_at = rng_.percent(60) ? rng_.below(steps) : steps;
  for (std::uint64_t i = 0; i < steps && complaints_.empty(); ++i) {
    if (i == theme_at) play_theme();
    step();
    if (home_.is_open() && !realm_.home().is_up()) home_.drop();
  }
  if (complaints_.empty()) last_judgement();
  if (home_.begun_twice > 0) probes_.hit("a writer that was set back would have begun the same journal again");
  for (const JournalLiarsMind& mind : minds_) probes_.hit_lies(kJournalLies, mind.told);
}

}  // namespace exclave::realm_tests
