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
//   [cuts]                         who may take one instant over our databases together with others
//   listen = "10.0.0.5:7443"       where coordinators reach this agent
//   coordinators = ["land"]        registries of the realm
//
//   [[group]]                      what this agent takes an instant of, as the coordinator
//   name = "realm"
//   every = "10 s"
//   members = ["people", "land/parcels@10.0.0.6:7443"]       DATASET of ours, or REGISTRY/DATASET@HOST:PORT
//   substitute = true              only while the coordinator takes none (cut_taker.h)     (default: false)
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

struct GroupMember {
  std::string registry;  // empty: ours
  std::string dataset;
  std::string address;  // empty: in this agent
};

struct GroupConfig {
  std::string name;
  std::chrono::milliseconds every{};
  std::vector<GroupMember> members;  // at least one
  bool is_substitute = false;        // then at least one of ours is among them
};

struct AgentConfig {
  std::vector<DatabaseConfig> databases;  // at least one
  std::string listen;                     // empty: nobody else takes cuts of ours
  std::vector<std::string> coordinators;  // registries
  std::vector<GroupConfig> groups;

  // InvalidInput if there is none of this dataset; the hint names those there are.
  Result<const DatabaseConfig*> database(std::string_view dataset) const;
};

Result<AgentConfig> parse_agent_config(ByteView text, const std::string& source);

}  // namespace exclave::agent
