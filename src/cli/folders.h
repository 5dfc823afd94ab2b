// Folders: how a realm's files lie on the machines and with the persons that keep them.
// Hides: file names. `realm create` writes all of them side by side; each is then carried to its keeper.
//
//   REALM/ceremony/            ceremony.key, acts/            kept offline by the two persons who hold ceremonies
//        officials/NAME/       official.keys, paper.key (to be printed and removed), share-book/, acts/
//        vaults/NAME/          identity.key, receipt.key, acts-to-adopt/      becomes the vault's directory
//        home/REGISTRY/        writer.key, era-N.keys, acts/, state/          the agent's directory
//        operator/REGISTRY/    era-N+1.keys ...               kept offline by the registry's operator
//        sites/NAME/           identity.key, acts/, releases/  an executing site
//
//   While something is made: REALM/realm.unfinished, ceremony/ceremony.lock, ceremony/era-REGISTRY-N.unfinished (era_writer.h).
//
//   acts/policy-V.exclave, acts/era-REGISTRY-N.exclave       the realm's public acts
//
// I1  load_acts returns only what verifies: one policy chain from version 1, eras that a version of it vouches for.
//     The first version in the folder is the root of trust: the folder came from the ceremony.
// I2  A policy that is damaged stops everything: the chain is what all else hangs on. So does an era of another realm. One
//     that is damaged, or a file that is no act, is left out with a note: it must not turn a site off when it is needed.
// Errors: NotFound, InvalidInput, Denied, Precondition (all name the file).
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "custody/key_files.h"
#include "custody/release.h"
#include "engine/snapshot_finder.h"
#include "env/file_system.h"
#include "policy/era.h"

namespace exclave::cli {

struct Acts {
  std::vector<policy::SignedPolicy> policies;  // version 1 first
  std::vector<policy::SignedEra> eras;
  bool is_whole = true;  // false if an era was left out (I2)

  const policy::SignedPolicy& signed_policy() const { return policies.back(); }
  const policy::Policy& policy() const { return policies.back().policy; }
  // NotFound if the folder has none.
  Result<const policy::SignedEra*> era(const policy::Registry& registry, format::EraNumber number) const;
  Result<const policy::Registry*> registry(std::string_view name) const;   // "" = the only one
  engine::PinnedRegistry pinned(const policy::Registry& registry) const {  // refers to these acts
    return {policy(), registry, policy::writers_of(policies, registry.id), policy::retention_of(policies, registry.id)};
  }
};

std::string acts_folder(std::string_view directory);
Result<Acts> load_acts(const Context& context, const std::string& directory);
// DURABLE, idempotent. `acts_directory` exists.
Status save_policy(env::FileSystem& files, const std::string& acts_directory, const policy::SignedPolicy& policy);
Status save_era(env::FileSystem& files, const std::string& acts_directory, const std::string& registry,
                const policy::SignedEra& era);
// Documents of a folder's acts, for a vault to adopt.
std::vector<Bytes> documents_of(const Acts& acts);

std::string era_keys_name(format::EraNumber era);
std::string era_act_name(std::string_view registry, format::EraNumber era);
// An error about a role's key file: whatever is wrong with the file itself is Denied, with the remedy.
Error key_refused(Error error, std::string_view remedy);
// A role's own key. Whatever is wrong with the file itself is Denied: the key is refused, with a remedy.
Result<crypto::Ed25519SigningKey> read_role_key(env::FileSystem& files, const std::string& directory,
                                                std::string_view name, custody::SigningUse use);
// The highest era whose keys lie in an agent's directory. Denied as above.
Result<custody::AgentKeys> newest_agent_keys(env::FileSystem& files, const std::string& home);

// DURABLE. Of the eras before `newest`, whose every S_p and D would otherwise outlive them.
Status remove_older_agent_keys(env::FileSystem& files, const std::string& home, format::EraNumber newest);
// DURABLE. A file that is not there is fine.
Status remove_durably(env::FileSystem& files, const std::string& path);

// A small document from a file: at most 4 MiB.
Result<Bytes> read_document(env::FileSystem& files, const std::string& path);
// An official's approval, as it stands.
Result<Bytes> read_approval(env::FileSystem& files, const std::string& path);
// A request as the site wrote it; its signature is not looked at yet.
Result<custody::SignedRelease> read_release(env::FileSystem& files, const std::string& path);

}  // namespace exclave::cli
