#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/durations.h"
#include "cli/remedy.h"
#include "cli/render.h"
#include "cli/site_folder.h"
#include "engine/database_log.h"
#include "env/exists.h"

namespace exclave::cli {
namespace {

constexpr std::size_t kFewestIdDigits = 8;  // of a release that is named by the beginning of its id
constexpr std::int64_t kLongestValidSeconds = std::int64_t{365} * 86400;

struct Station {
  Acts acts;
  custody::SignedRelease release;
};

// What an official's station works with: their own acts, and the request.
Result<Station> open_station(const Context& context, const std::string& directory, const std::string& release) {
  Station station{TRY(load_acts(context, directory)), {}};
  station.release = TRY(read_release(context.env.files, release));
  TRY(with_remedy(
      custody::check_release(station.acts.signed_policy(), station.release),
      "approve nothing; ask the site, by another way, whether it made this request for this realm's policy"));
  return station;
}

// The era the request asks for, from which an official sees dates.
Result<const policy::SignedEra*> era_of(const Station& station) {
  const custody::ReleaseRequest& request = station.release.request;
  const policy::Registry* registry = station.acts.policy().registry(request.registry);
  if (registry == nullptr) return Error(Code::NotFound, "the policy has no registry with the id of this request");
  return station.acts.era(*registry, request.era);
}

// Of a snapshot for which the vaults, unproven, name these periods.
Result<std::vector<format::PeriodNumber>> periods_asked_for(const policy::Era& era,
                                                            const engine::FoundSnapshot& snapshot,
                                                            format::PeriodNumber first, format::PeriodNumber last) {
  auto periods = custody::periods_of_request(era, first, last);
  if (periods.ok()) return periods;
  std::string vaults;
  for (const std::string& vault : snapshot.complete_at) append_item(vaults, vault);
  return Error(periods.error().code(), "what vaults say of snapshot " + short_hex(snapshot.object.name.view()) +
                                           (vaults.empty() ? "" : " (it lies at " + vaults + ")") + ": " +
                                           periods.error().message())
      .hint("find the vault that says so: exclave verify; or ask for another one with --snapshot");
}

}  // namespace

Result<ExitCode> run(const Context& context, const ReleaseRequestSettings& settings) {
  const auto site = TRY(SiteFolder::open(context, settings.place));
  Status reason = custody::check_reason(settings.reason);
  if (!reason.ok()) return reason.take_error().hint("give one line of plain text, at most 500 bytes");
  const auto valid = TRY(parse_seconds(settings.valid, "--valid", kLongestValidSeconds));
  if (TRY(env::exists(context.env.files, settings.output)))
    return Error(Code::AlreadyExists, "'" + printable(settings.output) + "' exists already").hint("name a new file");
  engine::RegistryHoldings holdings = TRY(site->find_holdings(context));
  if (settings.snapshot == "latest") engine::confirm_latest(holdings);
  site->note_findings(context, holdings);
  const engine::FoundSnapshot snapshot = TRY(engine::choose_snapshot(holdings, settings.snapshot));

  custody::ReleaseRequest request;
  request.realm = site->policy().realm;
  request.registry = site->registry().id;
  request.registry_name = site->registry().name;
  request.era = snapshot.era;
  // A database is restored with the log behind its base backup, which goes on in later periods.
  const policy::SignedEra* const era = TRY(site->acts().era(site->registry(), request.era));
  const auto journals = engine::newest_journal_period(holdings, request.registry, request.era,
                                                      era->era.period_at(context.env.clock.now().seconds()));
  const format::PeriodNumber last = std::max(snapshot.object.period, journals.value_or(snapshot.object.period));
  format::PeriodNumber first = snapshot.oldest_period;
  for (const engine::FoundSnapshot& other : holdings.snapshots) {
    if (settings.all && other.era == snapshot.era) first = std::min(first, other.oldest_period);
  }
  request.periods = TRY(periods_asked_for(era->era, snapshot, first, last));
  request.site = site->site().name;
  request.site_identity = site->identity().public_key();
  custody::RecipientKey recipient;
  TRY(context.env.random.fill(recipient.seed.mutable_view()));
  request.recipient = crypto::x25519_public_key(recipient.seed);
  request.policy_version = site->policy().version;
  request.policy_hash = site->acts().signed_policy().hash;
  request.approvals = policy::approvals_needed(site->policy(), site->registry(), era->era);
  TRY(custody::check_holders(site->policy(), era->era, request.approvals).in([&] {
    return "registry " + request.registry_name;
  }));
  request.reason = settings.reason;
  request.not_after_seconds = context.env.clock.now().seconds() + valid;
  TRY(context.env.random.fill(request.nonce.mutable_view()));
  const custody::SignedRelease release = TRY(custody::SignedRelease::sign(request, site->identity()));
  TRY(custody::check_release(site->acts().signed_policy(), release));
  // The key first: a request whose key is lost would cost the officials a meeting for nothing.
  recipient.release = release.id;
  const std::string key_path = release_key_path(site->directory(), release.id.hex());
  TRY(context.env.files.make_directories(env::parent_path(key_path), env::kPrivateDirectory));
  TRY(custody::create_recipient_key(context.env.files, key_path, recipient));
  TRY(env::create_file_durably(context.env.files, settings.output, as_bytes(release.document), 0644));

  const std::string periods = request.periods.size() == 1
                                  ? "period " + std::to_string(request.periods.front().value())
                                  : "periods " + std::to_string(request.periods.front().value()) + " to " +
                                        std::to_string(request.periods.back().value());
  const std::string what = settings.all ? "all snapshots" : "snapshot " + short_hex(snapshot.object.name.view());
  std::string text = "request " + release.id.hex().substr(0, 12) + " for " + what + " of registry " +
                     request.registry_name + " (" + periods + " of era " + std::to_string(request.era.value()) +
                     ") is in " + settings.output + "\n" + "carry it to " + std::to_string(request.approvals) +
                     " officials: exclave release approve --official DIRECTORY " + settings.output + " --out FILE\n";
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("release", release.id.hex())
      .set("snapshot", snapshot.object.name.hex())
      .set("era", request.era.value())
      .set("periods", request.periods.size())
      .set("approvals", request.approvals)
      .set("file", settings.output);
  context.print(text, json);
  return kOk;
}

namespace {

// The id of the release that a person names by the request's file or by the first digits of its id.
Result<std::string> id_of_named(env::FileSystem& files, const ReleaseCloseSettings& settings) {
  const auto document = read_document(files, settings.request);
  if (document.ok()) return TRY(custody::SignedRelease::parse(document.value(), settings.request)).id.hex();
  // Too few digits would soon close a release that nobody meant, and its key cannot be made again.
  const bool is_of_digits = settings.request.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (is_of_digits && settings.request.size() < kFewestIdDigits) {
    return Error(Code::InvalidInput, "'" + settings.request + "' is too short for the id of a release")
        .hint("give at least 8 digits, as `exclave status --site DIRECTORY` shows them, or the request's file");
  }
  std::vector<std::string> ids = TRY(open_releases(files, settings.site));
  std::erase_if(ids, [&](const std::string& id) { return !id.starts_with(settings.request); });
  if (ids.size() == 1) return ids.front();
  if (!ids.empty()) return Error(Code::InvalidInput, "'" + settings.request + "' begins several releases' ids");
  if (custody::ReleaseId::from_hex(settings.request).ok()) return settings.request;  // closed before
  return document.error();
}

}  // namespace

Result<ExitCode> run(const Context& context, const ReleaseCloseSettings& settings) {
  env::FileSystem& files = context.env.files;
  TRY(read_role_key(files, settings.site, "identity.key", custody::SigningUse::Site));
  const std::string id = TRY(id_of_named(files, settings));
  const std::string path = release_key_path(settings.site, id);
  const bool was_open = TRY(env::exists(files, path));
  TRY(files.make_directories(env::parent_path(path), env::kPrivateDirectory));
  TRY(remove_durably(files, path));
  config::Json json = config::Json::object();
  json.set("ok", true).set("release", id).set("was_open", was_open);
  context.print("release " + id.substr(0, 12) +
                    (was_open ? " is closed: its recipient key is erased, and the approvals open nothing any more\n"
                              : " is closed: this site holds no key of it\n"),
                json);
  return kOk;
}

Result<ExitCode> run(const Context& context, const ReleaseShowSettings& settings) {
  const Station station = TRY(open_station(context, settings.official, settings.release));
  const custody::ReleaseRequest& request = station.release.request;
  config::Json json = config::Json::object();
  json.set("ok", true).set("release", station.release.id.hex()).set("document", station.release.document);
  const policy::SignedEra* era = TRY(era_of(station));
  const std::int64_t now = context.env.clock.now().seconds();
  json.set("not_after", request.not_after_seconds).set("expired", now > request.not_after_seconds);
  context.print(custody::release_in_words(station.acts.signed_policy(), station.release, now, era) + "\n", json);
  return kOk;
}

Result<ExitCode> run(const Context& context, const ReleaseApproveSettings& settings) {
  const Station station = TRY(open_station(context, settings.official, settings.release));
  const custody::ReleaseRequest& request = station.release.request;
  if (TRY(env::exists(context.env.files, settings.output)))
    return Error(Code::AlreadyExists, "'" + printable(settings.output) + "' exists already").hint("name a new file");
  const auto own_key = [](Result<std::unique_ptr<custody::Credential>> key) {
    if (!key.ok()) key = key_refused(key.take_error(), "give the official's own directory, with their key files");
    return key;
  };
  const auto signer = TRY(own_key(custody::open_key_file_credential(context.env.files, settings.official)));
  std::unique_ptr<custody::Credential> paper;
  if (settings.paper) {
    const std::string path = env::join_path(settings.official, "paper.key");
    paper = TRY(own_key(custody::open_paper_credential(context.env.files, path)));
  }
  const policy::SignedEra* era = TRY(era_of(station));
  const std::string leaf_path =
      env::join_path(settings.official, "share-book/" + custody::leaf_file_name(request.registry, request.era));
  auto found_leaf = read_document(context.env.files, leaf_path).in([] { return "share book"; });
  if (!found_leaf.ok()) {
    return std::move(found_leaf.take_error())
        .hint("the ceremony writes this leaf for " + signer->name() + " when it opens the era: ask its keepers for it");
  }
  const Bytes leaf = found_leaf.take();

  const std::int64_t now = context.env.clock.now().seconds();
  TRY(custody::check_not_expired(station.release, now));
  context.terminal.err(custody::release_in_words(station.acts.signed_policy(), station.release, now, era) + "\n");
  if (!settings.yes) {
    if (!context.terminal.can_ask()) {
      return Error(Code::Precondition, "approving needs an answer, and there is no terminal")
          .hint("read the request, then say --yes");
    }
    context.terminal.err("Type 'release' to sign this and hand out your share: ");
    const std::string answer = TRY(context.terminal.read_line(context.stop).in([] { return "not approved"; }));
    if (answer != "release" || context.stop.stop_requested())
      return Error(Code::Precondition, "not approved; nothing was written");
  }
  const std::string approval =
      TRY(custody::approve_release(context.env.random, station.acts.policies, station.release, *era, leaf, *signer,
                                   paper != nullptr ? *paper : *signer, context.env.clock.now().seconds()));
  TRY(env::create_file_durably(context.env.files, settings.output, as_bytes(approval), 0644));
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("official", signer->name())
      .set("release", station.release.id.hex())
      .set("file", settings.output);
  context.print(signer->name() + " approved request " + station.release.id.hex().substr(0, 12) + ": " +
                    settings.output + " goes back to the site\n",
                json);
  return kOk;
}

}  // namespace exclave::cli
