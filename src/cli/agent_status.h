// Agent status: what the agent daemon wrote last about the databases it protects, read beside it, without its lock.
#pragma once

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

// One line per database, for people. Appends to `alarms` what somebody has to look at.
std::string databases_in_words(const config::Json& status, std::vector<std::string>& alarms);

}  // namespace exclave::cli
