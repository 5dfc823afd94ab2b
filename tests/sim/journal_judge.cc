// What a journal campaign's realm is held to: see the fault budget in journal_campaign.h.
#include <algorithm>

#include "tests/sim/journal_campaign.h"

namespace exclave::realm_tests {
namespace {

using std::chrono::seconds;

}  // namespace

bool JournalCampaign::others_hold_everything(std::size_t vault) {
  std::set<std::size_t> others;
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (i != vault && is_honest(i) && is_serving(i)) others.insert(i);
  }
  if (others.empty()) return false;
  return std::all_of(home_.journals().begin(), home_.journals().end(), [&](const WrittenJournal& journal) {
    if (journal.acknowledged == 0) return true;
    const JournalReading reading = read_journal_abroad(realm_, journal, others, shape_.quorum);
    return !reading.refusal.has_value() && reading.frames >= journal.acknowledged;
  });
}

void JournalCampaign::read_something(bool while_it_grows) {
  std::set<std::size_t> heard = {any_vault()};
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    if (rng_.percent(75)) heard.insert(i);
  }
  const std::size_t chosen = rng_.percent(70) ? home_.journals().size() - 1 : rng_.below(home_.journals().size());
  const std::uint64_t owed = home_.journals()[chosen].acknowledged;
  note("journal " + std::to_string(chosen + 1) + " is read from " + std::to_string(heard.size()) + " vaults");
  JournalReading reading;
  realm_.abroad().start("read",
                        [&] { reading = read_journal(realm_, home_.journals()[chosen], heard, shape_.quorum); });
  if (while_it_grows && home_.is_open() && realm_.home().is_up()) {
    probes_.hit("a journal was read while it grew");
    append(1 + rng_.below(70));
    if (home_.is_open() && rng_.percent(30) && !home_.writer().roll().ok()) home_.drop();
  }
  realm_.abroad().wait();
  judge(reading, home_.journals()[chosen], owed, false);
}

// `is_calm`: all vaults serve and are heard.
void JournalCampaign::judge(const JournalReading& reading, const WrittenJournal& journal, std::uint64_t owed,
                            bool is_calm) {
  const std::string which = "journal " + std::to_string(journal.tag) + ": ";
  note("  " + which + std::to_string(reading.frames) + " of " + std::to_string(owed) + " acknowledged and " +
       std::to_string(journal.sizes.size()) + " written, " + std::to_string(reading.answered) + " answered, marked " +
       std::to_string(reading.end.marked) +
       (reading.refusal.has_value() ? ", refused: " + reading.refusal->message() : "") +
       (reading.end.lost.has_value() ? ", lost: " + reading.end.lost->message() : ""));
  for (const std::string& problem : reading.end.problems) note("    " + problem);
  for (const auto& each : reading.end.unreachable) note("    " + each.vault + ": " + each.why.message());
  if (reading.wrong.has_value()) return complain(which + *reading.wrong);
  if (reading.refusal.has_value()) {
    const bool is_lies_work = !shape_.liars.empty() && (home_lost_power_ || home_was_set_back_);
    if (reading.refusal->code() == Code::Conflict && is_lies_work) {
      return probes_.hit("rarely: a reader stopped with a Conflict that a lie had made");
    }
    if (reading.refusal->code() == Code::Unavailable && !is_calm) return;
    return complain(which + "a reader is refused: " + reading.refusal->message());
  }
  if (!reading.end.problems.empty()) probes_.hit("a reader went round a lie or damage");
  if (!reading.end.unreachable.empty()) probes_.hit("a reader named who did not answer");
  if (reading.frames > journal.acknowledged) probes_.hit("an unacknowledged frame came back");
  const bool is_proven = reading.is_proven(shape_.vaults, shape_.quorum.k, faults());
  probes_.hit(is_proven ? "an end was proven" : "an end was not proven");
  if (is_proven && reading.answered < shape_.vaults) probes_.hit("an end was proven although a vault did not answer");
  if (is_proven && reading.frames < owed) {
    return complain(which + "the end is proven, and lacks acknowledged frames from " + std::to_string(reading.frames) +
                    " on");
  }
  if (is_calm && reading.frames < owed) {
    return complain(which + "acknowledged frames from " + std::to_string(reading.frames) + " on do not come back");
  }
  const bool was_spared = shape_.liars.empty() && !vaults_were_damaged_ && !disks_were_struck_;
  if (is_calm && was_spared && !is_proven) complain(which + "all honest vaults answer, and its end is not proven");
}

void JournalCampaign::judge_left(const spread::SpooledStream& left) {
  const auto journal = std::find_if(home_.journals().begin(), home_.journals().end(),
                                    [&](const WrittenJournal& each) { return each.id() == left.stream; });
  if (journal == home_.journals().end()) return;  // it was begun, and no frame ever came
  std::string losses;
  for (const std::string& loss : left.losses) losses += "; " + loss;
  std::string reasons = losses;
  for (const std::string& reason : left.reasons) reasons += "; " + reason;
  note("  left: journal " + std::to_string(journal->tag) + ", frames " + std::to_string(left.frames_end) + reasons);
  if (left.is_complete) probes_.hit("what a dead writer left was completed");
  if (left.frames_end > 0 && left.frames_end < journal->appended) probes_.hit("a spool lost its end");
  if (reasons.find("than the spool") != std::string::npos) {
    probes_.hit("what a dead writer left stayed: a vault holds more");
  }
  if (reasons.find("with something else") != std::string::npos)
    probes_.hit("rarely: a home that was set back left a segment as a vault has closed it");
  if (losses.find("is damaged") != std::string::npos)
    complain("a spool that only lost power calls itself damaged" + losses);
  const bool was_spared = shape_.liars.empty() && !vaults_were_damaged_;
  if (was_spared && losses.find("is gone") != std::string::npos)
    complain("a spool that only lost power lacks what no vault has" + losses);
}

void JournalCampaign::note_progress() {
  const auto progress = home_.writer().progress();
  if (progress.durable > 0) probes_.hit("frames were acknowledged");
  for (std::size_t i = 0; i < progress.vaults.size(); ++i) {
    const auto& vault = progress.vaults[i];
    const bool is_alarm = vault.failure.has_value() && vault.failure->code() == Code::Corrupt;
    if (progress.durable == progress.appended && vault.frames < progress.durable) {
      probes_.hit("frames were acknowledged while a vault was behind");
    }
    if (vault.dropped_segments > 0) probes_.hit("a spool was at its limit");
    if (is_alarm) note("  alarm: " + vault.failure->message());
    if (is_alarm && !is_honest(i)) probes_.hit("a lie was an alarm for the writer");
    if (is_alarm && is_honest(i)) probes_.hit("a vault had lost what it had confirmed: an alarm");
    if (is_alarm && is_honest(i) && !faulty_.contains(i)) {
      complain("an honest vault that lost nothing is an alarm: " + vault.failure->message());
    }
  }
  if (home_.refused_rolls > 0) probes_.hit("the writer rolled: a vault's disk had failed", home_.refused_rolls);
  home_.refused_rolls = 0;
}

// Those that alone give all that is acknowledged are no longer counted among the faults.
void JournalCampaign::see_who_is_whole() {
  const std::set<std::size_t> suspects = faulty_;
  for (const std::size_t vault : suspects) {
    const bool is_whole =
        std::all_of(home_.journals().begin(), home_.journals().end(), [&](const WrittenJournal& journal) {
          const JournalReading reading = read_journal_abroad(realm_, journal, {vault}, shape_.quorum);
          return !reading.refusal.has_value() && reading.answered == 1 && reading.frames >= journal.acknowledged;
        });
    if (!is_whole) continue;
    note(call(vault) + " is whole again");
    probes_.hit("a vault that had lost frames was seen whole again");
    faulty_.erase(vault);
  }
}

void JournalCampaign::last_judgement() {
  note("the last judgement");
  is_stormy_ = false;
  calm();
  if (complaints_.empty() && rng_.percent(70)) {
    for (const std::size_t vault : all_vaults()) repair(vault);
  }
  if (complaints_.empty()) judge_liveness();
  if (complaints_.empty()) see_who_is_whole();
  if (complaints_.empty()) judge_journals();
  for (const WrittenJournal& journal : home_.journals()) {
    // What is closed where nobody tells of it any more is closed anew by a home that has forgotten it, too.
    const bool may_be_forgotten = home_was_set_back_ && (!shape_.liars.empty() || vaults_were_damaged_);
    if (seen_.forks_of(journal.id()) > 0 && !may_be_forgotten) {
      complain("journal " + std::to_string(journal.tag) + ": two entries for one segment were signed");
    }
  }
}

void JournalCampaign::judge_liveness() {
  if (!wake_home()) return complain("no writer starts on a sound machine");
  append(3);
  // A disk that failed before it was sound again ended that journal; the next one is another.
  if (!home_.is_open() && wake_home()) append(3);
  if (!home_.is_open()) return complain("a sound spool takes no frames");
  const auto began = realm_.universe().elapsed();
  if (!home_.await(kLiveness)) {
    // Where a vault lacks what left the spool, or what only others have, its own repair comes first.
    for (const std::size_t vault : all_vaults()) repair(vault);
    if (!home_.await(kLiveness)) {
      const auto waited = home_.writer().wait_beyond(format::FrameNumber(home_.journal().appended - 1), home_.now());
      return complain("frames are not acknowledged in calm: " +
                      (waited.ok() ? std::string("but now") : waited.error().message()));
    }
    note("  only after repair");
  }
  note("  acknowledged after " + std::to_string((realm_.universe().elapsed() - began) / std::chrono::milliseconds(1)) +
       " ms");
  note_progress();
  if (rng_.percent(50)) {
    // A disk that failed before may have left it unable to close.
    if (!home_.finish(seconds(60)).ok() && !disks_were_struck_) return complain("a writer cannot end in calm");
    home_.drop();
    recover(false);
  }
}

// Home is gone, and the power fails everywhere: what was promised is what is on the vaults' disks.
void JournalCampaign::judge_journals() {
  if (home_.is_open()) home_.look();
  if (realm_.home().is_up()) realm_.home().crash();
  home_.drop();
  for (std::size_t i = 0; i < shape_.vaults; ++i) {
    machine(i).set_survival(rng_.percent(30) ? sim::Survival::Nothing : sim::Survival::Seeded);
    if (machine(i).is_up()) machine(i).crash();
  }
  wake_vaults(100);
  for (const WrittenJournal& journal : home_.journals()) {
    if (!complaints_.empty()) return;
    judge(read_journal_abroad(realm_, journal, all_vaults(), shape_.quorum), journal, journal.acknowledged, true);
    if (rng_.percent(50)) continue;
    std::set<std::size_t> few;
    while (few.size() < shape_.quorum.answers_needed(shape_.vaults)) few.insert(any_vault());
    judge(read_journal_abroad(realm_, journal, few, shape_.quorum), journal, journal.acknowledged, false);
  }
}

}  // namespace exclave::realm_tests
