#include "cli/site_folder.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace exclave::cli {

Result<std::unique_ptr<SiteFolder>> SiteFolder::open(const Context& context, const PlaceSettings& place) {
  if (place.site.empty()) return Error(Code::InvalidInput, "no site directory was given").hint("say --site DIRECTORY");
  std::unique_ptr<SiteFolder> site(new SiteFolder());
  site->directory_ = place.site;
  Acts acts = TRY(load_acts(context.env.files, place.site));
  site->identity_ = TRY(read_role_key(context.env.files, place.site, "identity.key", custody::SigningUse::Site));
  site->vaults_ = TRY(VaultSet::connect(context, acts.policy(), *site->identity_, Patience::Short));
  site->acts_ = TRY(site->vaults_->exchange_acts(context, place.site, std::move(acts)));
  site->site_ = site->policy().site_by_identity(site->identity_->public_key());
  if (site->site_ == nullptr) {
    return Error(Code::Denied, "the identity in '" + printable(place.site) + "' is not a site of policy version " +
                                   std::to_string(site->policy().version.value()));
  }
  site->registry_ = TRY(site->acts_.registry(place.registry));
  return site;
}

std::string release_key_path(const std::string& site_directory, const std::string& id) {
  return env::join_path(site_directory, "releases/" + id + ".key");
}

Result<std::vector<std::string>> open_releases(env::FileSystem& files, const std::string& site_directory) {
  constexpr std::string_view kSuffix = ".key";
  auto names = files.list(env::join_path(site_directory, "releases"));
  if (!names.ok() && names.error().code() == Code::NotFound) return std::vector<std::string>();
  std::vector<std::string> ids;
  for (const std::string& name : TRY(std::move(names))) {
    const std::string id = name.substr(0, name.size() - std::min(name.size(), kSuffix.size()));
    if (name.ends_with(kSuffix) && custody::ReleaseId::from_hex(id).ok()) ids.push_back(id);
  }
  return ids;
}

namespace {

// The private half of a release's recipient key, if this site is the one that asked.
Result<custody::RecipientKey> recipient_key_of(env::FileSystem& files, const SiteFolder& site,
                                               const custody::ReleaseId& id) {
  auto key = custody::read_recipient_key(files, release_key_path(site.directory(), id.hex()));
  if (!key.ok()) {
    return Error(key.error().code(),
                 "this site has no key for release " + id.hex().substr(0, 16) + ": " + key.error().message())
        .hint("a release can be opened only by the site that asked for it, with the directory it asked from");
  }
  if (key.value().release != id)
    return Error(Code::Denied, "the key file of release " + id.hex().substr(0, 16) + " belongs to another release");
  return key;
}

// Leaves the snapshots of one dataset: the one asked for, or the newest one's, and says so if there are others. Only
// opened snapshots tell their dataset, so this looks at the newest kDatasetLook.
Status keep_dataset(const Context& context, repo::ObjectOpener& opener, const std::string& wanted,
                    engine::RegistryHoldings& holdings) {
  constexpr std::size_t kDatasetLook = 200;
  std::vector<engine::FoundSnapshot> kept;
  std::set<std::string> others;
  std::string chosen = wanted;
  std::size_t looked = 0;
  for (auto found = holdings.snapshots.rbegin(); found != holdings.snapshots.rend() && looked < kDatasetLook;
       ++found, ++looked) {
    const auto record = repo::open_snapshot(opener, found->object);
    if (!record.ok()) {
      context.note("snapshot " + found->object.name.hex().substr(0, 12) +
                   " cannot be opened: " + record.error().message());
      holdings.lost.push_back({*found, record.error()});
      continue;
    }
    if (chosen.empty()) chosen = record.value().dataset;
    if (record.value().dataset == chosen) {
      kept.insert(kept.begin(), *found);
    } else {
      others.insert(record.value().dataset);
    }
  }
  std::string names;
  for (const std::string& other : others) names += (names.empty() ? "" : ", ") + printable(other);
  if (kept.empty()) {
    if (chosen.empty())
      return Error(Code::Corrupt, "no released snapshot can be opened")
          .hint("exclave verify --site DIRECTORY --read-all");
    return Error(Code::NotFound, "the released periods hold no snapshot of dataset '" + printable(chosen) + "'")
        .hint("they hold: " + names);
  }
  if (wanted.empty() && !others.empty()) {
    context.note("taking the newest snapshot, of dataset " + printable(chosen) + "; others are there: " + names +
                 " (choose with --dataset)");
  }
  holdings.snapshots = std::move(kept);
  return {};
}

}  // namespace

Result<ReleasedSnapshot> open_released(const Context& context, SiteFolder& site, const OpenSettings& open,
                                       const std::string& snapshot) {
  if (open.release.empty()) {
    return Error(Code::InvalidInput, "no release was given")
        .hint("ask for one: exclave release request; then say --release FILE --approval FILE ...");
  }
  const Bytes document = TRY(read_document(context.env.files, open.release));
  const custody::SignedRelease signed_release = TRY(custody::SignedRelease::parse(document, open.release));
  const custody::ReleaseRequest& request = signed_release.request;
  if (request.registry != site.registry().id) {
    return Error(Code::Denied, "release '" + printable(open.release) + "' is for registry " + request.registry_name);
  }
  const custody::RecipientKey recipient = TRY(recipient_key_of(context.env.files, site, signed_release.id));
  std::vector<custody::ApprovalFile> approvals;
  for (const std::string& path : open.approvals) {
    approvals.push_back({path, TRY(read_document(context.env.files, path))});
  }
  const policy::SignedEra* era = TRY(site.acts().era(site.registry(), request.era));
  custody::CombinedRelease release =
      TRY(custody::combine_release(site.acts().policies, signed_release, *era, approvals, recipient.seed));
  for (const std::string& blame : release.blamed) context.note("bad share: " + blame);

  auto holdings = TRY(engine::find_holdings(context.env.threads, site.pinned(), site.vaults().all()));
  for (const std::string& problem : holdings.problems) context.note("problem: " + problem);
  for (const std::string& lost : holdings.unreachable) context.note("vault " + lost);
  // "latest" means the latest that the released periods open.
  if (snapshot == "latest") {
    const auto begins_outside = [&](const engine::FoundSnapshot& found) {
      return found.era != request.era || request.periods.empty() || found.oldest_period < request.periods.front();
    };
    std::erase_if(holdings.snapshots, [&](const engine::FoundSnapshot& found) {
      return begins_outside(found) || found.object.period > request.periods.back();
    });
    std::erase_if(holdings.lost, [&](const engine::LostSnapshot& lost) { return begins_outside(lost.snapshot); });
  }
  ReleasedSnapshot released;
  released.reader = std::make_unique<spread::CopiesReader>(context.env.threads, context.env.clock, site.vaults().all());
  released.opener =
      std::make_unique<repo::ObjectOpener>(site.policy().realm, std::move(release.keys), *released.reader);
  if (snapshot == "latest" && !holdings.snapshots.empty())
    TRY(keep_dataset(context, *released.opener, open.dataset, holdings));
  released.snapshot = TRY(engine::choose_snapshot(holdings, snapshot));
  released.approved_by = std::move(release.approved_by);
  released.content = TRY(
      engine::SnapshotContent::open(*released.opener, released.snapshot.object, holdings.objects, *released.reader));
  for (const std::string& note : released.content->notes()) context.note(note);
  return released;
}

}  // namespace exclave::cli
