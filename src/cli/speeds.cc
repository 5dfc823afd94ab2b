#include "cli/speeds.h"

#include <algorithm>
#include <cmath>

#include "agent/agent.h"
#include "base/text.h"
#include "cli/render.h"
#include "engine/log_terms.h"

namespace exclave::cli {
namespace {

constexpr std::uint64_t kMostBytes = 1U << 16;
constexpr std::string_view kFolder = "speeds";
constexpr std::string_view kSuffix = ".json";

std::string base_path(const std::string& home, const std::string& dataset) {
  return env::join_path(agent::database_directory(home, dataset), "base.json");
}
std::string file_name(const std::string& registry, const std::string& dataset) {
  return registry + "." + dataset + std::string(kSuffix);
}

struct Measure {
  std::string site;
  std::int64_t at_ns = 0;
  std::uint64_t base_bytes = 0;
  std::uint64_t base_ms = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t log_ms = 0;
  std::uint64_t replay_bytes = 0;
  std::optional<std::uint64_t> replay_ms{};

  std::string in_words() const {
    const std::string replay = replay_ms.has_value() ? ", replay of " + human_bytes(replay_bytes) + " in " +
                                                           human_duration(std::chrono::milliseconds(*replay_ms))
                                                     : "";
    return "base " + human_bytes(base_bytes) + " in " + human_duration(std::chrono::milliseconds(base_ms)) + ", log " +
           human_bytes(log_bytes) + " in " + human_duration(std::chrono::milliseconds(log_ms)) + replay;
  }
};

std::optional<config::Json> read_object(env::FileSystem& files, const std::string& path) {
  const auto text = files.read_file(path, kMostBytes);
  if (!text.ok()) return std::nullopt;
  auto json = config::parse_json(as_text(text.value()));
  if (!json.ok() || !json.value().is_object()) return std::nullopt;
  return json.take();
}

// Above zero, and far from where sums of a few of them end.
std::optional<std::uint64_t> number_in(const config::Json& json, std::string_view key) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  const config::Json& value = json[key];
  if (!value.is_u64() || value.u64() == 0 || value.u64() > kMost) return std::nullopt;
  return value.u64();
}

std::optional<Measure> read_measure(env::FileSystem& files, const std::string& path) {
  const auto json = read_object(files, path);
  if (!json.has_value() || !(*json)["site"].is_string()) return std::nullopt;
  const auto at = number_in(*json, "at_ns");
  const auto base_bytes = number_in(*json, "base_bytes");
  const auto base_ms = number_in(*json, "base_ms");
  const auto log_bytes = number_in(*json, "log_bytes");
  const auto log_ms = number_in(*json, "log_ms");
  if (!at || !base_bytes || !base_ms || !log_bytes || !log_ms) return std::nullopt;
  Measure measure{(*json)["site"].string(), static_cast<std::int64_t>(*at), *base_bytes, *base_ms, *log_bytes, *log_ms};
  const auto replay_bytes = number_in(*json, "replay_bytes");
  if (replay_bytes) measure.replay_ms = number_in(*json, "replay_ms");
  measure.replay_bytes = replay_bytes.value_or(0);
  return measure;
}

std::uint64_t in_milliseconds(std::chrono::nanoseconds duration) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

double seconds_for(std::uint64_t bytes, std::uint64_t measured_bytes, std::uint64_t measured_ms) {
  return static_cast<double>(bytes) / static_cast<double>(measured_bytes) * static_cast<double>(measured_ms) / 1000;
}

void write(const Context& context, const std::string& path, const config::Json& json) {
  env::FileSystem& files = context.env.files;
  Status written = files.make_directories(env::parent_path(path), env::kPrivateDirectory);
  if (written.ok()) written = env::replace_file_durably(files, path, as_bytes(json.dump() + "\n"), env::kPrivateFile);
  if (!written.ok())
    context.note("how long this took could not be noted in '" + printable(path) + "': " + written.error().message());
}

std::string replay_path(const std::string& directory) {
  return env::join_path(directory, "replay.json");
}

// What the server's replay took, if it has ended and can still be read.
std::optional<std::uint64_t> replay_of(env::FileSystem& files, const config::Json& restore) {
  if (!restore["wal"].is_string()) return std::nullopt;
  const auto replay = read_object(files, replay_path(restore["wal"].string()));
  if (!replay.has_value()) return std::nullopt;
  const auto first = number_in(*replay, "first_ns");
  const auto last = number_in(*replay, "last_ns");
  if (!first || !last || *last < *first) return std::nullopt;
  return in_milliseconds(std::chrono::nanoseconds(*last - *first));
}

// What a restore would have to bring: the last base, and the log since it.
struct Sizes {
  std::uint64_t base_bytes = 0;
  std::uint64_t log_bytes = 0;
};

std::optional<Sizes> sizes_of(env::FileSystem& files, const std::string& home, const config::Json& database) {
  const auto base = read_object(files, base_path(home, database["dataset"].string()));
  if (!base.has_value() || !(*base)["start"].is_string()) return std::nullopt;
  const auto bytes = number_in(*base, "bytes");
  const auto start = pg::parse_lsn((*base)["start"].string());
  const auto durable = pg::parse_lsn(database["durable"].string());
  if (!bytes || !start.ok() || !durable.ok() || durable.value() < start.value()) return std::nullopt;
  return Sizes{*bytes, pg::bytes_between(start.value(), durable.value())};
}

}  // namespace

void note_base(const Context& context, const std::string& home, const std::string& dataset,
               const engine::DatabaseCaptureReport& report) {
  config::Json json = config::Json::object();
  json.set("snapshot", report.capture.snapshot.hex())
      .set("bytes", report.capture.totals.bytes)
      .set("start", pg::to_text(engine::lsn(report.base.start)))
      .set("end", pg::to_text(engine::lsn(report.base.end)));
  write(context, base_path(home, dataset), json);
}

std::optional<pg::Lsn> noted_base_end(const Context& context, const std::string& home, const std::string& dataset) {
  const auto base = read_object(context.env.files, base_path(home, dataset));
  if (!base.has_value() || !(*base)["end"].is_string()) return std::nullopt;
  const auto end = pg::parse_lsn((*base)["end"].string());
  return end.ok() ? std::optional(end.value()) : std::nullopt;
}

void note_restore(const Context& context, const SiteFolder& site, const FoundLog& found,
                  const engine::RestoreReport& report) {
  if (report.kept_files > 0) return;
  const pg::Lsn start(found.base.base->start.value());
  const auto wal = context.env.files.canonical(found.directory);
  config::Json json = config::Json::object();
  json.set("registry", site.registry().name)
      .set("dataset", found.base.dataset)
      .set("site", site.site().name)
      .set("at_ns", context.env.clock.now().nanoseconds)
      .set("base_bytes", report.totals.bytes)
      .set("base_ms", in_milliseconds(report.duration + report.sync_duration))
      .set("log_bytes", pg::bytes_between(start, std::max(start, found.log.proven.end)))
      .set("log_ms", in_milliseconds(found.duration))
      .set("replay_bytes", pg::bytes_between(start, std::max(start, found.log.reached.end)))
      .set("wal", wal.ok() ? wal.value() : found.directory);
  const std::string folder = env::join_path(site.directory(), kFolder);
  write(context, env::join_path(folder, file_name(site.registry().name, found.base.dataset)), json);
}

void note_replay(env::Env& env, const std::string& directory, std::string_view name, engine::FetchOutcome outcome) {
  constexpr std::size_t kSegmentNameBytes = 24;
  const std::string path = replay_path(directory);
  auto noted = read_object(env.files, path);
  const bool is_first = !noted.has_value() && outcome == engine::FetchOutcome::HandedOver;
  const bool is_end = noted.has_value() && outcome == engine::FetchOutcome::Absent;
  if (!is_end && !(is_first && name.size() == kSegmentNameBytes)) return;
  config::Json json = config::Json::object();
  const std::int64_t now = env.clock.now().nanoseconds;
  json.set("first_ns", is_end ? (*noted)["first_ns"] : config::Json(now));
  if (is_end) json.set("last_ns", now);
  ignore(env::replace_file_durably(env.files, path, as_bytes(json.dump() + "\n"), env::kPrivateFile),
         "a measure; the server's recovery does not depend on it");
}

std::string restore_estimates(const Context& context, const std::string& home, const std::string& registry,
                              const config::Json& status, config::Json& estimates) {
  std::string text;
  for (const config::Json& database : status["databases"].elements()) {
    const std::string dataset = database["dataset"].string();
    const auto sizes = sizes_of(context.env.files, home, database);
    if (!sizes.has_value()) {
      text +=
          "to restore " + dataset + ": how much is not known yet: exclave backup --database " + dataset + " notes it\n";
      continue;
    }
    const std::string name = file_name(registry, dataset);
    const auto measure = read_measure(context.env.files, env::join_path(env::join_path(home, kFolder), name));
    config::Json json = config::Json::object();
    json.set("dataset", dataset).set("base_bytes", sizes->base_bytes).set("log_bytes", sizes->log_bytes);
    text += "to restore " + dataset + ": a base of " + human_bytes(sizes->base_bytes) + " and " +
            human_bytes(sizes->log_bytes) + " of log since; ";
    if (measure.has_value()) {
      const double base = seconds_for(sizes->base_bytes, measure->base_bytes, measure->base_ms);
      const double log = seconds_for(sizes->log_bytes, measure->log_bytes, measure->log_ms);
      const double replay = measure->replay_ms.has_value()
                                ? seconds_for(sizes->log_bytes, measure->replay_bytes, *measure->replay_ms)
                                : 0;
      constexpr double kMost = 1e9;  // seconds: beyond it no duration is shown
      const auto shown = std::chrono::milliseconds(std::llround(std::min(kMost, base + log + replay) * 1000));
      text += "about " + human_duration(shown) + " by what it took at site " + printable(measure->site) + " on " +
              local_time(env::Timestamp{measure->at_ns}.seconds()) + " (" + measure->in_words() + ")" +
              (measure->replay_ms.has_value() ? "\n"
                                              : ", and then the server's replay, which is not measured yet: start a "
                                                "restored server, then exclave status --site\n");
      if (measure->replay_ms.has_value()) json.set("replay_seconds", replay);
      json.set("base_seconds", base).set("log_seconds", log).set("measured_ns", measure->at_ns);
    } else {
      text += "how long is not measured yet: exclave restore measures it at a site, in SITE/speeds/" + name +
              "; copy that to HOME/speeds/\n";
    }
    estimates.push(std::move(json));
  }
  return text;
}

std::string restores_in_words(const Context& context, const std::string& site, const std::string& registry) {
  const std::string folder = env::join_path(site, kFolder);
  const auto names = context.env.files.list(folder);
  if (!names.ok()) return "";
  std::string text;
  for (const std::string& name : names.value()) {
    if (!name.starts_with(registry + ".") || !name.ends_with(kSuffix)) continue;
    const std::string path = env::join_path(folder, name);
    auto json = read_object(context.env.files, path);
    const auto replay = json.has_value() ? replay_of(context.env.files, *json) : std::nullopt;
    if (replay.has_value() && number_in(*json, "replay_ms") != replay)
      write(context, path, json->set("replay_ms", *replay));
    const auto measure = read_measure(context.env.files, path);
    if (!measure.has_value()) continue;
    const std::string dataset = name.substr(registry.size() + 1, name.size() - registry.size() - 1 - kSuffix.size());
    text += "database " + printable(dataset) + " was restored here on " +
            local_time(env::Timestamp{measure->at_ns}.seconds()) + ": " + measure->in_words() + "\n";
  }
  return text;
}

}  // namespace exclave::cli
