#include "cli/agent_status.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/agent.h"
#include "agent/cut_taker.h"
#include "base/text.h"
#include "cli/render.h"

namespace exclave::cli {
namespace {

constexpr std::uint64_t kMaxStatusBytes = 4U << 20;
constexpr std::int64_t kFreshNanoseconds = 15'000'000'000;

void tell_if_unusable(const std::string& dataset, const LastBase& base, const std::string& durable,
                      std::vector<std::string>& alarms) {
  const auto position = pg::parse_lsn(durable);
  if (!position.ok() || !base.consistent_from.has_value() || position.value() >= *base.consistent_from) return;
  alarms.push_back("database " + dataset + "'s newest base backup is not usable yet: it is consistent from " +
                   pg::to_text(*base.consistent_from) + " on, and k vaults hold the log up to " + durable);
}

// Half of the commits of the last minute waited no longer than the first, 99 of 100 no longer than the second.
std::string wait_in_words(const config::Json& wait) {
  if (!wait.is_object()) return "-";
  constexpr double kMicroseconds = 1000;
  return fmt::format("{:.1f}/{:.1f} ms", static_cast<double>(wait["median_us"].u64()) / kMicroseconds,
                     static_cast<double>(wait["slow_us"].u64()) / kMicroseconds);
}

}  // namespace

config::Json read_agent_status(const Context& context, const std::string& home) {
  const auto text = context.env.files.read_file(agent::agent_status_path(home), kMaxStatusBytes);
  if (!text.ok()) return {};
  auto json = config::parse_json(as_text(text.value()));
  if (!json.ok() || !json.value().is_object() || !json.value()["at_ns"].is_u64()) return {};
  if (context.env.clock.now().nanoseconds - json.value()["at_ns"].i64() > kFreshNanoseconds) return {};
  return json.take();
}

std::optional<pg::Lsn> durable_position(const config::Json& status, const std::string& dataset) {
  if (status.is_null()) return std::nullopt;
  for (const config::Json& each : status["databases"].elements()) {
    if (each["dataset"].string() != dataset) continue;
    const auto position = pg::parse_lsn(each["durable"].string());
    if (position.ok()) return position.value();
  }
  return std::nullopt;
}

config::Json read_cut_statuses(const Context& context, const std::string& home) {
  config::Json groups = config::Json::array();
  const auto paths = agent::cut_status_files(context.env.files, home);
  if (!paths.ok()) return groups;
  for (const std::string& path : paths.value()) {
    const auto file = context.env.files.read_file(path, kMaxStatusBytes);
    if (!file.ok()) continue;
    auto json = config::parse_json(as_text(file.value()));
    if (json.ok() && json.value().is_object()) groups.push(json.take());
  }
  return groups;
}

std::string cuts_in_words(const config::Json& groups, std::int64_t now, std::vector<std::string>& alarms) {
  std::string text;
  for (const config::Json& each : groups.elements()) {
    const std::string group = each["group"].string();
    const std::string trouble = each["trouble"].string();
    if (!trouble.empty()) alarms.push_back("group " + group + ": " + printable(trouble));
    const config::Json& standing_in = each["standing_in"];
    if (standing_in.is_bool() && standing_in.boolean())
      alarms.push_back("group " + group + ": its coordinator takes no cuts; this agent does in its place");
    if (each["cut"].is_null()) continue;
    const std::int64_t age = now - env::Timestamp{each["taken_ns"].i64()}.seconds();
    text += "group " + group + ": last cut " + each["cut"].string().substr(0, 12) + ", " +
            human_duration(std::chrono::seconds(std::max<std::int64_t>(0, age))) + " ago\n";
  }
  return text;
}

config::Json last_bases_json(const config::Json& status, const LastBases& last_bases) {
  config::Json bases = config::Json::array();
  for (const config::Json& each : status["databases"].elements()) {
    const std::string dataset = each["dataset"].string();
    const auto found = last_bases.find(dataset);
    if (found == last_bases.end()) continue;
    const LastBase& base = found->second;
    config::Json json = config::Json::object();
    json.set("dataset", dataset).set("snapshot", base.snapshot).set("began", base.began_seconds);
    if (base.consistent_from.has_value()) json.set("consistent_from", pg::to_text(*base.consistent_from));
    bases.push(std::move(json));
  }
  return bases;
}

std::string databases_in_words(const config::Json& status, const LastBases& last_bases, std::int64_t now,
                               std::vector<std::string>& alarms) {
  std::string cautions;
  std::vector<std::vector<std::string>> rows = {
      {"database", "state", "policy", "behind", "commits", "oldest", "wait", "unsigned", "durable at", "last base"}};
  for (const config::Json& each : status["databases"].elements()) {
    const std::string dataset = each["dataset"].string();
    const auto found = last_bases.find(dataset);
    const LastBase* const base = found == last_bases.end() ? nullptr : &found->second;
    // Before a start of the agent has seen its server there is nothing to count from.
    const bool is_known = each["durable"].string() != pg::to_text(pg::Lsn());
    const auto if_known = [&](std::string text) { return is_known ? std::move(text) : std::string("-"); };
    rows.push_back(
        {dataset, each["state"].string(), each["policy"].string(), if_known(human_bytes(each["bytes_behind"].u64())),
         if_known(std::to_string(each["commits_behind"].u64())),
         if_known(std::to_string(each["oldest_behind_ms"].u64()) + " ms"), wait_in_words(each["wait"]),
         if_known(std::to_string(each["unsigned_ms"].u64()) + " ms"), if_known(each["durable"].string()),
         base != nullptr
             ? human_duration(std::chrono::seconds(std::max<std::int64_t>(0, now - base->began_seconds))) + " ago"
             : "none"});
    if (base == nullptr)
      alarms.push_back("database " + dataset +
                       " has no base backup in this era: its log alone restores nothing (exclave backup --database " +
                       dataset + ")");
    if (each["state"].string() != "streaming") {
      alarms.push_back("database " + dataset + " is not streamed: its log is safe nowhere but at home");
    } else if (base != nullptr) {
      tell_if_unusable(dataset, *base, each["durable"].string(), alarms);
    }
    for (const config::Json& alarm : each["alarms"].elements())
      alarms.push_back("database " + dataset + ": " + printable(alarm.string()));
    for (const config::Json& caution : each["cautions"].elements())
      cautions += "caution: database " + dataset + ": " + printable(caution.string()) + "\n";
  }
  if (status["alarms"].is_array()) {  // the agent's program may be older than this one
    for (const config::Json& alarm : status["alarms"].elements()) alarms.push_back(printable(alarm.string()));
  }
  return render_table(rows, "lllrrrrrll") + cautions;
}

}  // namespace exclave::cli
