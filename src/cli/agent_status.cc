#include "cli/agent_status.h"

#include <fmt/format.h>

#include "agent/agent.h"
#include "base/text.h"
#include "cli/render.h"

namespace exclave::cli {
namespace {

constexpr std::uint64_t kMaxStatusBytes = 4U << 20;
constexpr std::int64_t kFreshNanoseconds = 15'000'000'000;

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

std::string databases_in_words(const config::Json& status, std::vector<std::string>& alarms) {
  std::vector<std::vector<std::string>> rows = {
      {"database", "state", "policy", "behind", "commits", "oldest", "durable at"}};
  for (const config::Json& each : status["databases"].elements()) {
    const std::string dataset = each["dataset"].string();
    rows.push_back({dataset, each["state"].string(), each["policy"].string(), human_bytes(each["bytes_behind"].u64()),
                    std::to_string(each["commits_behind"].u64()),
                    std::to_string(each["oldest_behind_ms"].u64()) + " ms", each["durable"].string()});
    if (each["state"].string() != "streaming")
      alarms.push_back("database " + dataset + " is not streamed: its log is safe nowhere but at home");
    for (const config::Json& alarm : each["alarms"].elements())
      alarms.push_back("database " + dataset + ": " + printable(alarm.string()));
    for (const config::Json& caution : each["cautions"].elements())
      alarms.push_back("database " + dataset + ": " + printable(caution.string()));
  }
  return render_table(rows, "lllrrrl");
}

}  // namespace exclave::cli
