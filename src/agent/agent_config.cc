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

Result<RpoPolicy> parse_policy(const config::Section& section, const std::string& text) {
  for (const RpoPolicy policy : {RpoPolicy::Sync, RpoPolicy::Bounded, RpoPolicy::Async}) {
    if (text == name_of(policy)) return policy;
  }
  return section.error_at("policy", "must be sync, bounded or async");
}

// A key that is misspelt is told before what is wrong because it is not there: all are asked for, and then judged.
Result<DatabaseConfig> read_database(config::Section& section) {
  DatabaseConfig database;
  DatabaseOptions& options = database.stream;
  options.dataset = TRY(section.optional_string("dataset")).value_or("");
  options.endpoint.conninfo = TRY(section.optional_string("connection")).value_or("");
  options.endpoint.application_name = TRY(section.optional_string("name")).value_or(default_name(options.dataset));
  options.slot = TRY(section.optional_string("slot")).value_or(default_name(options.dataset));
  const std::string policy = TRY(section.optional_string("policy")).value_or("sync");
  const auto budget = TRY(section.optional_duration("budget"));
  options.spool_limit_bytes = TRY(section.optional_size("spool-limit")).value_or(options.spool_limit_bytes);
  const auto every = TRY(section.optional_duration("base-every"));
  TRY(section.finish());

  TRY(section.require_string("dataset"));
  if (!format::is_valid_name(options.dataset))
    return section.error_at("dataset", "must have 1 to 63 characters of a-z, 0-9 and '-'");
  TRY(section.require_string("connection"));
  options.policy = TRY(parse_policy(section, policy));
  if (budget.has_value() != (options.policy == RpoPolicy::Bounded))
    return section.error_at("budget", "belongs to policy bounded, and only to it");
  options.budget = budget.value_or(std::chrono::milliseconds(0));
  if (options.spool_limit_bytes < kLeastSpool) return section.error_at("spool-limit", "must be at least 64 MiB");
  if (every.has_value()) {
    database.base_every = std::chrono::duration_cast<std::chrono::seconds>(*every);
    if (database.base_every->count() < 60) return section.error_at("base-every", "must be at least a minute");
  }
  return database;
}

Result<GroupMember> parse_member(config::Section& section, const std::string& text) {
  GroupMember member;
  const std::size_t slash = text.find('/');
  const std::size_t at = text.find('@');
  if (slash == std::string::npos && at == std::string::npos) {
    member.dataset = text;
  } else if (slash != std::string::npos && at != std::string::npos && slash < at && at + 1 < text.size()) {
    member.registry = text.substr(0, slash);
    member.dataset = text.substr(slash + 1, at - slash - 1);
    member.address = text.substr(at + 1);
    if (!format::is_valid_name(member.registry))
      return section.error_at("members", "names a registry that cannot be: " + printable(text));
  } else {
    return section.error_at("members", "must be DATASET or REGISTRY/DATASET@HOST:PORT, not " + printable(text));
  }
  if (!format::is_valid_name(member.dataset))
    return section.error_at("members", "names a dataset that cannot be: " + printable(text));
  return member;
}

Result<GroupConfig> read_group(config::Section& section) {
  GroupConfig group;
  group.name = TRY(section.optional_string("name")).value_or("");
  group.every = TRY(section.optional_duration("every")).value_or(std::chrono::seconds(10));
  const std::vector<std::string> members = TRY(section.strings("members"));
  group.is_substitute = TRY(section.optional_bool("substitute")).value_or(false);
  TRY(section.finish());

  TRY(section.require_string("name"));
  if (!format::is_valid_name(group.name))
    return section.error_at("name", "must have 1 to 63 characters of a-z, 0-9 and '-'");
  if (group.every < kHoldsApart * 2) return section.error_at("every", "must be at least 2 s");
  for (const std::string& text : members) group.members.push_back(TRY(parse_member(section, text)));
  if (group.members.empty()) return section.error_at("members", "names nobody");
  const auto is_ours = [](const GroupMember& member) { return member.address.empty(); };
  if (group.is_substitute && std::none_of(group.members.begin(), group.members.end(), is_ours)) {
    return section.error_at("substitute",
                            "needs a member of this agent's own: only there it sees the coordinator's cuts");
  }
  return group;
}

Status read_cuts(config::Section& root, AgentConfig& config) {
  config.listen = TRY(root.optional_string("cuts.listen")).value_or("");
  config.coordinators = TRY(root.strings("cuts.coordinators"));
  for (config::Section* section : TRY(root.sections("group"))) config.groups.push_back(TRY(read_group(*section)));
  return {};
}

// What belongs together.
Status check_cuts(const config::Section& root, const AgentConfig& config) {
  if (config.listen.empty() != config.coordinators.empty())
    return root.error_at("cuts.listen", "belongs together with cuts.coordinators");
  for (const GroupConfig& group : config.groups) {
    for (const GroupMember& member : group.members) {
      if (member.address.empty()) TRY(config.database(member.dataset));
    }
  }
  return {};
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
    if (!datasets.insert(database.stream.dataset).second) return section->error_at("dataset", "stands twice");
    if (!slots.insert(database.stream.endpoint.conninfo + "\n" + database.stream.slot).second)
      return section->error_at("slot", "is another database's already");
    config.databases.push_back(std::move(database));
  }
  TRY(read_cuts(*root, config));
  TRY(root->finish());
  if (config.databases.empty())
    return Error(Code::InvalidInput, source + ": names no database")
        .hint("add a [[database]] with dataset and connection");
  TRY(check_cuts(*root, config));
  return config;
}

}  // namespace exclave::agent
