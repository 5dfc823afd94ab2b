#include "agent/detail/keeper.h"

#include <algorithm>
#include <utility>

#include "env/file_system.h"

namespace exclave::agent::detail {

namespace {

using namespace std::chrono_literals;

constexpr auto kStatusEvery = 2s;
constexpr auto kClocksEvery = 30s;
constexpr auto kLookEvery = 3s;  // at settings that change while the log streams
constexpr auto kSpoolEvery = 15s;
constexpr auto kFirstTurn = 1s;  // of what is looked at beside the streams
constexpr auto kWatchEvery = 15s;
constexpr auto kBaseAgain = 60s;  // after one that failed
constexpr auto kStopLook = 100ms;

}  // namespace

void Keeper::recover_spools(Running& database) {
  const spread::JournalWriter::World world{place_.env.clock, place_.env.random, place_.env.files, place_.env.threads};
  std::vector<std::string> troubles =
      database.stream->left_spools().recover({world, place_.vaults, place_.writer, place_.policy.quorum.k});
  std::vector<std::string> before;
  {
    const MutexLock lock(mutex_);
    before = std::exchange(database.spool_troubles, troubles);
  }
  for (const std::string& trouble : troubles) {
    if (std::ranges::count(before, trouble) > 0) continue;
    place_.env.log.write(env::LogLevel::Warning, "dataset " + database.config->stream.dataset + ": " + trouble);
  }
}

void Keeper::repeat(const std::stop_token& stop, std::chrono::nanoseconds first, std::chrono::nanoseconds every,
                    const std::function<void()>& turn) {
  env::Clock& clock = place_.env.clock;
  env::Instant next = clock.monotonic() + first;
  while (!stop.stop_requested()) {
    if (clock.monotonic() >= next) {
      turn();
      next = clock.monotonic() + every;
    }
    if (!clock.sleep_until(clock.monotonic() + kStopLook).ok()) return;
  }
}

void Keeper::run_clocks(const std::stop_token& stop) {
  repeat(stop, 0s, kClocksEvery, [this] { clocks_.refresh(); });
}

void Keeper::run_spools(const std::stop_token& stop) {
  repeat(stop, kFirstTurn, kSpoolEvery, [this] {
    for (Running& database : databases_) recover_spools(database);
  });
}

void Keeper::run_watch(const std::stop_token& stop) {
  repeat(stop, kFirstTurn, kWatchEvery, [this] { watch_.look(); });
}

void Keeper::run(const std::stop_token& stop) {
  env::Clock& clock = place_.env.clock;
  env::Instant next_status = clock.monotonic();
  env::Instant next_look = clock.monotonic() + kLookEvery;
  std::vector<StreamState> shown;
  while (!stop.stop_requested()) {
    const env::Instant now = clock.monotonic();
    if (now >= next_look) {
      for (Running& database : databases_) {
        if (database.stream->status().state == StreamState::Streaming)
          ignore(database.stream->server().look(stop), "the stream itself has trouble then, and tells");
      }
      next_look = now + kLookEvery;
    }
    take_bases();
    std::vector<StreamState> states;
    for (const Running& database : databases_) states.push_back(database.stream->status().state);
    if (now >= next_status || states != shown) {
      note(write_status());
      shown = std::move(states);
      next_status = now + kStatusEvery;
    }
    if (!clock.sleep_until(clock.monotonic() + kStopLook).ok()) return;
  }
}

Status Keeper::write_status() {
  config::Json json = config::Json::object();
  json.set("registry", place_.registry.name).set("at_ns", place_.env.clock.now().nanoseconds);
  config::Json list = config::Json::array();
  for (const Running& database : databases_) {
    DatabaseStatus status = database.stream->status();
    {
      const MutexLock lock(mutex_);
      status.alarms.insert(status.alarms.end(), database.spool_troubles.begin(), database.spool_troubles.end());
    }
    const std::string base = base_.trouble_of(status.dataset);
    if (!base.empty()) status.alarms.push_back(base);
    list.push(status_json(status));
  }
  config::Json alarms = config::Json::array();
  if (const auto alarm = watch_.alarm(); alarm.has_value()) alarms.push(*alarm);
  json.set("databases", std::move(list)).set("alarms", std::move(alarms));
  return env::replace_file_durably(place_.env.files, agent_status_path(place_.home), as_bytes(json.dump() + "\n"),
                                   env::kPrivateFile);
}

void Keeper::note(const Status& done) {
  if (done.ok()) return;
  {
    const MutexLock lock(mutex_);
    if (done.error().message() == last_trouble_) return;
    last_trouble_ = done.error().message();
  }
  place_.env.log.write(env::LogLevel::Error, done.error().message());
}

void Keeper::take_bases() {
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

}  // namespace exclave::agent::detail
