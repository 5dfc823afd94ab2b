// Agent status: what the agent daemon wrote last about the databases it protects, read beside it, without its lock.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "pg/lsn.h"

namespace exclave::cli {

// The object of HOME/state/agent.json (docs/operations/json.md); null if there is none, or it is not fresh: then the
// daemon does not run.
config::Json read_agent_status(const Context& context, const std::string& home);

// Up to where k vaults hold the log of a dataset; nullopt if nobody says.
std::optional<pg::Lsn> durable_position(const config::Json& status, const std::string& dataset);

struct LastBase {
  std::string snapshot;                      // its name in hex
  std::int64_t began_seconds = 0;            // since 1970
  std::optional<pg::Lsn> consistent_from{};  // nullopt: nobody noted it
};
using LastBases = std::map<std::string, LastBase>;  // by dataset; of those that have one in this era
// One line per database, for people. Appends to `alarms` what somebody has to look at.
std::string databases_in_words(const config::Json& status, const LastBases& last_bases, std::int64_t now,
                               std::vector<std::string>& alarms);
// The same bases, of the databases that have one: a list (docs/operations/json.md).
config::Json last_bases_json(const config::Json& status, const LastBases& last_bases);

// What the agent wrote last of each group that it takes cuts of: a list of HOME/state/cut-GROUP.json.
config::Json read_cut_statuses(const Context& context, const std::string& home);
// One line per group: the last cut; as alarms, what kept the last attempt from being one.
std::string cuts_in_words(const config::Json& groups, std::int64_t now, std::vector<std::string>& alarms);

}  // namespace exclave::cli
