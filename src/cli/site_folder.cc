#include "cli/site_folder.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "cli/render.h"
#include "engine/dataset_finder.h"

namespace exclave::cli {

Result<std::unique_ptr<SiteFolder>> SiteFolder::open(const Context& context, const PlaceSettings& place) {
  if (place.site.empty()) return Error(Code::InvalidInput, "no site directory was given").hint("say --site DIRECTORY");
  std::unique_ptr<SiteFolder> site(new SiteFolder());
  site->directory_ = place.site;
  Acts acts = TRY(load_acts(context, place.site));
  site->identity_ = TRY(read_role_key(context.env.files, place.site, "identity.key", custody::SigningUse::Site));
  site->vaults_ = TRY(VaultSet::connect(context, acts.policy(), *site->identity_, Patience::InTurn));
  site->vaults_->shutdown_at(context.stop);
  site->acts_ = TRY(site->vaults_->exchange_acts(context, place.site, std::move(acts)));
  site->site_ = site->policy().site_by_identity(site->identity_->public_key());
  if (site->site_ == nullptr) {
    return Error(Code::Denied, "the identity in '" + printable(place.site) + "' is not a site of policy version " +
                                   std::to_string(site->policy().version.value()));
  }
  site->registry_ = TRY(site->acts_.registry(place.registry));
  return site;
}

Result<engine::RegistryHoldings> SiteFolder::find_holdings(const Context& context) const {
  return engine::find_holdings(context.env.clock, context.env.threads, pinned(), vaults_->all());
}

void SiteFolder::note_findings(const Context& context, const engine::RegistryHoldings& holdings) {
  for (const std::string& problem : holdings.problems) context.note("problem: " + problem);
  for (const std::string& lost : holdings.unreachable) vaults_->note_once(context, "vault " + lost);
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

// Leaves the latest snapshot of one dataset: the one asked for, or the only one. With several, "latest" of which is the
// caller's choice: a restore of the wrong one is found too late.
Status keep_dataset(const Context& context, repo::ObjectOpener& opener, const std::string& wanted,
                    engine::RegistryHoldings& holdings) {
  const auto tell = [&](const engine::FoundSnapshot& found) -> Result<std::string> {
    auto record = repo::open_snapshot(opener, found.object);
    if (record.ok()) return std::move(record.value().dataset);
    context.note("snapshot " + found.object.name.hex().substr(0, 12) +
                 " cannot be opened: " + record.error().message());
    return record.take_error();
  };
  const engine::LatestOfDataset latest = TRY(engine::keep_latest_of_dataset(holdings, wanted, tell));
  if (!wanted.empty() || latest.others.empty()) return {};
  std::string names = printable(latest.dataset);
  for (const std::string& other : latest.others) append_item(names, printable(other));
  return Error(Code::InvalidInput, "the registry has several datasets: " + names)
      .hint("choose one with --dataset NAME; restore takes all of them with --all");
}

}  // namespace

std::string not_released_in_words(const std::vector<engine::FoundSnapshot>& others) {
  const bool is_one = others.size() == 1;
  return std::to_string(others.size()) + (is_one ? " snapshot, of " : " snapshots, the newest of ") +
         local_time(others.back().taken_at_seconds) + (is_one ? ", lies" : ", lie") +
         " in periods, or in an era, that this release does not open";
}

Result<ReleasedRegistry> open_release(const Context& context, SiteFolder& site, const OpenSettings& open) {
  if (open.release.empty()) {
    return Error(Code::InvalidInput, "no release was given")
        .hint("ask for one: exclave release request; then say --release FILE --approval FILE ...");
  }
  const custody::SignedRelease signed_release = TRY(read_release(context.env.files, open.release));
  const custody::ReleaseRequest& request = signed_release.request;
  if (request.registry != site.registry().id) {
    return Error(Code::Denied, "release '" + printable(open.release) + "' is for registry " + request.registry_name)
        .hint("restore that registry: --registry " + request.registry_name);
  }
  const custody::RecipientKey recipient = TRY(recipient_key_of(context.env.files, site, signed_release.id));
  std::vector<custody::ApprovalFile> approvals;
  for (const std::string& path : open.approvals) {
    Bytes approval = TRY(read_approval(context.env.files, path));
    approvals.push_back({path, std::move(approval)});
  }
  const policy::SignedEra* era = TRY(site.acts().era(site.registry(), request.era));
  custody::CombinedRelease release =
      TRY(custody::combine_release(site.acts().policies, signed_release, *era, approvals, recipient.seed));
  for (const std::string& why : release.blamed) {
    const bool is_bad_share =
        std::find(release.bad_shares.begin(), release.bad_shares.end(), why) != release.bad_shares.end();
    context.note((is_bad_share ? "bad share: " : "not counted: ") + why);
  }

  ReleasedRegistry released;
  released.approved_by = std::move(release.approved_by);
  released.era = request.era;
  released.periods = request.periods;
  released.holdings = TRY(site.find_holdings(context));
  site.note_findings(context, released.holdings);
  released.reader = std::make_unique<spread::CopiesReader>(context.env.threads, context.env.clock, site.vaults().all());
  for (const format::OpeningKey& key : release.keys) released.keys.push_back(key.clone());
  released.opener =
      std::make_unique<repo::ObjectOpener>(site.policy().realm, std::move(release.keys), *released.reader);
  return released;
}

Result<std::vector<engine::FoundSnapshot>> leave_released(ReleasedRegistry& released) {
  auto others = engine::set_aside_unreleased(released.holdings, released.era, released.periods);
  if (released.holdings.snapshots.empty() && !others.empty()) {
    return engine::not_shown(
        released.holdings,
        Error(Code::NotFound, "the released periods hold no whole snapshot, and " + not_released_in_words(others))
            .hint("ask the officials for other periods: exclave release request"));
  }
  return others;
}

Result<ReleasedSnapshot> open_released(const Context& context, SiteFolder& site, const OpenSettings& open,
                                       const std::string& snapshot) {
  ReleasedSnapshot released{TRY(open_release(context, site, open)), {}, 0, {}, {}};
  engine::RegistryHoldings& holdings = released.holdings;
  // "latest" means the latest that the released periods open.
  std::vector<engine::FoundSnapshot> not_released;
  if (snapshot == "latest") not_released = TRY(leave_released(released));
  released.older = holdings.snapshots;
  if (snapshot == "latest" && !holdings.snapshots.empty())
    TRY(keep_dataset(context, *released.opener, open.dataset, holdings));
  released.snapshot = TRY(engine::choose_snapshot(holdings, snapshot));
  // Keys are found by period, and the other era's period of that number would be opened with the wrong one.
  if (released.snapshot.era != released.era) {
    return Error(Code::Denied, "snapshot " + released.snapshot.object.name.hex().substr(0, 12) + " is of era " +
                                   std::to_string(released.snapshot.era.value()) + ", and the release is for era " +
                                   std::to_string(released.era.value()))
        .hint("ask the officials for it: exclave release request --snapshot " +
              released.snapshot.object.name.hex().substr(0, 12));
  }
  std::erase_if(not_released,
                [&](const engine::FoundSnapshot& other) { return !engine::is_older(released.snapshot, other); });
  released.later_not_released = not_released.size();
  if (!not_released.empty())
    context.note("this is not the latest: later than it, " + not_released_in_words(not_released));
  std::erase_if(released.older, [&](const engine::FoundSnapshot& other) {
    return other.era != released.era || !engine::is_older(other, released.snapshot);
  });
  std::reverse(released.older.begin(), released.older.end());
  TRY(open_another(context, released, engine::FoundSnapshot(released.snapshot)));
  const std::string& dataset = released.content->record().dataset;
  if (!open.dataset.empty() && open.dataset != dataset) {
    return Error(Code::InvalidInput, "snapshot " + released.snapshot.object.name.hex().substr(0, 12) +
                                         " is of dataset " + printable(dataset) + ", not of " + printable(open.dataset))
        .hint("leave --dataset out, or name another snapshot");
  }
  return released;
}

Status open_another(const Context& context, ReleasedSnapshot& released, const engine::FoundSnapshot& snapshot) {
  released.content = TRY(engine::SnapshotContent::open(*released.opener, snapshot.object, released.holdings.objects));
  released.snapshot = snapshot;
  for (const std::string& note : released.content->notes()) context.note(note);
  return {};
}

}  // namespace exclave::cli
