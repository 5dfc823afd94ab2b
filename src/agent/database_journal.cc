#include "agent/database_journal.h"

#include <algorithm>

#include "engine/log_terms.h"
#include "env/file_system.h"
#include "format/stream.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kRollEvery = 60s;
constexpr auto kRefusedRollEvery = 2s;  // a disk that fails again and again shall not cost a segment each time
constexpr auto kPeriodLook = 500ms;
constexpr auto kFinishTime = 10s;
constexpr auto kShortFinish = 1s;       // once k vaults have everything: what the others lack is in the spool
constexpr auto kLongestLanePause = 2s;  // a vault that is back is wanted soon
constexpr auto kLongWait = 10s;
constexpr std::string_view kSpoolFolder = "spool";

Exposure to_exposure(const format::LossExposure& told) {
  return {engine::lsn(told.from),
          engine::lsn(told.to),
          env::Timestamp::from_seconds(env::Timestamp{told.began_ns}.seconds()),
          {}};
}

std::vector<ExposedJournal> journals_of(const std::optional<Exposure>& exposure) {
  return exposure.has_value() ? exposure->journals : std::vector<ExposedJournal>();
}

void widen(std::optional<Exposure>& all, const Exposure& by) {
  if (!all.has_value()) {
    all = by;
    return;
  }
  all->from = std::min(all->from, by.from);
  all->to = std::max(all->to, by.to);
  all->since = std::min(all->since, by.since);
  all->journals.insert(all->journals.end(), by.journals.begin(), by.journals.end());
}

}  // namespace

std::string spools_folder(std::string_view directory) {
  return env::join_path(directory, kSpoolFolder);
}

DatabaseJournal::DatabaseJournal(const Place& place, const LogPromise& promise, const Stream& stream)
    : place_(place),
      promise_(promise),
      stream_(stream),
      left_spools_(place.env.files, spools_folder(place.directory)),
      cuts_(place.env.clock, [this] { stream_.waker.wake(); }) {}

DatabaseJournal::~DatabaseJournal() = default;

void DatabaseJournal::log(env::LogLevel level, const std::string& text) const {
  place_.env.log.write(level, "dataset " + promise_.dataset + ": " + text);
}

// --- one journal after another -----------------------------------------------------------------------------------------

Result<format::StreamDescriptor> DatabaseJournal::new_stream(std::uint64_t start) const {
  format::StreamDescriptor descriptor;
  descriptor.realm = place_.policy.realm;
  descriptor.writer = place_.writer.public_key();
  descriptor.registry = place_.registry.id;
  descriptor.era = place_.era.number;
  descriptor.kind = format::StreamKind::Journal;
  store_u64(descriptor.start.mutable_view(), start);
  const MutableByteView drawn = descriptor.start.mutable_view().subspan(8);
  TRY(place_.env.random.fill(drawn));
  // A machine that was set back may draw the same once more, while its clock stands before the last journal's place.
  std::uint64_t mixed = load_u64(drawn.first(8));
  mixed ^= static_cast<std::uint64_t>(place_.env.clock.now().nanoseconds);
  store_u64(drawn.first(8), mixed);
  return descriptor;
}

Status DatabaseJournal::open(const format::LogSource& source, pg::Timeline timeline, pg::Lsn start) {
  CHECK(!is_open());
  place_in_order_ = TRY(stream_.memory.next_journal_start(place_.env.clock.now()));
  left_spools_.use(place_in_order_);
  Status opened = open_in_use(source, timeline, start);
  // Nothing of it was acknowledged. What there is of it is left, as what of those that have ended.
  if (!opened.ok()) left_spools_.leave({});
  return opened;
}

Status DatabaseJournal::open_in_use(const format::LogSource& source, pg::Timeline timeline, pg::Lsn start) {
  env::Env& env = place_.env;
  spread::JournalOptions options;
  options.durable_copies = place_.policy.quorum.k;
  options.spool_directory = left_spools_.path_of(place_in_order_);
  options.longest_pause = kLongestLanePause;
  options.spool_limit_bytes = promise_.spool_limit_bytes;
  options.on_news = [this] { stream_.waker.wake(); };
  options.sends_directly = true;
  options.waker = &stream_.waker;
  const format::StreamDescriptor descriptor = TRY(new_stream(place_in_order_));
  auto journal = TRY(spread::JournalWriter::open(
      {env.clock, env.random, env.files, env.threads}, place_.vaults,
      format::SignedStream::sign(descriptor, place_.writer), place_.writer, [this] { return place_.periods.current(); },
      options));
  place_.writer_watch.note_own(descriptor.id());  // no vault has a mark of it before it has a frame
  format::JournalOpening opening;
  opening.dataset = promise_.dataset;
  opening.source = source;
  opening.timeline = format::LogTimeline(timeline.value());
  opening.start = format::LogPosition(start.value());
  opening.opened_ns = env.clock.now().nanoseconds;
  log_id_ = format::log_id(opening.dataset, opening.source);
  framer_.set_log(log_id_);
  TRY(journal->append(format::encode_record(opening)));
  frames_ = TRY(FrameWriter::start(
      env.threads, promise_.dataset, [writer = journal.get()](ByteView bytes) { return writer->append(bytes); },
      [this] { stream_.waker.wake(); }));
  journal_ = std::move(journal);
  framed_end_ = start;
  last_durable_ = 0;
  way_ = {};
  ++journals_opened_;
  ledger_.emplace(promise_.policy, promise_.budget, start);
  last_roll_ = env.clock.monotonic();
  frames_at_roll_ = 0;
  return {};
}

Status DatabaseJournal::follow(const pg::ReplicationConnection::RawHistory& way) {
  way_ = way;
  return write_way();
}

Status DatabaseJournal::write_way() {
  if (way_.text.empty()) return {};  // of the first timeline
  TRY(record(format::encode_record(
      format::JournalHistory{log_id_, format::LogTimeline(way_.history.timeline.value()), way_.text})));
  return {};
}

Status DatabaseJournal::finish() {
  CHECK(frames_ != nullptr);
  ignore(settle(), "what could not be appended was not acknowledged: the server has it");
  frames_.reset();
  journal_->take_answers();
  const bool is_durable = journal_->durable() >= journal_->progress().appended;
  return journal_->finish(place_.env.clock.monotonic() +
                          (is_durable ? std::chrono::nanoseconds(kShortFinish) : kFinishTime));
}

// Records of one journal follow each other without overlap; who goes back begins another.
Status DatabaseJournal::end() {
  if (!is_open()) return {};
  const Status finished = finish();
  note_breaches(journal_->progress());
  note_durable();
  left_exposure_ = exposed();
  past_exposures_.clear();
  framer_.clear();
  journal_.reset();
  ledger_.reset();
  waits_ = {};
  has_failed_ = false;
  stream_.commits.journal_ended();
  left_spools_.leave(journals_of(left_exposure_));
  return finished;
}

// --- log ---------------------------------------------------------------------------------------------------------------

void DatabaseJournal::gather(pg::Timeline timeline, pg::Lsn at, ByteView bytes) {
  CHECK(at == gathered_end());
  framer_.add(timeline, at, bytes);
}

Status DatabaseJournal::flush() {
  if (!has_gathered()) return {};
  const pg::Lsn end = framer_.end();
  TRY(of_journal(frames_->write(framer_, stream_.commits.received())));
  framed_end_ = end;
  stream_.commits.framed(end);
  return {};
}

Status DatabaseJournal::note_frames() {
  for (const FrameWriter::Written& frame : TRY(of_journal(frames_->take_written()))) {
    ledger_->appended(frame.frame, frame.end, place_.env.clock.monotonic());
    stream_.resume.appended(frame.end);
    const std::uint64_t in_spool = format::frame_bytes(static_cast<std::size_t>(frame.bytes));
    stream_.commits.appended(frame.frame, frame.commits, in_spool);
  }
  return {};
}

Status DatabaseJournal::settle() {
  TRY(of_journal(frames_->settle()));
  return note_frames();
}

Result<format::FrameNumber> DatabaseJournal::record(ByteView bytes) {
  TRY(settle());
  return of_journal(journal_->append(bytes));
}

// --- what is safe ------------------------------------------------------------------------------------------------------

Status DatabaseJournal::look(bool is_waited_for) {
  env::Clock& clock = place_.env.clock;
  TRY(note_frames());
  journal_->take_answers();
  note_durable();
  if (ledger_->look(clock.monotonic(), clock.now())) note_mode();
  tell_waits(is_waited_for);
  if (!ledger_->wants_spool()) return {};
  TRY(settle());
  TRY(of_journal(journal_->sync_spool()));
  ledger_->spooled();
  return {};
}

void DatabaseJournal::note_durable() {
  last_durable_ = journal_->durable();
  ledger_->durable(last_durable_, place_.env.clock.monotonic());
  stream_.commits.durable(last_durable_);
  const auto told = std::erase_if(past_exposures_, [&](const PastExposure& past) {
    return past.told_in.has_value() && past.told_in->value() < last_durable_;
  });
  has_exposure_news_ = has_exposure_news_ || told > 0;
}

bool DatabaseJournal::is_too_far_behind() const {
  // Commits of a degraded one do not wait for the vaults: what is acknowledged lies in the spool, as far as that may grow.
  const std::uint64_t most = is_degraded() ? std::max(promise_.most_outstanding_bytes, promise_.spool_limit_bytes)
                                           : promise_.most_outstanding_bytes;
  return stream_.commits.outstanding_bytes() > most;
}

void DatabaseJournal::note_mode() {
  if (ledger_->is_degraded()) {
    has_exposure_news_ = true;
    log(env::LogLevel::Error, "the vaults do not confirm in time; commits are acknowledged without them until they do");
    return;
  }
  auto exposure = ledger_->take_exposure();
  if (!exposure.has_value()) {
    log(env::LogLevel::Warning, "the vaults hold everything again; nothing was acknowledged without them");
    return;
  }
  exposure->log = log_id_;
  log(env::LogLevel::Warning, "the vaults hold everything again; " + pg::to_text(engine::lsn(exposure->from)) + " to " +
                                  pg::to_text(engine::lsn(exposure->to)) + " was acknowledged before");
  past_exposures_.push_back({*exposure, std::nullopt});
}

// Who looks at the log learns why the registry stands still, and from when to when it did.
void DatabaseJournal::tell_waits(bool is_waited_for) {
  const bool do_commits_wait = is_waited_for && !ledger_->is_degraded();
  const auto notice = waits_.look(place_.env.clock.monotonic(),
                                  do_commits_wait ? ledger_->oldest_outstanding() : std::optional<env::Instant>());
  if (notice.has_value()) log(env::LogLevel::Warning, in_words(*notice, journal_->progress(), place_.policy.quorum.k));
}

Status DatabaseJournal::tend() {
  TRY(write_cuts());
  TRY(tell_exposures());
  return roll_if_due();
}

// What was handed in is written on this thread, the journal's only one; it leaves the list once k vaults hold it.
Status DatabaseJournal::write_cuts() {
  for (const format::Cut& cut : cuts_.to_write(journals_opened_, last_durable_))
    cuts_.written(cut.id, journals_opened_, TRY(record(format::encode_record(cut))));
  return {};
}

Status DatabaseJournal::roll_if_due() {
  const env::Instant now = place_.env.clock.monotonic();
  // Of a segment with a way alone nobody waits for the vault that refuses it.
  const bool is_refused = now - last_roll_ >= kRefusedRollEvery && journal_->wants_roll() &&
                          journal_->progress().appended != frames_at_roll_;
  if (!is_refused && now - last_period_look_ < kPeriodLook) return {};
  last_period_look_ = now;
  look_at_left_exposure();
  // A period that has ended ends its segment soon: what comes later belongs to the next one's release.
  const format::PeriodNumber period = place_.periods.period_now();
  const bool has_changed = period_.has_value() && *period_ != period;
  period_ = period;
  const bool must_roll = has_changed || is_refused;
  if (!must_roll && now - last_roll_ < kRollEvery) return {};
  last_roll_ = now;
  TRY(settle());
  if (!must_roll && journal_->progress().appended == frames_at_roll_) return {};
  TRY(of_journal(journal_->roll()));
  TRY(write_way());
  frames_at_roll_ = journal_->progress().appended;  // a way alone is worth no other segment
  return {};
}

// --- log that was acknowledged without the vaults ----------------------------------------------------------------------

Status DatabaseJournal::recall(const std::optional<Exposure>& left) {
  CHECK(journals_opened_ == 0);
  left_exposure_ = left;
  // It does not say in which, or all of these were held: that those which are left are held as well is soon known.
  if (left_exposure_.has_value() && left_exposure_->journals.empty()) {
    for (const std::uint64_t start : TRY(left_spools_.starts())) left_exposure_->journals.push_back({start, 0});
  }
  left_spools_.await_only(journals_of(left_exposure_));
  return {};
}

void DatabaseJournal::exposure_is_kept() {
  has_exposure_news_ = false;
  left_spools_.await_only(journals_of(exposed()));
}

void DatabaseJournal::acknowledged_before(pg::Lsn slot) {
  if (journals_opened_ == 0 && left_exposure_.has_value()) left_exposure_->to = std::max(left_exposure_->to, slot);
}

std::optional<Exposure> DatabaseJournal::exposed() const {
  std::optional<Exposure> all = left_exposure_;
  for (const PastExposure& past : past_exposures_) widen(all, to_exposure(past.exposure));
  if (ledger_.has_value()) {
    if (const auto now = ledger_->exposure(place_.env.clock.now())) {
      Exposure own = to_exposure(*now);
      const std::uint64_t frames = ledger_->spooled_frames();
      if (frames > last_durable_) own.journals.push_back({place_in_order_, frames});
      widen(all, own);
    }
  }
  return all;
}

void DatabaseJournal::look_at_left_exposure() {
  if (!left_exposure_.has_value()) return;
  std::erase_if(left_exposure_->journals,
                [this](const ExposedJournal& journal) { return left_spools_.is_held(journal); });
  if (!left_exposure_->journals.empty()) return;
  format::LossExposure exposure;
  exposure.log = log_id_;
  exposure.from = format::LogPosition(left_exposure_->from.value());
  exposure.to = format::LogPosition(left_exposure_->to.value());
  exposure.began_ns = left_exposure_->since.nanoseconds;
  exposure.ended_ns = place_.env.clock.now().nanoseconds;
  exposure.reason = "vaults did not confirm before their journal ended";
  past_exposures_.push_back({exposure, std::nullopt});
  left_exposure_.reset();
}

Status DatabaseJournal::tell_exposures() {
  for (PastExposure& past : past_exposures_) {
    if (!past.told_in.has_value()) past.told_in = TRY(record(format::encode_record(past.exposure)));
  }
  return {};
}

// --- for people --------------------------------------------------------------------------------------------------------

std::optional<LogStanding> DatabaseJournal::standing() {
  if (!is_open()) return std::nullopt;
  LogStanding standing;
  standing.is_degraded = is_degraded();
  standing.received = gathered_end();
  standing.durable = ledger_->durable_end();
  // The ledger takes what was acknowledged before its journal for held.
  if (left_exposure_.has_value()) standing.durable = std::min(standing.durable, left_exposure_->from);
  standing.acknowledged = safe();
  const env::Instant now = place_.env.clock.monotonic();
  if (const auto oldest = ledger_->oldest_outstanding()) standing.oldest_outstanding = now - *oldest;
  standing.waits = ledger_->waits().summary(now);
  standing.vaults = journal_->progress();
  note_breaches(standing.vaults);
  return standing;
}

void DatabaseJournal::note_breaches(const spread::JournalProgress& vaults) {
  for (const spread::JournalVaultProgress& vault : vaults.vaults) {
    if (!vault.breach.has_value()) continue;
    const auto [told, is_new] = breaches_.try_emplace(vault.vault, "a vault did not keep its word: " + *vault.breach);
    if (is_new) log(env::LogLevel::Error, told->second);
  }
}

std::vector<std::string> DatabaseJournal::alarms(const std::optional<LogStanding>& standing, bool is_waited_for) const {
  std::vector<std::string> alarms;
  if (standing.has_value()) {
    const std::chrono::nanoseconds waited = standing->oldest_outstanding.value_or(0s);
    if (waited > kLongWait && promise_.policy == RpoPolicy::Sync && is_waited_for) {
      alarms.push_back("commits have waited for the vaults for " +
                       std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waited).count()) + " s");
    }
    if (standing->vaults.unvouched_for.value_or(0s) > kLongWait) {
      alarms.emplace_back("vaults have confirmed what they do not sign for: their word alone says that they hold it");
    }
    if (is_too_far_behind()) {
      alarms.emplace_back(
          "the vaults are too far behind: nothing more is read from the server until they catch up, and commits "
          "that wait for this agent wait for them");
    }
    if (standing->is_degraded && promise_.policy == RpoPolicy::Bounded) {
      alarms.emplace_back("commits are acknowledged that the vaults do not hold: protection is degraded");
    }
  }
  for (const auto& [vault, breach] : breaches_) alarms.push_back(breach);
  if (left_exposure_.has_value()) {
    alarms.push_back("commits from " + pg::to_text(left_exposure_->from) + " to " + pg::to_text(left_exposure_->to) +
                     " were acknowledged without the vaults, in a journal that has ended, and the vaults do not hold "
                     "them all yet");
  }
  return alarms;
}

}  // namespace exclave::agent
