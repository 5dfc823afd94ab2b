#include "agent/database_stream.h"

#include <algorithm>

#include "base/text.h"
#include "engine/log_terms.h"
#include "env/file_system.h"
#include "format/stream.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kCommandTime = 30s;
constexpr auto kReportEvery = 5s;  // wal_sender_timeout is a minute, by default
constexpr auto kPublishEvery = 500ms;
constexpr auto kRollEvery = 60s;
constexpr auto kRefusedRollEvery = 2s;  // a disk that fails again and again shall not cost a segment each time
constexpr auto kPeriodLook = 500ms;
constexpr auto kIdleWait = 200ms;
constexpr auto kBusyWait = 20ms;  // while frames are outstanding: how late a budget's end may be noticed
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 1s;  // commits wait for it when a server is back, or another one took over
constexpr auto kFinishTime = 10s;
constexpr auto kShortFinish = 1s;       // once k vaults have everything: what the others lack is in the spool
constexpr auto kLongestLanePause = 2s;  // a vault that is back is wanted soon
constexpr std::chrono::nanoseconds kClocksApart = 5min;  // of a coordinator and a member, at most
constexpr std::size_t kMostAlarms = 20;
constexpr std::string_view kSpoolFolder = "spool";

}  // namespace

std::string spools_folder(std::string_view directory) {
  return env::join_path(directory, kSpoolFolder);
}

DatabaseStream::DatabaseStream(const Place& place, DatabaseOptions options, std::unique_ptr<env::Waker> waker)
    : place_(place),
      options_(std::move(options)),
      waker_(std::move(waker)),
      memory_(place.env.files, place.directory, options_.dataset),
      resume_(memory_),
      gate_(place.env.clock, [this] { waker_->wake(); }),
      server_(place.env.clock, options_.endpoint, options_.slot, gate_),
      cuts_(place.env.clock, [this] { waker_->wake(); }) {
  publish();
}

DatabaseStream::~DatabaseStream() = default;

std::string DatabaseStream::spool_in_use() const {
  const MutexLock lock(mutex_);
  return spool_in_use_;
}

void DatabaseStream::left_journals_are_held(const std::string& beside) {
  const MutexLock lock(mutex_);
  left_held_beside_ = beside;
}

DatabaseStatus DatabaseStream::status() const {
  const MutexLock lock(mutex_);
  return published_;
}

void DatabaseStream::raise(std::string alarm) {
  if (std::count(alarms_.begin(), alarms_.end(), alarm) > 0) return;
  place_.env.log.write(env::LogLevel::Error, "dataset " + options_.dataset + ": " + alarm);
  if (alarms_.size() >= kMostAlarms) alarms_.erase(alarms_.begin());
  alarms_.push_back(std::move(alarm));
}

void DatabaseStream::publish() {
  DatabaseStatus status;
  status.dataset = options_.dataset;
  status.state = state_;
  status.policy = options_.policy;
  status.is_waited_for = server_.is_waited_for();
  status.system = system_;
  status.timeline = timeline_;
  status.server_end = server_end_;
  status.commits_received = commits_.received();
  status.commits_outstanding = commits_.outstanding();
  if (ledger_.has_value()) {
    status.is_degraded = ledger_->is_degraded();
    status.received = framer_.is_empty() ? std::max(framed_end_, ledger_->appended_end()) : framer_.end();
    status.durable = ledger_->durable_end();
    status.acknowledged = ledger_->flush();
    status.waits = ledger_->waits().summary(place_.env.clock.monotonic());
    if (const auto oldest = ledger_->oldest_outstanding())
      status.oldest_outstanding = place_.env.clock.monotonic() - *oldest;
  }
  if (journal_ != nullptr) status.journal = journal_->progress();
  constexpr auto kLongWait = 10s;
  status.alarms = alarms_;
  if (status.oldest_outstanding.has_value() && *status.oldest_outstanding > kLongWait &&
      options_.policy == RpoPolicy::Sync && server_.is_waited_for()) {
    status.alarms.push_back(
        "commits have waited for the vaults for " +
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*status.oldest_outstanding).count()) + " s");
  }
  status.at_ns = place_.env.clock.now().nanoseconds;
  if (status.journal.unvouched_for.value_or(0s) > kLongWait) {
    status.alarms.push_back("vaults have confirmed what they do not sign for: their word alone says that they hold it");
  }
  if (trouble_.has_value()) status.alarms.push_back(*trouble_);
  if (ledger_.has_value() && commits_.outstanding_bytes() > most_outstanding())
    status.alarms.push_back(
        "the vaults are too far behind: nothing more is read from the server until they catch up, and commits "
        "that wait for this agent wait for them");
  if (ledger_.has_value() && ledger_->is_degraded() && options_.policy == RpoPolicy::Bounded)
    status.alarms.push_back("commits are acknowledged that the vaults do not hold: protection is degraded");
  if (left_exposure_.has_value())
    status.alarms.push_back("commits from " + pg::to_text(left_exposure_->from) + " to " +
                            pg::to_text(left_exposure_->to) +
                            " were acknowledged without the vaults, in a journal that has ended, and the vaults do "
                            "not hold them all yet");
  if (!server_.is_waited_for() && options_.policy != RpoPolicy::Async && system_.has_value()) {
    status.cautions.push_back("the server does not wait for " + options_.endpoint.application_name +
                              " alone (synchronous_standby_names): commits may be acknowledged that no vault holds");
  }
  const std::vector<std::string> cautions = server_.cautions();
  status.cautions.insert(status.cautions.begin(), cautions.begin(), cautions.end());
  last_publish_ = place_.env.clock.monotonic();
  const MutexLock lock(mutex_);
  published_ = std::move(status);
}

Status DatabaseStream::run(std::stop_token stop) {
  Status ended = stream_until(stop);
  state_ = StreamState::Stopped;
  if (ended.ok() && journal_ != nullptr) {
    keep_position();
    ended = finish_journal();
  }
  // Whatever it is: nobody else says why there is no stream.
  if (!ended.ok()) raise(ended.error().message());
  publish();
  return ended;
}

Status DatabaseStream::stream_until(const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  TRY(place_.env.files.make_directories(place_.directory, env::kPrivateDirectory));
  std::chrono::nanoseconds pause = kFirstPause;
  while (!stop.stop_requested()) {
    const env::Instant began = clock.monotonic();
    Status done = connect_and_stream(stop);
    gate_.disconnected();
    state_ = StreamState::Connecting;
    if (stop.stop_requested()) break;
    if (!done.ok()) {
      const Code code = done.error().code();
      const bool can_mend = code == Code::Unavailable || code == Code::Precondition || code == Code::Denied ||
                            code == Code::NotFound || code == Code::Corrupt || code == Code::Exhausted;
      if (!can_mend || (journal_failed_ && code != Code::Exhausted)) return done;
      if (journal_failed_) leave_failed_journal();
      trouble_ = done.error().message();
      if (!done.error().hint_text().empty()) *trouble_ += " (" + done.error().hint_text() + ")";
    }
    publish();
    // Quickly at first, so that a server that was restarted has its commits acknowledged within a second.
    pause = clock.monotonic() - began > kLongestPause ? kFirstPause
                                                      : std::min<std::chrono::nanoseconds>(pause * 2, kLongestPause);
    const env::Instant again = clock.monotonic() + pause;
    while (!stop.stop_requested() && clock.monotonic() < again)
      TRY(clock.sleep_until(clock.monotonic() + kFirstPause / 2));
  }
  return {};
}

Status DatabaseStream::prepare(const pg::ServerFacts& facts) {
  if (!system_.has_value()) {  // later compared by check_server_facts
    TRY(memory_.check_system(facts.system));
    const auto left = TRY(resume_.recall());
    if (left.has_value()) {
      commits_.recall(left->commit);
      left_exposure_ = left->exposed;
    }
    system_ = facts.system;
  }
  TRY(pg::check_server_facts(facts, system_));
  if (options_.policy == RpoPolicy::Sync) TRY(pg::check_waits(facts.version));
  server_.note(facts);
  return {};
}

Result<pg::Lsn> DatabaseStream::start_position(pg::ReplicationConnection& connection, const pg::Until& until) {
  TRY(connection.create_physical_slot(options_.slot, pg::SlotReserve::Now, until));
  if (const auto parted = resume_.parted_at(history_.history)) TRY(follow_fork(*parted));
  const pg::SlotPosition slot = TRY(connection.read_slot(options_.slot, until));
  if (!slot.restart.has_value())
    return Error(Code::Precondition, "slot '" + options_.slot + "' keeps no log").hint("drop it: it is made anew");
  slot_restart_ = *slot.restart;
  // The slot stands at what was reported last, which is written down only now and then.
  if (journal_ == nullptr && left_exposure_.has_value())
    left_exposure_->to = std::max(left_exposure_->to, *slot.restart);
  // A slot that was made anew, on a server that took over, by us or by others, may begin behind what was acknowledged last.
  // If the server has no log from there any more it says so, and base backups are told of.
  return resume_.end().value_or(*slot.restart);
}

std::optional<Exposure> DatabaseStream::exposed() const {
  std::optional<Exposure> all = left_exposure_;
  if (!ledger_.has_value()) return all;
  const auto now = ledger_->exposure(place_.env.clock.now());
  if (!now.has_value()) return all;
  const Exposure here{engine::lsn(now->from), engine::lsn(now->to),
                      env::Timestamp::from_seconds(env::Timestamp{now->began_ns}.seconds())};
  if (!all.has_value()) return here;
  return Exposure{std::min(all->from, here.from), std::max(all->to, here.to), std::min(all->since, here.since)};
}

bool DatabaseStream::keep_position() {
  last_keep_ = place_.env.clock.monotonic();
  const Status kept = resume_.keep(ledger_->flush(), commits_.last_acknowledged(), exposed());
  if (!kept.ok()) trouble_ = "the position cannot be written: " + kept.error().message();
  return kept.ok();  // if not: an older one means that more is sent again
}

Status DatabaseStream::tell_left_exposure() {
  if (!left_exposure_.has_value()) return {};
  {
    const MutexLock lock(mutex_);
    if (left_held_beside_ != spool_in_use_) return {};
  }
  format::LossExposure exposure;
  exposure.log = log_id_;
  exposure.from = format::LogPosition(left_exposure_->from.value());
  exposure.to = format::LogPosition(left_exposure_->to.value());
  exposure.began_ns = left_exposure_->since.nanoseconds;
  exposure.ended_ns = place_.env.clock.now().nanoseconds;
  exposure.reason = "vaults did not confirm before their journal ended";
  TRY(settle());
  TRY(journal_->append(format::encode_record(exposure)));
  left_exposure_.reset();
  keep_position();
  return {};
}

// Home's own failover may have gone back behind what was acknowledged here. The branch that was acknowledged is kept: it is
// in the journal so far. What the server has now begins a journal of its own, and a person chooses.
Status DatabaseStream::follow_fork(pg::Lsn switch_point) {
  const pg::Lsn acknowledged = ledger_.has_value() ? ledger_->flush() : *resume_.end();
  const pg::Timeline left = resume_.history().timeline_of(switch_point);
  const std::string where = "the server left timeline " + pg::to_text(left) + " at " + pg::to_text(switch_point) +
                            ", and everything up to " + pg::to_text(acknowledged) + " had been acknowledged";
  if (switch_point < commits_.last_acknowledged()) {
    raise("home dropped acknowledged commits: " + where + "; the dropped branch is kept in the vaults");
  } else if (switch_point < acknowledged) {
    place_.env.log.write(env::LogLevel::Info, "dataset " + options_.dataset + ": " + where +
                                                  ": a piece of a record that was not finished, no commit");
  }
  return leave_branch(switch_point);
}

// What k vaults do not hold yet of the way to there lies in the spool alone. The next journal, whose ledger takes everything
// before its start for safe, holds it once more.
Status DatabaseStream::leave_branch(pg::Lsn switch_point) {
  const pg::Lsn safe = ledger_.has_value() ? ledger_->flush() : *resume_.end();
  const Status ended = end_journal();
  commits_.leave_at(switch_point);
  resume_.leave_at(std::min(switch_point, safe));
  return ended;
}

// The spool's disk was full: the journal takes no more frames. What k vaults do not hold of it comes from the server once more,
// into the next one; this one is brought to its end as those of earlier runs are.
void DatabaseStream::leave_failed_journal() {
  const pg::Lsn safe = ledger_->flush();
  ignore(end_journal(), "its disk has no room for an end either");
  commits_.leave_at(safe);
  resume_.go_back_to(safe);
  journal_failed_ = false;
}

Status DatabaseStream::finish_journal() {
  ignore(settle(), "what could not be appended was not acknowledged: the server has it");
  frames_.reset();
  journal_->take_answers();
  const bool is_durable = journal_->durable() >= journal_->progress().appended;
  return journal_->finish(place_.env.clock.monotonic() +
                          (is_durable ? std::chrono::nanoseconds(kShortFinish) : kFinishTime));
}

// Records of one journal follow each other without overlap; who goes back begins another.
Status DatabaseStream::end_journal() {
  if (journal_ == nullptr) return {};
  left_exposure_ = exposed();
  const Status finished = finish_journal();
  journal_.reset();
  ledger_.reset();
  waits_ = {};
  commits_.journal_ended();
  return finished;
}

// The server has removed log that nobody else has, say because its slot was lost.
Status DatabaseStream::begin_anew(const Error& why) {
  raise("the server no longer has its log from " + pg::to_text(resume_.end().value_or(pg::Lsn())) +
        " on: base backups taken before now reach only up to there. Take a new one: exclave backup --database " +
        options_.dataset + " (" + why.message() + ")");
  TRY(end_journal());
  TRY(resume_.forget());
  return Error(Code::Unavailable, "a new journal begins where the server's slot does");
}

Result<format::StreamDescriptor> DatabaseStream::new_stream(std::uint64_t start) const {
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

Status DatabaseStream::open_journal(const pg::ServerFacts& facts, pg::Timeline timeline, pg::Lsn start) {
  env::Env& env = place_.env;
  const std::uint64_t place_in_order = TRY(memory_.next_journal_start(env.clock.now()));
  spread::JournalOptions options;
  options.durable_copies = place_.policy.quorum.k;
  options.spool_directory = env::join_path(spools_folder(place_.directory), std::to_string(place_in_order));
  {
    const MutexLock lock(mutex_);
    spool_in_use_ = options.spool_directory;
  }
  options.longest_pause = kLongestLanePause;
  options.spool_limit_bytes = options_.spool_limit_bytes;
  options.on_news = [this] { waker_->wake(); };
  options.sends_directly = true;
  options.waker = waker_.get();
  const format::StreamDescriptor descriptor = TRY(new_stream(place_in_order));
  auto journal = TRY(spread::JournalWriter::open(
      {env.clock, env.random, env.files, env.threads}, place_.vaults,
      format::SignedStream::sign(descriptor, place_.writer), place_.writer, [this] { return place_.periods.current(); },
      options));
  format::JournalOpening opening;
  opening.dataset = options_.dataset;
  opening.source = {facts.system.value(), facts.version.major.value(), facts.segment_size.bytes()};
  opening.timeline = format::LogTimeline(timeline.value());
  opening.start = format::LogPosition(start.value());
  opening.opened_ns = env.clock.now().nanoseconds;
  log_id_ = format::log_id(opening.dataset, opening.source);
  framer_.set_log(log_id_);
  TRY(journal->append(format::encode_record(opening)));
  frames_ = TRY(FrameWriter::start(
      env.threads, options_.dataset, [writer = journal.get()](ByteView record) { return writer->append(record); },
      [this] { waker_->wake(); }));
  journal_ = std::move(journal);
  framed_end_ = start;
  ++journals_opened_;
  ledger_.emplace(options_.policy, options_.budget, start);
  last_roll_ = env.clock.monotonic();
  return {};
}

// Also now and then again: a release may open the journal from the middle on.
Status DatabaseStream::write_history() {
  if (history_.history.timeline == pg::Timeline(1)) return {};
  TRY(settle());
  TRY(journal_->append(format::encode_record(
      format::JournalHistory{log_id_, format::LogTimeline(history_.history.timeline.value()), history_.text})));
  return {};
}

// A checker that watches from `start` on. It is an alarm, no gate: without one the log is stored all the same.
void DatabaseStream::watch(const pg::ServerFacts& facts, const pg::TimelineHistory& history, pg::Lsn start) {
  pg::WalStart watched;
  watched.major = facts.version.major;
  watched.system = facts.system;
  watched.segment_size = facts.segment_size;
  watched.history = history;
  watched.start = start;
  auto checker = pg::WalChecker::create(watched);
  checker_.reset();
  if (checker.ok()) checker_.emplace(checker.take());
  commits_before_checker_ = commits_.received();
}

Status DatabaseStream::connect_and_stream(const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  const auto until = [&] { return pg::Until{clock.monotonic() + kCommandTime, stop}; };

  // What a broken connection left half gathered comes again.
  framer_.clear();
  commits_.drop_unframed();
  if (frames_ != nullptr) TRY(settle());

  // 1. Is this our server, and is it set up so that protection is possible?
  const pg::ServerFacts facts = TRY(pg::read_server_facts(clock, options_.endpoint, options_.slot, until()));
  TRY(prepare(facts));
  segment_size_ = facts.segment_size;
  auto connection = TRY(pg::ReplicationConnection::open(clock, options_.endpoint, until()));
  const pg::SystemIdentity identity = TRY(connection.identify_system(until()));
  if (identity.system != facts.system) return Error(Code::Unavailable, "the server changed while it was looked at");

  // 2. From where: what was received before, or the slot's position.
  history_ = {{}, {identity.timeline, {}}};
  if (identity.timeline != pg::Timeline(1)) history_ = TRY(connection.timeline_history(identity.timeline, until()));
  const pg::Lsn start = TRY(start_position(connection, until()));
  TRY(check_has_log(facts, identity, start));
  const std::optional<LogStretch> shown_again = resume_.connected(history_.history, start);
  if (journal_ == nullptr) TRY(open_journal(facts, history_.history.timeline_of(start), start));
  TRY(write_history());

  // 3. Timeline after timeline, from what the server is to show again.
  const pg::Lsn from = shown_again.has_value() ? shown_again->from : start;
  return follow_timelines(connection, facts, from, identity.flushed, stop);
}

Status DatabaseStream::check_has_log(const pg::ServerFacts& facts, const pg::SystemIdentity& identity, pg::Lsn start) {
  if (start <= identity.flushed || history_.history.timeline_of(start) != identity.timeline) return {};
  return Error(Code::Unavailable, "the server has its log only up to " + pg::to_text(identity.flushed) +
                                      ", and up to " + pg::to_text(start) + " it is here already")
      .hint(facts.is_in_recovery ? "it is a standby that has not taken over: look at where the connection leads"
                                 : "has it gone back, or lost log? Look at it before anything is written there");
}

Status DatabaseStream::follow_timelines(pg::ReplicationConnection& connection, const pg::ServerFacts& facts, pg::Lsn at,
                                        pg::Lsn flushed, const std::stop_token& stop) {
  const auto until = [&] { return pg::Until{place_.env.clock.monotonic() + kCommandTime, stop}; };
  timeline_ = history_.history.timeline_of(at);
  while (true) {
    watch(facts, history_.history.as_of(timeline_), at);
    gate_.connected(timeline_, std::max(flushed, at));
    TRY(connection.start_replication(options_.slot, at, timeline_, until()));
    if (resume_.is_shown()) note_streaming();
    publish();
    const auto ended = stream(connection, stop);
    if (!ended.ok()) return journal_failed_ ? ended.error() : after(ended.error());
    if (!ended.value().has_value()) return {};
    TRY(flush_frame());
    TRY(settle());
    const pg::TimelineEnded& end = *ended.value();
    // What is here may lie on a timeline that follows.
    const auto left = resume_.history().left_at(timeline_);
    const bool is_on_the_way = left.ok() && left.value() == end.switch_point;
    if (!is_on_the_way && end.switch_point < *resume_.end()) {
      TRY(follow_fork(end.switch_point));
      return Error(Code::Unavailable, "the server left its timeline at " + pg::to_text(end.switch_point) +
                                          ", before what was received; a new journal begins there");
    }
    history_ = TRY(connection.timeline_history(end.next, until()));
    resume_.switched(history_.history);
    TRY(write_history());
    at = end.switch_point;
    timeline_ = end.next;
  }
}

// A stream that ended, and how the next connection goes on.
Status DatabaseStream::after(const Error& why) {
  if (!pg::is_log_removed(why)) return why;
  if (resume_.is_shown()) return begin_anew(why);
  resume_.take_at_its_word();
  return Error(Code::Unavailable, "the server has removed the end of what was received last: it is taken at its word");
}

Result<std::optional<pg::TimelineEnded>> DatabaseStream::stream(pg::ReplicationConnection& connection,
                                                                const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pg::WalEvent event = TRY(wait(connection, stop));
    bool must_reply = false;
    // Everything that is readable goes into frames; what is together there is acknowledged together.
    while (!std::holds_alternative<pg::Nothing>(event)) {
      if (const auto* data = std::get_if<pg::WalData>(&event)) TRY(take(*data));
      if (const auto* alive = std::get_if<pg::Keepalive>(&event)) {
        server_end_ = alive->server_end;
        must_reply = must_reply || alive->reply_now;
      }
      if (const auto* ended = std::get_if<pg::TimelineEnded>(&event)) return std::optional(*ended);
      if (std::holds_alternative<pg::ServerClosed>(event)) {
        TRY(flush_frame());
        return Error(Code::Unavailable, "the server has shut down");
      }
      if (framer_.is_full() || must_reply) break;
      event = TRY(connection.next_now());
    }
    TRY(flush_frame());
    TRY(acknowledge(connection, must_reply, stop));
    TRY(write_cuts());
    TRY(roll_if_due());
  }
  return std::optional<pg::TimelineEnded>();
}

std::uint64_t DatabaseStream::most_outstanding() const {
  // Commits do not wait for the vaults then: what is acknowledged lies in the spool, as far as that may grow.
  if (ledger_->is_degraded()) return std::max(kMostOutstandingBytes, options_.spool_limit_bytes);
  return kMostOutstandingBytes;
}

Result<pg::WalEvent> DatabaseStream::wait(pg::ReplicationConnection& connection, const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  if (commits_.outstanding_bytes() > most_outstanding()) {  // I6
    waker_->wait(kIdleWait);
    return pg::WalEvent(pg::Nothing{});
  }
  const auto longest = ledger_->has_outstanding() || gate_.is_held() ? kBusyWait : kIdleWait;
  return connection.next({clock.monotonic() + longest, stop}, waker_.get());
}

// The trouble of the connections before is over.
void DatabaseStream::note_streaming() {
  state_ = StreamState::Streaming;
  trouble_.reset();
}

Status DatabaseStream::compare(const pg::WalData& data) {
  const LogStretch stretch = resume_.expected();
  const ResumePoint::Shown shown = resume_.look(data.start, data.bytes);
  if (shown == ResumePoint::Shown::Same) note_streaming();
  if (shown != ResumePoint::Shown::Another) return {};
  // How far both go together nobody knows, but from where on they may part.
  const pg::Timeline number = resume_.history().timeline_of(pg::Lsn(stretch.to.value() - 1));
  raise("the server's log is another one than was received before: up to " + pg::to_text(stretch.to) + ", timeline " +
        pg::to_text(number) +
        " came from another server, or this one went back to a copy of itself. What was acknowledged of it may be "
        "missing here; it is kept in the vaults. Take a new base backup: exclave backup --database " +
        options_.dataset);
  TRY(leave_branch(resume_.history().began_at(number)));
  return Error(Code::Unavailable, "a new journal begins where the two may part");
}

// The checker is an alarm, no gate.
void DatabaseStream::check(ByteView bytes) {
  if (!checker_.has_value()) return;
  const Status whole = checker_->feed(bytes);
  if (whole.ok()) return;
  raise("the server sends a damaged log: " + whole.error().message());
  checker_.reset();
}

Status DatabaseStream::take(const pg::WalData& data) {
  server_end_ = std::max(server_end_, data.server_end);
  if (!resume_.is_shown()) TRY(compare(data));
  ByteView rest = data.bytes;
  pg::Lsn at = data.start;
  const pg::Lsn next = framer_.is_empty() ? framed_end_ : framer_.end();
  if (at < next) {  // a look back: its commits were counted
    const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), pg::bytes_between(at, next)));
    check(rest.first(known));
    if (checker_.has_value()) commits_before_checker_ = commits_.received() - checker_->commits();
    rest = rest.subspan(known);
    at = at + known;
  }
  check(rest);
  if (checker_.has_value()) {
    const auto& last = checker_->last_commit();
    commits_.received(commits_before_checker_ + checker_->commits(), last.has_value() ? last->end : pg::Lsn());
  } else if (!rest.empty()) {
    commits_.received(commits_.received(), at + rest.size());  // nobody knows
  }
  resume_.received(at, rest);
  while (!rest.empty()) {
    if (framer_.is_full()) TRY(flush_frame());
    const ByteView some = rest.first(std::min(rest.size(), LogFramer::kMostPieceBytes));
    framer_.add(timeline_, at, some);
    rest = rest.subspan(some.size());
    at = at + some.size();
  }
  return {};
}

Status DatabaseStream::flush_frame() {
  if (framer_.is_empty()) return {};
  const pg::Lsn end = framer_.end();
  TRY(of_journal(frames_->write(framer_, commits_.received())));
  framed_end_ = end;
  commits_.framed(end);
  if (checker_.has_value() && checker_->last_timed().has_value())
    resume_.remember(*checker_->last_timed(), segment_size_, place_.env.clock.monotonic());
  return {};
}

Status DatabaseStream::of_journal(Status done) {
  if (!done.ok()) journal_failed_ = true;
  return done;
}

Status DatabaseStream::note_frames() {
  const auto written = frames_->take_written();
  if (!written.ok()) return of_journal(written.error());
  for (const FrameWriter::Written& frame : written.value()) {
    ledger_->appended(frame.frame, frame.end, place_.env.clock.monotonic());
    resume_.appended(frame.end);
    const std::uint64_t in_spool = format::frame_bytes(static_cast<std::size_t>(frame.bytes));
    commits_.appended(frame.frame, frame.commits, in_spool);
  }
  return {};
}

Status DatabaseStream::settle() {
  TRY(of_journal(frames_->settle()));
  return note_frames();
}

Status DatabaseStream::acknowledge(pg::ReplicationConnection& connection, bool now, const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  TRY(note_frames());
  journal_->take_answers();
  last_durable_ = journal_->durable();
  ledger_->durable(last_durable_, clock.monotonic());
  commits_.durable(last_durable_);
  if (ledger_->look(clock.monotonic(), clock.now())) TRY(note_mode());
  tell_waits();
  if (ledger_->wants_spool()) {
    TRY(settle());
    TRY(of_journal(journal_->sync_spool()));
    ledger_->spooled();
  }
  gate_.set_trusted(server_.is_waited_for() && !ledger_->is_degraded());
  pg::Lsn flushed = std::min(ledger_->flush(), connection.received());
  // What is reported moves the slot, also back: to log that the server may have removed.
  if (!resume_.is_shown() || flushed < slot_restart_) flushed = pg::Lsn();
  const env::Instant time = clock.monotonic();
  const bool is_news = flushed > connection.reported() && !gate_.is_held();
  commits_.acknowledged(flushed);
  const bool must = resume_.must_keep(flushed, segment_size_);
  const bool is_due = must || time - last_keep_ > kReportEvery;
  if (is_due && !keep_position() && must) flushed = std::min(flushed, connection.reported());
  if (now || is_news || time - last_report_ > kReportEvery) {
    TRY(gate_.pass(flushed, [&](pg::Lsn position) {
      return connection.send_status(position, pg::Reply::NotNeeded, {time + kCommandTime, stop});
    }));
    last_report_ = time;
    trouble_.reset();
  }
  if (time - last_publish_ > kPublishEvery) publish();
  return {};
}

// Who looks at the log learns why the registry stands still, and from when to when it did.
void DatabaseStream::tell_waits() {
  const bool do_commits_wait = server_.is_waited_for() && !ledger_->is_degraded();
  const auto notice = waits_.look(place_.env.clock.monotonic(),
                                  do_commits_wait ? ledger_->oldest_outstanding() : std::optional<env::Instant>());
  if (!notice.has_value()) return;
  place_.env.log.write(env::LogLevel::Warning, "dataset " + options_.dataset + ": " +
                                                   in_words(*notice, journal_->progress(), place_.policy.quorum.k));
}

Status DatabaseStream::note_mode() {
  if (ledger_->is_degraded()) {
    place_.env.log.write(env::LogLevel::Error, "dataset " + options_.dataset +
                                                   ": the vaults do not confirm in time; commits are acknowledged "
                                                   "without them until they do");
    keep_position();  // who is killed now shall know of it
    return {};
  }
  auto exposure = ledger_->take_exposure();
  CHECK(exposure.has_value());
  exposure->log = log_id_;
  place_.env.log.write(env::LogLevel::Warning, "dataset " + options_.dataset + ": the vaults hold everything again; " +
                                                   pg::to_text(engine::lsn(exposure->from)) + " to " +
                                                   pg::to_text(engine::lsn(exposure->to)) + " was acknowledged before");
  TRY(settle());
  TRY(journal_->append(format::encode_record(*exposure)));
  return {};
}

Status DatabaseStream::admit(const format::Cut& cut) {
  const format::CutMember* const own = engine::member_of(cut, place_.registry.id, options_.dataset);
  if (own == nullptr) return Error(Code::InvalidInput, "dataset " + options_.dataset + " takes no part in this cut");
  // The newest cut of a group is found by these times.
  const std::chrono::nanoseconds apart(cut.taken_ns - place_.env.clock.now().nanoseconds);
  if (apart > kClocksApart || apart < -kClocksApart) {
    return Error(Code::InvalidInput, "the coordinator's clock and the one of " + options_.dataset +
                                         "'s agent differ by more than five minutes");
  }
  return gate_.admit(cut.id, {engine::timeline(own->timeline), engine::lsn(own->position)});
}

Status DatabaseStream::keep(const format::Cut& cut, env::Instant deadline) {
  TRY(admit(cut));
  return cuts_.keep(cut, deadline).in([&] { return "dataset " + options_.dataset; });
}

// What was handed in is written on this thread, the journal's only one; it leaves the list once k vaults hold it.
Status DatabaseStream::write_cuts() {
  const std::vector<format::Cut> waiting = cuts_.to_write(journals_opened_, last_durable_);
  if (!waiting.empty()) TRY(settle());
  for (const format::Cut& cut : waiting)
    cuts_.written(cut.id, journals_opened_, TRY(journal_->append(format::encode_record(cut))));
  return {};
}

Status DatabaseStream::roll_if_due() {
  const env::Instant now = place_.env.clock.monotonic();
  const bool is_refused = now - last_roll_ >= kRefusedRollEvery && journal_->wants_roll();
  if (!is_refused && now - last_period_look_ < kPeriodLook) return {};
  last_period_look_ = now;
  TRY(tell_left_exposure());
  // A period that has ended ends its segment soon: what comes later belongs to the next one's release.
  const format::PeriodNumber period = place_.periods.period_now();
  const bool has_changed = period_.has_value() && *period_ != period;
  period_ = period;
  const bool must_roll = has_changed || is_refused;
  if (!must_roll && now - last_roll_ < kRollEvery) return {};
  last_roll_ = now;
  TRY(settle());
  const std::uint64_t frames = journal_->progress().appended;
  if (!must_roll && std::exchange(frames_at_roll_, frames) == frames) return {};
  TRY(of_journal(journal_->roll()));
  return write_history();
}

}  // namespace exclave::agent
