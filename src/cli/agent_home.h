// AgentHome: an agent's directory, opened for one command: acts, keys, writer identity, state of the running era.
// Hides: the order of opening and locking.
//
//   HOME/agent.lock            held while a command changes state
//   HOME/journal.lock          held by the agent daemon, which streams databases and needs no table: captures go on beside it
//                              who only looks holds neither, changes nothing, and reaches no vault
//   HOME/state/era-N/table/    the dedup index     HOME/state/era-N/<dataset>.catalogue
//
// Errors: Conflict (another command is running), NotFound, Precondition, Corrupt (state; hint: agent recover).
#pragma once

#include <memory>
#include <optional>

#include "cli/context.h"
#include "cli/folders.h"
#include "cli/vault_set.h"
#include "engine/capture.h"
#include "repo/dedup_index.h"
#include "repo/relied_entries.h"

namespace exclave::cli {

// Held by whoever changes what lies in an agent's directory; Conflict while another does. Removes what a killed one
// left half written.
Result<std::unique_ptr<env::FileSystem::Lock>> lock_agent_directory(env::FileSystem& files,
                                                                    const std::string& directory);
// Held by the agent daemon, and by whoever takes from it the keys that it streams under; Conflict while another does.
Result<std::unique_ptr<env::FileSystem::Lock>> lock_journals(env::FileSystem& files, const std::string& directory);

// The registry whose writer this directory holds the key of; Denied if the policy pins no such writer.
Result<const policy::Registry*> registry_of_writer(const Acts& acts, const crypto::Ed25519SigningKey& writer,
                                                   const std::string& directory);

// What the agent remembers of its captures in the era.
struct EraMemory {
  std::vector<repo::SnapshotSummary> snapshots;  // oldest first
  std::vector<repo::KeptReceipt> receipts;       // of vaults, for what captures sent
  repo::ReliedEntries relied;                    // what captures build on, interrupted ones included
};

enum class HomeUse { Captures, Journals, Looks };

class AgentHome {
 public:
  static Result<std::unique_ptr<AgentHome>> open(const Context& context, const std::string& directory,
                                                 HomeUse use = HomeUse::Captures);

  const Acts& acts() const { return acts_; }
  const policy::Policy& policy() const { return acts_.policy(); }
  const policy::Registry& registry() const { return *registry_; }
  engine::PinnedRegistry pinned() const { return acts_.pinned(*registry_); }
  const policy::SignedEra& era() const { return *era_; }
  const std::string& directory() const { return directory_; }
  const std::string& state_directory() const { return state_; }
  VaultSet& vaults() { return *vaults_; }    // not of Looks
  table::Table& table() { return *table_; }  // of Captures
  // Beside whoever captures. Of Looks and Journals.
  Result<EraMemory> look(const Context& context) const;
  const crypto::Ed25519SigningKey& writer() const { return *writer_; }
  std::string keys_path() const { return env::join_path(directory_, era_keys_name(keys_.era)); }
  engine::CaptureContext capture_context(const Context& context) const;
  // After a capture: erases the keys of periods that the vaults' clocks and ours agree have ended.
  Status erase_ended_periods(const Context& context);

 private:
  AgentHome() = default;
  Status open_state(const Context& context);
  Status note_if_lost(const Context& context) const;
  std::string table_path() const { return env::join_path(state_, "table"); }
  std::string directory_;
  std::unique_ptr<env::FileSystem::Lock> lock_;
  Acts acts_;
  const policy::Registry* registry_ = nullptr;  // into acts_
  const policy::SignedEra* era_ = nullptr;      // into acts_
  std::optional<crypto::Ed25519SigningKey> writer_;
  custody::AgentKeys keys_;
  std::string state_;
  std::unique_ptr<table::Table> table_;
  std::unique_ptr<VaultSet> vaults_;
  std::string host_;
};

}  // namespace exclave::cli
