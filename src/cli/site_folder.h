// SiteFolder: an executing site's directory, opened for one command: acts, identity, vaults; and what was released to
// it.
//
//   SITE/identity.key, acts/
//        releases/<release id>.key       the recipient key of a request: with the approvals it opens what was released for
//                                        ever, so `release close` erases it when the release is carried out
//
// Errors: NotFound, Precondition, Denied (not a site of the policy), those of custody.
#pragma once

#include <memory>
#include <optional>

#include "cli/context.h"
#include "cli/folders.h"
#include "cli/settings.h"
#include "cli/vault_set.h"
#include "custody/release.h"
#include "engine/snapshot_content.h"
#include "spread/copies_reader.h"

namespace exclave::cli {

// Ids of the releases whose recipient keys lie in a site's directory, sorted. None if there never was one.
Result<std::vector<std::string>> open_releases(env::FileSystem& files, const std::string& site_directory);
std::string release_key_path(const std::string& site_directory, const std::string& id);

class SiteFolder {
 public:
  static Result<std::unique_ptr<SiteFolder>> open(const Context& context, const PlaceSettings& place);

  const Acts& acts() const { return acts_; }
  const policy::Policy& policy() const { return acts_.policy(); }
  const policy::Registry& registry() const { return *registry_; }
  engine::PinnedRegistry pinned() const { return acts_.pinned(*registry_); }
  const policy::Site& site() const { return *site_; }
  const crypto::Ed25519SigningKey& identity() const { return *identity_; }
  VaultSet& vaults() { return *vaults_; }
  const std::string& directory() const { return directory_; }

  Result<engine::RegistryHoldings> find_holdings(const Context& context) const;
  // What the vaults show that should not be, and who did not answer: each vault once for a command.
  void note_findings(const Context& context, const engine::RegistryHoldings& holdings);

 private:
  SiteFolder() = default;
  std::string directory_;
  Acts acts_;
  std::optional<crypto::Ed25519SigningKey> identity_;
  const policy::Registry* registry_ = nullptr;
  const policy::Site* site_ = nullptr;
  std::unique_ptr<VaultSet> vaults_;
};

// What the officials released of a registry, and what the vaults hold of it.
struct ReleasedRegistry {
  std::vector<std::string> approved_by;
  format::EraNumber era;
  std::vector<format::PeriodNumber> periods;
  engine::RegistryHoldings holdings;  // also what the release does not open
  std::vector<format::OpeningKey> keys;
  std::unique_ptr<spread::CopiesReader> reader;
  std::unique_ptr<repo::ObjectOpener> opener;  // uses reader
};
// `site` outlives the result.
Result<ReleasedRegistry> open_release(const Context& context, SiteFolder& site, const OpenSettings& open);

// Leaves the snapshots that the release opens, and returns the others. NotFound if none is left of some.
Result<std::vector<engine::FoundSnapshot>> leave_released(ReleasedRegistry& released);
// "3 snapshots, the newest of ..., lie in periods, or in an era, that this release does not open". Not empty, oldest first.
std::string not_released_in_words(const std::vector<engine::FoundSnapshot>& others);

// A snapshot opened with it: everything that ls, restore and verify read it with.
struct ReleasedSnapshot : ReleasedRegistry {
  engine::FoundSnapshot snapshot;
  std::size_t later_not_released = 0;  // of "latest": snapshots that are later, and that the release does not open
  std::vector<engine::FoundSnapshot> older;          // that the release opens too, newest first, of whatever dataset
  std::unique_ptr<engine::SnapshotContent> content;  // uses opener
};
// `site` outlives the result.
Result<ReleasedSnapshot> open_released(const Context& context, SiteFolder& site, const OpenSettings& open,
                                       const std::string& snapshot);

// Another snapshot with the same release, such as one of `released.older`. Nothing changes if it cannot be opened.
Status open_another(const Context& context, ReleasedSnapshot& released, const engine::FoundSnapshot& snapshot);

}  // namespace exclave::cli
