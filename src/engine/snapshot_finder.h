// SnapshotFinder: what the vaults hold of a registry, without any key: streams, entries, snapshots, forks, gaps.
// Hides: paging, merging the answers of several vaults, which of them is complete.
//
// I1  Entries are believed only with the writer's signature and an unbroken chain from the stream's start.
// I2  Two valid entries of one index that differ are a fork: reported, never merged.
// Errors: Unavailable (no vault answers). Single vaults that fail are named in `unreachable`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "env/env.h"
#include "policy/policy.h"
#include "repo/object_opener.h"
#include "store/vault_api.h"

namespace exclave::engine {

struct FoundSnapshot {
  format::ObjectReference object;  // its period and class read from the object's header
  format::StreamId stream;
  format::StreamStart start;
  format::EntryIndex index;
  format::EraNumber era;
  format::PeriodNumber oldest_period;
  std::int64_t durable_at_seconds = 0;   // earliest vault's time
  std::vector<std::string> complete_at;  // vaults that hold it, and every earlier stream of its era whole
};

struct FoundStream {
  format::SignedStream stream;
  std::uint64_t entries = 0;  // the longest unbroken run any vault holds
  // What k vaults hold: only that was ever known to the agent as stored, and referred to by later snapshots. With fewer
  // than k vaults to ask, the longest run must be assumed to have been durable.
  std::uint64_t durable_entries = 0;
  std::map<std::string, std::uint64_t> heads;  // by vault
};

struct FoundObject {
  format::ObjectName name;
  std::uint64_t bytes = 0;
  bool is_snapshot = false;
  format::EraNumber era;
};

struct RegistryHoldings {
  std::vector<FoundStream> streams;
  std::vector<FoundSnapshot> snapshots;  // oldest first
  std::vector<FoundObject> objects;      // every object once, in stream order
  std::vector<std::string> problems;     // forks, bad signatures, gaps: in the operator's words
  std::vector<std::string> unreachable;  // "lux: connection refused"
};

Result<RegistryHoldings> find_holdings(const policy::Policy& policy, const policy::Registry& registry,
                                       const std::vector<store::VaultApi*>& vaults);

// The vaults, of those that answer, that lack entries of this era which k vaults hold: later snapshots may refer to
// them. Asks for heads only, which the registry's own writer may do too.
std::vector<std::string> vaults_missing_entries(const policy::Policy& policy, const policy::Registry& registry,
                                                format::EraNumber era, const std::vector<store::VaultApi*>& vaults);

// A snapshot by an unambiguous prefix of its name in hex (at least 4 digits), or "latest".
Result<FoundSnapshot> choose_snapshot(const RegistryHoldings& holdings, std::string_view wanted);

}  // namespace exclave::engine
