// AgentConfig: which databases an agent protects, from HOME/agent.toml.
// Hides: names and defaults of the settings.
//
//   [[database]]
//   dataset = "people"
//   connection = "host=db.example port=5432 user=exclave"      libpq's; the password belongs into a passfile or pg_hba
//   name = "exclave_people"        application_name: what synchronous_standby_names compares   (default: exclave_DATASET)
//   slot = "exclave_people"        (default: the same)
//   policy = "sync"                sync | bounded | async
//   budget = "5 s"                 of bounded: how long a commit waits for the vaults
//   spool-limit = "4 GB"           how much waits on this machine for a vault that is away
//   base-every = "1 day"           how often a base backup is taken; left out: only on demand
//
// Threads: values. Errors: InvalidInput (names file, line and setting).
#pragma once

#include <string>
#include <vector>

#include "agent/database_stream.h"

namespace exclave::agent {

struct DatabaseConfig {
  DatabaseOptions stream;
  std::optional<std::chrono::seconds> base_every;
};

struct AgentConfig {
  std::vector<DatabaseConfig> databases;  // at least one

  // InvalidInput if there is none of this dataset; the hint names those there are.
  Result<const DatabaseConfig*> database(std::string_view dataset) const;
};

Result<AgentConfig> parse_agent_config(ByteView text, const std::string& source);

}  // namespace exclave::agent
