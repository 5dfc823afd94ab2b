// Agent: the capture daemon: streams every configured database, keeps the spools, tells how it stands.
// Hides: its threads.
//
//   stream-DATASET   one per database: the log (database_stream.h)
//   cuts-GROUP       one per group that it coordinates (cut_coordinator.h)
//   door             what coordinators of other registries ask (cut_service.h), with wire::Server's threads
//   keeper           the servers' settings, the status file
//   clocks           every vault's clock
//   spools           what earlier journals left for vaults that lack it
//   watch            whether somebody else writes with our key (writer_watch.h)
//   base-DATASET     a base backup that is due, one at a time
//
// I1  A database that cannot go on (another server, say) stops alone, with an alarm; the others go on. Where the disk is full it
//     tries again until there is room.
// I2  The status file is replaced as a whole, every two seconds, soon after a stream's state changed, and at the end; it says
//     when it was written.
// Threads: run() blocks; the others are joined before it returns.
// Errors: InvalidInput, Exhausted (no threads). What happens to a database is in the status.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <stop_token>
#include <string>

#include "agent/agent_config.h"
#include "config/json.h"
#include "wire/transport.h"

namespace exclave::agent {

struct AgentPlace {
  env::Env& env;
  wire::Transport& transport;  // as the writer: to other agents, and from coordinators
  const policy::Policy& policy;
  const policy::Registry& registry;
  const policy::Era& era;
  const crypto::Ed25519SigningKey& writer;
  std::vector<store::VaultApi*> vaults;
  std::string keys_path;  // of the era
  std::string home;
};

inline constexpr std::chrono::seconds kLeaveAfter(12);

// Takes a base backup of a dataset; called on a thread of its own when one is due.
using TakeBase = std::function<Status(const DatabaseConfig& database)>;

// `leave_vaults`: ends every call to a vault, for those who wait for a silent one when it is time to end; called once, from
// a thread of run_agent, kLeaveAfter after the stop if the streams have not ended by then.
Status run_agent(const AgentPlace& place, const AgentConfig& config, const TakeBase& take_base,
                 const std::function<void()>& leave_vaults, std::stop_token stop);

// HOME/state/agent.json
std::string agent_status_path(std::string_view home);
std::string database_directory(std::string_view home, std::string_view dataset);
// The places of all journals that lie in a spool of this home: some vault may lack some of them (left_spools.h). Also beside
// an agent that runs.
Result<std::set<std::uint64_t>> journals_at_home(env::FileSystem& files, std::string_view home);
config::Json status_json(const DatabaseStatus& status);

}  // namespace exclave::agent
