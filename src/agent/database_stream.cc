#include "agent/database_stream.h"

#include <algorithm>

#include "base/text.h"
#include "engine/log_terms.h"
#include "env/file_system.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kCommandTime = 30s;
constexpr auto kReportEvery = 5s;  // wal_sender_timeout is a minute, by default
constexpr auto kPublishEvery = 500ms;
constexpr auto kIdleWait = 200ms;
constexpr auto kBusyWait = 20ms;  // while frames are outstanding: how late a budget's end may be noticed
constexpr auto kStopWait = 3s;    // a server that stops waits for us so long
constexpr auto kFirstPause = 100ms;
constexpr auto kLongestPause = 1s;  // commits wait for it when a server is back, or another one took over
constexpr std::chrono::nanoseconds kClocksApart = 5min;  // of a coordinator and a member, at most
constexpr std::size_t kMostAlarms = 20;

std::string in_full(const Error& error) {
  return error.hint_text().empty() ? error.message() : error.message() + " (" + error.hint_text() + ")";
}

}  // namespace

DatabaseStream::DatabaseStream(const Place& place, DatabaseOptions options, std::unique_ptr<env::Waker> waker)
    : place_(place),
      options_(std::move(options)),
      waker_(std::move(waker)),
      memory_(place.env.files, place.directory, options_.dataset),
      resume_(memory_),
      journal_(place_, options_, {memory_, resume_, commits_, *waker_}),
      gate_(place.env.clock, [this] { waker_->wake(); }),
      server_(place.env.clock, options_.endpoint, options_.slot, gate_) {
  publish();
}

DatabaseStream::~DatabaseStream() = default;

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

void DatabaseStream::note_trouble(std::string text) {
  if (trouble_ != text) place_.env.log.write(env::LogLevel::Warning, "dataset " + options_.dataset + ": " + text);
  trouble_ = std::move(text);
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
  const std::optional<LogStanding> log = journal_.standing();
  if (log.has_value()) status.log = *log;
  status.at_ns = place_.env.clock.now().nanoseconds;
  status.alarms = alarms_;
  for (std::string& alarm : journal_.alarms(log, status.is_waited_for)) status.alarms.push_back(std::move(alarm));
  if (unread_.has_value() && unread_ != trouble_) status.alarms.push_back(*unread_);
  if (trouble_.has_value()) status.alarms.push_back(*trouble_);
  if (!status.is_waited_for && options_.policy != RpoPolicy::Async && server_.was_seen()) {
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
  if (ended.ok() && journal_.is_open()) {
    keep_position();
    ended = journal_.finish();
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
    if (!system_.has_value()) {
      const Status recalled = recall_exposure();
      unread_ = recalled.ok() ? std::nullopt : std::optional(in_full(recalled.error()));
      if (unread_.has_value()) publish();
    }
    Status done = connect_and_stream(stop);
    gate_.disconnected();
    state_ = StreamState::Connecting;
    if (stop.stop_requested()) break;
    if (!done.ok()) {
      const Code code = done.error().code();
      const bool can_mend = code == Code::Unavailable || code == Code::Precondition || code == Code::Denied ||
                            code == Code::NotFound || code == Code::Corrupt || code == Code::Exhausted;
      if (!can_mend || (journal_.has_failed() && code != Code::Exhausted)) return done;
      if (journal_.has_failed()) leave_failed_journal();
      note_trouble(in_full(done.error()));
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

// What is left in spools goes to the vaults before the server answers, who may never do so again.
Status DatabaseStream::recall_exposure() {
  const auto left = TRY(memory_.position());
  return journal_.recall(left.has_value() ? left->exposed : std::nullopt);
}

Status DatabaseStream::prepare(const pg::ServerFacts& facts) {
  if (!system_.has_value()) {  // later compared by check_server_facts
    TRY(memory_.check_system(facts.system));
    const auto left = TRY(resume_.recall());
    if (left.has_value()) commits_.recall(left->commit);
    TRY(recall_exposure());
    unread_.reset();
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
  // The slot stands at what was reported last, which is written down only now and then; unless it was made anew.
  if (resume_.end().has_value()) journal_.acknowledged_before(*slot.restart);
  // A slot that was made anew, on a server that took over, by us or by others, may begin behind what was acknowledged last.
  // If the server has no log from there any more it says so, and base backups are told of.
  return resume_.end().value_or(*slot.restart);
}

bool DatabaseStream::keep_position() {
  last_keep_ = place_.env.clock.monotonic();
  const pg::Lsn safe = journal_.safe();  // before exposed() is asked, which reaches as far
  const Status kept = resume_.keep(safe, commits_.last_acknowledged(), journal_.exposed());
  if (!kept.ok()) note_trouble("the position cannot be written: " + kept.error().message());
  if (kept.ok() && resume_.is_shown()) journal_.exposure_is_kept();
  return kept.ok();  // if not: an older one means that more is sent again
}

// Home's own failover may have gone back behind what was acknowledged here. The branch that was acknowledged is kept: it is
// in the journal so far. What the server has now begins a journal of its own, and a person chooses.
Status DatabaseStream::follow_fork(pg::Lsn switch_point) {
  const pg::Lsn acknowledged = journal_.is_open() ? journal_.safe() : *resume_.end();
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
  const pg::Lsn safe = journal_.is_open() ? journal_.safe() : *resume_.end();
  const Status ended = journal_.end();
  commits_.leave_at(switch_point);
  resume_.leave_at(std::min(switch_point, safe));
  return ended;
}

// The spool's disk was full: the journal takes no more frames. What k vaults do not hold of it comes from the server once more,
// into the next one; this one is brought to its end as those of earlier runs are.
void DatabaseStream::leave_failed_journal() {
  const pg::Lsn safe = journal_.safe();
  ignore(journal_.end(), "its disk has no room for an end either");
  commits_.leave_at(safe);
  resume_.go_back_to(safe);
}

// The server has removed log that nobody else has, say because its slot was lost.
Status DatabaseStream::begin_anew(const Error& why) {
  raise("the server no longer has its log from " + pg::to_text(resume_.end().value_or(pg::Lsn())) +
        " on: base backups taken before now reach only up to there. Take a new one: exclave backup --database " +
        options_.dataset + " (" + why.message() + ")");
  TRY(journal_.end());
  TRY(resume_.forget(journal_.exposed()));
  return Error(Code::Unavailable, "a new journal begins where the server's slot does");
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
  journal_.drop_gathered();
  commits_.drop_unframed();
  if (journal_.is_open()) TRY(journal_.settle());

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
  if (!journal_.is_open()) {
    const format::LogSource source = {facts.system.value(), facts.version.major.value(), facts.segment_size.bytes()};
    TRY(journal_.open(source, history_.history.timeline_of(start), start));
  }
  TRY(journal_.follow(history_));

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
    if (!ended.ok()) return journal_.has_failed() ? ended.error() : after(ended.error());
    if (!ended.value().has_value()) return {};
    TRY(flush_frame());
    TRY(journal_.settle());
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
    TRY(journal_.follow(history_));
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
      if (journal_.is_full() || must_reply) break;
      event = TRY(connection.next_now());
    }
    TRY(flush_frame());
    TRY(acknowledge(connection, must_reply, stop));
    TRY(journal_.tend());
    if (holds_up_a_stop(connection)) {
      return Error(
          Code::Unavailable,
          "the server has stopped, and the vaults do not hold the end of its log yet: its slot keeps that for them");
    }
  }
  return std::optional<pg::TimelineEnded>();
}

bool DatabaseStream::holds_up_a_stop(const pg::ReplicationConnection& connection) const {
  return checker_.has_value() && checker_->is_at_stop() && connection.reported() < connection.received() &&
         place_.env.clock.monotonic() - last_data_ > kStopWait;
}

Result<pg::WalEvent> DatabaseStream::wait(pg::ReplicationConnection& connection, const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  if (journal_.is_too_far_behind()) {  // I6
    waker_->wait(kIdleWait);
    return pg::WalEvent(pg::Nothing{});
  }
  const auto longest = journal_.has_outstanding() || gate_.is_held() ? kBusyWait : kIdleWait;
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
  last_data_ = place_.env.clock.monotonic();
  if (!resume_.is_shown()) TRY(compare(data));
  ByteView rest = data.bytes;
  pg::Lsn at = data.start;
  const pg::Lsn next = journal_.gathered_end();
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
    if (journal_.is_full()) TRY(flush_frame());
    const ByteView some = rest.first(std::min(rest.size(), LogFramer::kMostPieceBytes));
    journal_.gather(timeline_, at, some);
    rest = rest.subspan(some.size());
    at = at + some.size();
  }
  return {};
}

Status DatabaseStream::flush_frame() {
  if (!journal_.has_gathered()) return {};
  TRY(journal_.flush());
  if (checker_.has_value() && checker_->last_timed().has_value())
    resume_.remember(*checker_->last_timed(), segment_size_, place_.env.clock.monotonic());
  return {};
}

Status DatabaseStream::acknowledge(pg::ReplicationConnection& connection, bool now, const std::stop_token& stop) {
  TRY(journal_.look(server_.is_waited_for()));
  gate_.set_trusted(server_.is_waited_for() && !journal_.is_degraded() && !journal_.has_left_exposure());
  pg::Lsn flushed = std::min(journal_.safe(), connection.received());
  // What is reported moves the slot, also back: to log that the server may have removed.
  if (!resume_.is_shown() || flushed < slot_restart_) flushed = pg::Lsn();
  const env::Instant time = place_.env.clock.monotonic();
  const bool is_news = flushed > connection.reported() && !gate_.is_held();
  commits_.acknowledged(flushed);
  // Whoever is killed after commits were acknowledged without the vaults shall know of it.
  const bool has_exposure_news = resume_.is_shown() && journal_.has_exposure_news();
  const bool must = resume_.must_keep(flushed, segment_size_) || (has_exposure_news && journal_.exposed().has_value());
  const bool is_due = must || has_exposure_news || time - last_keep_ > kReportEvery;
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
  return journal_.cuts().keep(cut, deadline).in([&] { return "dataset " + options_.dataset; });
}

}  // namespace exclave::agent
