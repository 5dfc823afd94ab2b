// VaultSet: the policy's vaults, reached as one identity: over HTTPS, or embedded ("dir:/path").
// Hides: transports, embedded vaults' lifetimes, how acts are exchanged.
//
// I1  exchange_acts brings what this side has and a vault lacks, and takes over newer policies and eras that verify as
//     successors of ours. A vault that shows anything else is named in the notes and left alone (H11).
// Errors: of a single vault: a note. Of all: Unavailable when first used.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/folders.h"
#include "store/vault_api.h"
#include "vault/vault.h"
#include "wire/http_vault.h"
#include "wire/transport.h"

namespace exclave::cli {

// How long a vault that does not answer is asked again.
//   Long    a capture can wait; one that hangs is only glanced at, as InTurn
//   Short   once more: who asks each vault from a thread of its own, as a stream does
//   InTurn  once more, and one that hangs is only glanced at: who asks one after the other, as a restore in a crisis does
enum class Patience { Long, Short, InTurn };

class VaultSet {
 public:
  // `identity`: the caller's signing key (writer, site or vault), by which the vaults know it; a vault is not connected
  // to itself. The context outlives the set.
  static Result<std::unique_ptr<VaultSet>> connect(const Context& context, const policy::Policy& policy,
                                                   const crypto::Ed25519SigningKey& identity, Patience patience);
  std::vector<store::VaultApi*> all() const;
  // Ends what waits for a vault over the network, soon; later calls are Cancelled. From any thread.
  void shutdown();
  // shutdown(), as soon as `stop` says so: for a command that has nothing to bring to an end first.
  void shutdown_at(std::stop_token stop);
  // Returns the acts to go on with (ours, or newer), after saving new ones under `directory`.
  Result<Acts> exchange_acts(const Context& context, const std::string& directory, Acts acts);
  // context.note, but for a line that was noted before: what two steps find out about a vault is one fact to a reader.
  void note_once(const Context& context, const std::string& line);

 private:
  VaultSet() = default;
  Status open_embedded(const Context& context, const policy::VaultEntry& entry, const policy::Policy& policy,
                       const crypto::Ed25519PublicKey& caller);

  crypto::Ed25519PublicKey caller_;
  std::unique_ptr<wire::Transport> transport_;
  std::vector<std::unique_ptr<vault::Vault>> embedded_;
  std::vector<std::unique_ptr<store::VaultApi>> vaults_;
  std::set<std::string> noted_;
  std::vector<wire::HttpVault*> remote_;                                   // into vaults_
  std::optional<std::stop_callback<std::function<void()>>> when_stopped_;  // last: it uses the others
};

// Opens a vault's directory: creates the vault from its acts-to-adopt at the first start.
Result<std::unique_ptr<vault::Vault>> open_vault_directory(const Context& context, const std::string& directory);

inline constexpr std::string_view kEmbeddedPrefix = "dir:";

}  // namespace exclave::cli
