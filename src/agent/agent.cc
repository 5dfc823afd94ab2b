#include "agent/agent.h"

#include <algorithm>
#include <set>

#include "agent/cut_taker.h"
#include "base/text.h"
#include "env/file_system.h"
#include "wire/server.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kStatusEvery = 2s;
constexpr auto kClocksEvery = 30s;
constexpr auto kLookEvery = 3s;  // at settings that change while the log streams
constexpr auto kSpoolEvery = 60s;
constexpr auto kSpoolTime = 20s;
constexpr auto kFirstSpool = 1s;
constexpr auto kBaseAgain = 60s;  // after one that failed
constexpr auto kClocksTime = 2s;
constexpr auto kClocksLook = 10ms;
constexpr auto kLook = 100ms;

struct Running {
  const DatabaseConfig* config = nullptr;
  std::unique_ptr<PeriodSource> periods;
  std::unique_ptr<DatabaseStream> stream;
  std::unique_ptr<env::Thread> thread;
  std::string spool_trouble;
  env::Instant next_base;
};

// Before anything is sealed, k vaults are asked what time it is; not for long, because commits wait.
std::unique_ptr<env::Thread> ask_clocks(env::Env& env, VaultClocks& clocks) {
  auto thread = env.threads.start("clocks", [&clocks] { clocks.refresh(); });
  if (!thread.ok()) return nullptr;
  const env::Instant deadline = env.clock.monotonic() + kClocksTime;
  while (!clocks.knows_enough() && env.clock.monotonic() < deadline) {
    if (!env.clock.sleep_until(env.clock.monotonic() + kClocksLook).ok()) break;
  }
  return thread.take();
}

// Everything about cuts: the takers of our groups, and the door for coordinators of other registries.
class Cuts {
 public:
  Cuts(const AgentPlace& place, const AgentConfig& config, std::vector<Running>& databases)
      : place_(place), config_(config), find_([&databases](std::string_view dataset) -> DatabaseStream* {
          for (Running& database : databases) {
            if (database.config->stream.dataset == dataset) return database.stream.get();
          }
          return nullptr;
        }) {}

  Status start(const std::stop_token& stop) {
    env::Env& env = place_.env;
    for (const GroupConfig& group : config_.groups) {
      takers_.push_back(
          TRY(CutTaker::create({env, place_.transport, place_.policy, place_.registry, place_.home}, group, find_)));
      CutTaker* const taker = takers_.back().get();
      threads_.push_back(TRY(env.threads.start("cuts-" + group.name, [taker, stop] { taker->run(stop); })));
    }
    if (config_.listen.empty()) return {};
    std::set<crypto::Ed25519PublicKey> coordinators;
    for (const std::string& name : config_.coordinators) {
      const policy::Registry* const registry = place_.policy.registry(name);
      if (registry == nullptr)
        return Error(Code::InvalidInput, "cuts.coordinators: the policy has no registry '" + printable(name) + "'");
      coordinators.insert(registry->writer);
    }
    service_ = std::make_unique<CutService>(env.clock, std::move(coordinators), find_);
    auto listener = TRY(env.network.listen(config_.listen).in([] { return "cuts"; }));
    server_ =
        TRY(wire::Server::start({env.clock, env.log, env.threads}, std::move(listener), place_.transport, *service_));
    return {};
  }

  // After the stop was requested: the streams live until this returns.
  void stop() {
    for (const auto& thread : threads_) thread->join();
    if (server_ != nullptr) server_->stop(place_.env.clock.monotonic() + 1s);
    server_.reset();
  }

 private:
  const AgentPlace& place_;
  const AgentConfig& config_;
  const FindStream find_;
  std::vector<std::unique_ptr<CutTaker>> takers_;
  std::vector<std::unique_ptr<env::Thread>> threads_;
  std::unique_ptr<CutService> service_;
  std::unique_ptr<wire::Server> server_;
};

// While it lives: after kLeaveAfter calls `leave`, so that no silent vault keeps the daemon.
class LeaveInTime {
 public:
  LeaveInTime(env::Env& env, const std::function<void()>& leave) : monitor_(env.threads.make_monitor()) {
    auto thread = env.threads.start("leave", [this, &env, &leave] {
      const env::Instant deadline = env.clock.monotonic() + kLeaveAfter;
      {
        const env::MonitorLock lock(*monitor_);
        while (!done_ && env.clock.monotonic() < deadline) monitor_->wait_until(deadline);
        if (done_) return;
      }
      leave();
    });
    if (thread.ok()) {
      thread_ = thread.take();
    } else {
      leave();
    }
  }
  ~LeaveInTime() {
    {
      const env::MonitorLock lock(*monitor_);
      done_ = true;
      monitor_->notify_all();
    }
    if (thread_ != nullptr) thread_->join();
  }
  LeaveInTime(const LeaveInTime&) = delete;
  LeaveInTime& operator=(const LeaveInTime&) = delete;

 private:
  std::unique_ptr<env::Monitor> monitor_;
  bool done_ = false;
  std::unique_ptr<env::Thread> thread_;
};

// The base backup that is being taken, and what became of the last ones.
class BaseBackups {
 public:
  ~BaseBackups() {
    if (thread_ != nullptr) thread_->join();
  }
  bool is_running() {
    const MutexLock lock(mutex_);
    return running_;
  }
  std::string trouble_of(const std::string& dataset) {
    const MutexLock lock(mutex_);
    const auto found = troubles_.find(dataset);
    return found == troubles_.end() ? "" : found->second;
  }
  // Whether the last one failed; said once.
  bool take_failure(const std::string& dataset) {
    const MutexLock lock(mutex_);
    return failed_.erase(dataset) > 0;
  }
  void start(env::Env& env, const TakeBase& take, const DatabaseConfig& database) {
    if (thread_ != nullptr) thread_->join();
    {
      const MutexLock lock(mutex_);
      running_ = true;
    }
    auto thread = env.threads.start("base-" + database.stream.dataset,
                                    [this, &env, &take, &database] { run(env, take, database); });
    if (thread.ok()) {
      thread_ = thread.take();
    } else {
      run(env, take, database);
    }
  }

 private:
  void run(env::Env& env, const TakeBase& take, const DatabaseConfig& database) {
    const Status taken = take(database);
    const std::string trouble =
        taken.ok() ? "" : "the last base backup failed, and is tried again in a minute: " + taken.error().message();
    if (!taken.ok()) env.log.write(env::LogLevel::Error, "dataset " + database.stream.dataset + ": " + trouble);
    const MutexLock lock(mutex_);
    troubles_[database.stream.dataset] = trouble;
    if (!taken.ok()) failed_.insert(database.stream.dataset);
    running_ = false;
  }

  std::unique_ptr<env::Thread> thread_;
  Mutex mutex_;
  bool running_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> troubles_ GUARDED_BY(mutex_);
  std::set<std::string> failed_ GUARDED_BY(mutex_);
};

class Keeper {
 public:
  Keeper(const AgentPlace& place, std::vector<Running>& databases, VaultClocks& clocks, const TakeBase& take_base)
      : place_(place), databases_(databases), clocks_(clocks), take_base_(take_base) {}

  // What earlier journals left in their spools goes to the vaults that lack it, beside the one that is written.
  Status recover_spools(Running& database) {
    env::FileSystem& files = place_.env.files;
    const std::string folder = spools_folder(database_directory(place_.home, database.config->stream.dataset));
    const auto names = files.list(folder);
    if (!names.ok() && names.error().code() == Code::NotFound) return {};
    std::string trouble;
    for (const std::string& name : TRY(names)) {
      const std::string spool = env::join_path(folder, name);
      if (spool == database.stream->spool_in_use()) continue;
      const auto left =
          TRY(spread::recover_spool({place_.env.clock, place_.env.random, files, place_.env.threads}, spool,
                                    place_.vaults, place_.writer, place_.env.clock.monotonic() + kSpoolTime));
      std::string why;
      for (const spread::SpooledStream& stream : left) {
        for (const std::string& reason : stream.is_complete ? std::vector<std::string>() : stream.reasons)
          append_item(why, reason, "; ");
      }
      if (why.empty()) {
        TRY(TRY(files.open_directory(folder))->remove(name));
      } else {
        trouble = "the spool holds a journal of an earlier start that not every vault has (" + why + ")";
      }
    }
    const MutexLock lock(mutex_);
    database.spool_trouble = trouble;
    return {};
  }

  // On a thread of its own: a silent vault takes its time.
  void run_spools(const std::stop_token& stop) {
    env::Clock& clock = place_.env.clock;
    env::Instant next = clock.monotonic() + kFirstSpool;
    while (!stop.stop_requested()) {
      if (!clock.sleep_until(clock.monotonic() + kLook).ok()) return;
      if (clock.monotonic() < next) continue;
      for (Running& database : databases_) note(recover_spools(database));
      next = clock.monotonic() + kSpoolEvery;
    }
  }

  void run(const std::stop_token& stop) {
    env::Clock& clock = place_.env.clock;
    env::Instant next_status = clock.monotonic();
    env::Instant next_clocks = clock.monotonic() + kClocksEvery;
    env::Instant next_look = clock.monotonic() + kLookEvery;
    while (!stop.stop_requested()) {
      const env::Instant now = clock.monotonic();
      if (now >= next_clocks) {
        clocks_.refresh();
        next_clocks = now + kClocksEvery;
      }
      if (now >= next_look) {
        for (Running& database : databases_) {
          if (database.stream->status().state == StreamState::Streaming) database.stream->look_at_server(stop);
        }
        next_look = now + kLookEvery;
      }
      take_bases();
      if (now >= next_status) {
        note(write_status());
        next_status = now + kStatusEvery;
      }
      if (!clock.sleep_until(clock.monotonic() + kLook).ok()) return;
    }
  }

  Status write_status() {
    config::Json json = config::Json::object();
    json.set("registry", place_.registry.name).set("at_ns", place_.env.clock.now().nanoseconds);
    config::Json list = config::Json::array();
    for (const Running& database : databases_) {
      DatabaseStatus status = database.stream->status();
      {
        const MutexLock lock(mutex_);
        if (!database.spool_trouble.empty()) status.alarms.push_back(database.spool_trouble);
      }
      const std::string base = base_.trouble_of(status.dataset);
      if (!base.empty()) status.alarms.push_back(base);
      list.push(status_json(status));
    }
    json.set("databases", std::move(list));
    return env::replace_file_durably(place_.env.files, agent_status_path(place_.home), as_bytes(json.dump() + "\n"),
                                     0600);
  }

 private:
  void note(const Status& done) {
    if (done.ok()) return;
    {
      const MutexLock lock(mutex_);
      if (done.error().message() == last_trouble_) return;
      last_trouble_ = done.error().message();
    }
    place_.env.log.write(env::LogLevel::Error, done.error().message());
  }

  // One at a time, on a thread of its own: a base backup may take hours.
  void take_bases() {
    if (base_.is_running()) return;
    for (Running& database : databases_) {
      const env::Instant now = place_.env.clock.monotonic();
      if (base_.take_failure(database.config->stream.dataset))
        database.next_base = std::min(database.next_base, now + kBaseAgain);
      if (!database.config->base_every.has_value() || now < database.next_base) continue;
      if (database.stream->status().state != StreamState::Streaming) continue;  // the log first
      database.next_base = now + *database.config->base_every;
      base_.start(place_.env, take_base_, *database.config);
      return;
    }
  }

  const AgentPlace& place_;
  std::vector<Running>& databases_;
  VaultClocks& clocks_;
  const TakeBase& take_base_;
  BaseBackups base_;
  Mutex mutex_;  // also of every Running::spool_trouble
  std::string last_trouble_ GUARDED_BY(mutex_);
};

}  // namespace

std::string agent_status_path(std::string_view home) {
  return env::join_path(home, "state/agent.json");
}

std::string database_directory(std::string_view home, std::string_view dataset) {
  return env::join_path(home, "databases/" + std::string(dataset));
}

config::Json status_json(const DatabaseStatus& status) {
  constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;
  config::Json json = config::Json::object();
  const char* const state = status.state == StreamState::Streaming    ? "streaming"
                            : status.state == StreamState::Connecting ? "connecting"
                                                                      : "stopped";
  json.set("dataset", status.dataset)
      .set("state", state)
      .set("policy", std::string(name_of(status.policy)))
      .set("degraded", status.is_degraded)
      .set("waited_for", status.is_waited_for)
      .set("timeline", status.timeline.value())
      .set("server_end", pg::to_text(status.server_end))
      .set("received", pg::to_text(status.received))
      .set("durable", pg::to_text(status.durable))
      .set("acknowledged", pg::to_text(status.acknowledged))
      .set("bytes_behind",
           status.server_end > status.durable ? pg::bytes_between(status.durable, status.server_end) : 0)
      .set("commits_received", status.commits_received)
      .set("commits_behind", status.commits_outstanding)
      .set("oldest_behind_ms",
           status.oldest_outstanding.has_value() ? status.oldest_outstanding->count() / kNanosecondsPerMillisecond : 0)
      .set("spool_bytes", status.journal.spool_bytes);
  if (status.system.has_value()) json.set("system", pg::to_text(*status.system));
  config::Json vaults = config::Json::array();
  for (const spread::JournalVaultProgress& vault : status.journal.vaults) {
    config::Json entry = config::Json::object();
    entry.set("vault", vault.vault).set("frames", vault.frames).set("bytes_behind", vault.bytes_behind);
    if (vault.failure.has_value()) entry.set("failure", vault.failure->message());
    vaults.push(std::move(entry));
  }
  config::Json alarms = config::Json::array();
  for (const std::string& alarm : status.alarms) alarms.push(alarm);
  config::Json cautions = config::Json::array();
  for (const std::string& caution : status.cautions) cautions.push(caution);
  json.set("vaults", std::move(vaults)).set("alarms", std::move(alarms)).set("cautions", std::move(cautions));
  return json;
}

Status run_agent(const AgentPlace& place, const AgentConfig& config, const TakeBase& take_base,
                 const std::function<void()>& leave_vaults, std::stop_token stop) {
  env::Env& env = place.env;
  // An agent that was killed has left drafts of its status and of its positions.
  const std::string status_folder(env::parent_path(agent_status_path(place.home)));
  TRY(env.files.make_directories(status_folder, 0700));
  TRY(env.files.remove_temporaries(status_folder));
  VaultClocks clocks(env, place.policy.quorum.k, place.vaults);
  std::vector<Running> databases;
  for (const DatabaseConfig& each : config.databases) {
    Running database;
    database.config = &each;
    database.periods = std::make_unique<PeriodSource>(env.files, place.era, clocks, place.keys_path);
    const std::string directory = database_directory(place.home, each.stream.dataset);
    TRY(env.files.make_directories(directory, 0700));
    TRY(env.files.remove_temporaries(directory));
    database.stream = std::make_unique<DatabaseStream>(
        DatabaseStream::Place{env, place.policy, place.registry, place.era, place.writer, place.vaults,
                              *database.periods, directory},
        each.stream, TRY(env.network.make_waker()));
    databases.push_back(std::move(database));
  }
  // Ends everything too if one of the threads cannot be started.
  std::stop_source ending;
  const std::stop_callback when_stopped(stop, [&ending] { ending.request_stop(); });
  const std::stop_token end = ending.get_token();
  Keeper keeper(place, databases, clocks, take_base);
  std::optional<Error> failure;
  const std::unique_ptr<env::Thread> first_look = ask_clocks(env, clocks);
  for (Running& database : databases) {
    DatabaseStream* const stream = database.stream.get();
    auto thread = env.threads.start("stream-" + database.config->stream.dataset, [stream, end] {
      ignore(stream->run(end), "what ended it is in its status and in the log");
    });
    if (!thread.ok()) {
      failure = thread.take_error();
      break;
    }
    database.thread = thread.take();
  }
  Cuts cuts(place, config, databases);
  if (!failure.has_value()) {
    const Status started = cuts.start(end);
    if (!started.ok()) failure = started.error();
  }
  std::unique_ptr<env::Thread> spools;
  if (!failure.has_value()) {
    auto thread = env.threads.start("spools", [&keeper, end] { keeper.run_spools(end); });
    if (thread.ok()) {
      spools = thread.take();
    } else {
      failure = thread.take_error();
    }
  }
  if (!failure.has_value()) keeper.run(end);
  ending.request_stop();
  cuts.stop();
  {
    const LeaveInTime leaving(env, leave_vaults);
    for (Running& database : databases) {
      if (database.thread != nullptr) database.thread->join();
    }
    if (spools != nullptr) spools->join();
    if (first_look != nullptr) first_look->join();
  }
  TRY(keeper.write_status());
  if (failure.has_value()) return *failure;
  return {};
}

}  // namespace exclave::agent
