#include "agent/agent.h"

#include "agent/detail/cuts.h"
#include "agent/detail/keeper.h"
#include "agent/detail/leave_in_time.h"
#include "env/file_system.h"

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kClocksTime = 2s;
constexpr auto kClocksLook = 10ms;

// Before anything is sealed, k vaults are asked what time it is; not for long, because commits wait.
void wait_for_clocks(env::Clock& clock, VaultClocks& clocks) {
  const env::Instant deadline = clock.monotonic() + kClocksTime;
  while (!clocks.knows_enough() && clock.monotonic() < deadline) {
    if (!clock.sleep_until(clock.monotonic() + kClocksLook).ok()) return;
  }
}

std::string databases_folder(std::string_view home) {
  return env::join_path(home, "databases");
}

}  // namespace

std::string agent_status_path(std::string_view home) {
  return env::join_path(home, "state/agent.json");
}

std::string database_directory(std::string_view home, std::string_view dataset) {
  return env::join_path(databases_folder(home), dataset);
}

Result<std::set<std::uint64_t>> journals_at_home(env::FileSystem& files, std::string_view home) {
  std::set<std::uint64_t> journals;
  const auto datasets = files.list(databases_folder(home));
  if (!datasets.ok() && datasets.error().code() == Code::NotFound) return journals;
  for (const std::string& dataset : TRY(datasets)) {
    const std::string directory = database_directory(home, dataset);
    if (TRY(files.stat(directory)).type != env::FileType::Directory) continue;
    const std::vector<std::uint64_t> starts = TRY(LeftSpools(files, spools_folder(directory)).starts());
    journals.insert(starts.begin(), starts.end());
  }
  return journals;
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
      .set("degraded", status.log.is_degraded)
      .set("waited_for", status.is_waited_for)
      .set("timeline", status.timeline.value())
      .set("server_end", pg::to_text(status.server_end))
      .set("received", pg::to_text(status.log.received))
      .set("durable", pg::to_text(status.log.durable))
      .set("acknowledged", pg::to_text(status.log.acknowledged))
      .set("bytes_behind",
           status.server_end > status.log.durable ? pg::bytes_between(status.log.durable, status.server_end) : 0)
      .set("commits_received", status.commits_received)
      .set("commits_behind", status.commits_outstanding)
      .set("oldest_behind_ms", status.log.oldest_outstanding.has_value()
                                   ? status.log.oldest_outstanding->count() / kNanosecondsPerMillisecond
                                   : 0)
      .set("unsigned_ms",
           status.log.vaults.unvouched_for.value_or(std::chrono::nanoseconds(0)).count() / kNanosecondsPerMillisecond)
      .set("spool_bytes", status.log.vaults.spool_bytes);
  if (status.log.waits.has_value()) {
    const auto microseconds = [](std::chrono::nanoseconds time) {
      return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
    };
    json.set("wait", config::Json::object()
                         .set("frames", std::uint64_t{status.log.waits->frames})
                         .set("median_us", microseconds(status.log.waits->median))
                         .set("slow_us", microseconds(status.log.waits->slow))
                         .set("longest_us", microseconds(status.log.waits->longest)));
  }
  if (status.system.has_value()) json.set("system", pg::to_text(*status.system));
  config::Json vaults = config::Json::array();
  for (const spread::JournalVaultProgress& vault : status.log.vaults.vaults) {
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
  TRY(env.files.make_directories(status_folder, env::kPrivateDirectory));
  TRY(env.files.remove_temporaries(status_folder));
  VaultClocks clocks(env, place.policy.quorum.k, place.vaults);
  WriterWatch watch(env, place.writer.public_key(), place.registry.id, place.vaults);
  std::vector<detail::Running> databases;
  for (const DatabaseConfig& each : config.databases) {
    detail::Running database;
    database.config = &each;
    database.periods = std::make_unique<PeriodSource>(env.files, place.era, clocks, place.keys_path);
    const std::string directory = database_directory(place.home, each.stream.dataset);
    TRY(env.files.make_directories(directory, env::kPrivateDirectory));
    TRY(env.files.remove_temporaries(directory));
    database.stream = std::make_unique<DatabaseStream>(
        DatabaseStream::Place{env, place.policy, place.registry, place.era, place.writer, place.vaults,
                              *database.periods, watch, directory},
        each.stream, TRY(env.network.make_waker()));
    databases.push_back(std::move(database));
  }
  // Ends everything too if one of the threads cannot be started.
  std::stop_source ending;
  const std::stop_callback when_stopped(stop, [&ending] { ending.request_stop(); });
  const std::stop_token end = ending.get_token();
  detail::Keeper keeper(place, databases, clocks, watch, take_base);
  std::optional<Error> failure;
  const auto start = [&](const std::string& name, std::function<void()> body) -> std::unique_ptr<env::Thread> {
    if (failure.has_value()) return nullptr;
    auto thread = env.threads.start(name, std::move(body));
    if (thread.ok()) return thread.take();
    failure = thread.take_error();
    return nullptr;
  };
  const auto clock_thread = start("clocks", [&keeper, end] { keeper.run_clocks(end); });
  wait_for_clocks(env.clock, clocks);
  for (detail::Running& database : databases) {
    DatabaseStream* const stream = database.stream.get();
    database.thread = start("stream-" + database.config->stream.dataset, [stream, end] {
      ignore(stream->run(end), "what ended it is in its status and in the log");
    });
  }
  detail::Cuts cuts(place, config, databases);
  if (!failure.has_value()) {
    const Status started = cuts.start(end);
    if (!started.ok()) failure = started.error();
  }
  const auto spools = start("spools", [&keeper, end] { keeper.run_spools(end); });
  const auto watching = start("watch", [&keeper, end] { keeper.run_watch(end); });
  if (!failure.has_value()) keeper.run(end);
  ending.request_stop();
  cuts.stop();
  {
    const detail::LeaveInTime leaving(env, leave_vaults);
    for (detail::Running& database : databases) {
      if (database.thread != nullptr) database.thread->join();
    }
    if (spools != nullptr) spools->join();
    if (watching != nullptr) watching->join();
    if (clock_thread != nullptr) clock_thread->join();
  }
  TRY(keeper.write_status());
  if (failure.has_value()) return *failure;
  return {};
}

}  // namespace exclave::agent
