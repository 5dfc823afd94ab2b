#include "agent/agent_config.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "config/section.h"
#include "format/signed_text.h"

namespace exclave::agent {
namespace {

constexpr std::uint64_t kLeastSpool = std::uint64_t{64} << 20;

std::string default_name(const std::string& dataset) {
  std::string name = "exclave_" + dataset;
  std::replace(name.begin(), name.end(), '-', '_');  // slots know no '-'
  return name.substr(0, 63);
}

Result<RpoPolicy> parse_policy(config::Section& section) {
  const std::string text = TRY(section.optional_string("policy")).value_or("sync");
  for (const RpoPolicy policy : {RpoPolicy::Sync, RpoPolicy::Bounded, RpoPolicy::Async}) {
    if (text == name_of(policy)) return policy;
  }
  return section.error_at("policy", "must be sync, bounded or async");
}

Result<DatabaseConfig> read_database(config::Section& section) {
  DatabaseConfig database;
  DatabaseOptions& options = database.stream;
  options.dataset = TRY(section.require_string("dataset"));
  if (!format::is_valid_name(options.dataset))
    return section.error_at("dataset", "must have 1 to 63 characters of a-z, 0-9 and '-'");
  options.endpoint.conninfo = TRY(section.require_string("connection"));
  options.endpoint.application_name = TRY(section.optional_string("name")).value_or(default_name(options.dataset));
  options.slot = TRY(section.optional_string("slot")).value_or(default_name(options.dataset));
  options.policy = TRY(parse_policy(section));
  const auto budget = TRY(section.optional_duration("budget"));
  if (budget.has_value() != (options.policy == RpoPolicy::Bounded))
    return section.error_at("budget", "belongs to policy bounded, and only to it");
  options.budget = budget.value_or(std::chrono::milliseconds(0));
  options.spool_limit_bytes = TRY(section.optional_size("spool-limit")).value_or(options.spool_limit_bytes);
  if (options.spool_limit_bytes < kLeastSpool) return section.error_at("spool-limit", "must be at least 64 MiB");
  const auto every = TRY(section.optional_duration("base-every"));
  if (every.has_value()) {
    database.base_every = std::chrono::duration_cast<std::chrono::seconds>(*every);
    if (database.base_every->count() < 60) return section.error_at("base-every", "must be at least a minute");
  }
  return database;
}

}  // namespace

Result<const DatabaseConfig*> AgentConfig::database(std::string_view dataset) const {
  std::string names;
  for (const DatabaseConfig& each : databases) {
    if (each.stream.dataset == dataset) return &each;
    append_item(names, each.stream.dataset);
  }
  return Error(Code::InvalidInput, "agent.toml has no database '" + printable(dataset) + "'").hint("it has: " + names);
}

Result<AgentConfig> parse_agent_config(ByteView text, const std::string& source) {
  const auto root = TRY(config::parse_toml(as_text(text), source));
  AgentConfig config;
  std::set<std::string> datasets;
  std::set<std::string> slots;
  for (config::Section* section : TRY(root->sections("database"))) {
    DatabaseConfig database = TRY(read_database(*section));
    if (!datasets.insert(database.stream.dataset).second)
      return section->error_at("dataset", "stands twice");
    if (!slots.insert(database.stream.endpoint.conninfo + "\n" + database.stream.slot).second)
      return section->error_at("slot", "is another database's already");
    config.databases.push_back(std::move(database));
  }
  TRY(root->finish());
  if (config.databases.empty())
    return Error(Code::InvalidInput, source + ": names no database").hint("add a [[database]] with dataset and connection");
  return config;
}

}  // namespace exclave::agent
