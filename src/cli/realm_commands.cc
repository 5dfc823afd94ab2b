#include <algorithm>
#include <map>
#include <memory>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/durations.h"
#include "cli/era_writer.h"
#include "cli/folders.h"
#include "cli/render.h"
#include "cli/vault_set.h"
#include "config/quantity.h"
#include "custody/ceremony.h"
#include "env/exists.h"

namespace exclave::cli {
namespace {

constexpr std::int64_t kPolicyLifetimeSeconds = 3650LL * 86400;
constexpr std::int64_t kLongestRetentionSeconds = 100'000LL * 86400;
constexpr std::int64_t kLongestPeriodSeconds = 3652LL * 86400;
// The first thing in a new realm's directory, and gone when the realm is whole. Nothing else tells an unfinished one:
// the folders of a living realm are with their keepers, one by one.
constexpr std::string_view kUnfinishedName = "realm.unfinished";
constexpr std::string_view kUnfinishedText = "exclave realm create is at work here, or was interrupted\n";

template <typename AnyId>
Result<AnyId> random_id(env::Random& random) {
  AnyId id;
  TRY(random.fill(id.mutable_view()));
  return id;
}

struct NamedAddress {
  std::string name;
  std::string address;
};

Result<NamedAddress> parse_vault(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size()) {
    return Error(Code::InvalidInput, "vault '" + printable(text) + "' has no address")
        .hint("write --vault NAME=HOST:PORT or --vault NAME=dir:PATH");
  }
  NamedAddress vault{text.substr(0, equals), text.substr(equals + 1)};
  TRY(format::check_name("vault", vault.name));
  return vault;
}

Status check_unique(std::string_view what, std::vector<std::string> names) {
  for (const std::string& name : names) TRY(format::check_name(what, name));
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return {};
  return Error(Code::InvalidInput, std::string(what) + " '" + *twice + "' is named twice")
      .hint("give each " + std::string(what) + " a name of its own");
}

// Creates the realm's folders, keys and acts. One ceremony machine, two persons; for small realms.
class RealmBuilder {
 public:
  RealmBuilder(const Context& context, const RealmCreateSettings& settings)
      : context_(context), settings_(settings), files_(context.env.files), random_(context.env.random) {}

  // A folder that shows the policy has everything else: whoever is interrupted leaves nothing that could be taken for
  // whole. The ceremony's own folder is the last.
  Status build() {
    TRY(check());
    TRY(take_directory());
    TRY(make_people_and_machines());
    const policy::SignedPolicy policy = TRY(sign_policy());
    TRY(hold_ceremonies());
    for (const std::string& folder : act_folders()) {
      TRY(make_folder(folder));
      for (const auto& [registry, era] : eras_) TRY(save_era(files_, at(folder), registry, era));
      TRY(save_policy(files_, at(folder), policy));
    }
    return give_directory();
  }

  const policy::Policy& policy() const { return policy_; }

 private:
  std::string at(const std::string& path) const { return env::join_path(settings_.directory, path); }
  std::string mark_path() const { return at(std::string(kUnfinishedName)); }
  std::string shown() const { return "'" + printable(settings_.directory) + "'"; }
  Status make_folder(const std::string& path) {
    return files_.make_directories(path.empty() ? settings_.directory : at(path), env::kPrivateDirectory);
  }

  Status check() {
    TRY(check_unique("official", settings_.officials));
    TRY(check_unique("registry", settings_.registries));
    std::vector<std::string> vault_names;
    for (const std::string& text : settings_.vaults) {
      vaults_.push_back(TRY(parse_vault(text)));
      vault_names.push_back(vaults_.back().name);
    }
    TRY(check_unique("vault", vault_names));
    TRY(format::check_name("site", settings_.site));
    if (!format::is_valid_text_value(settings_.name))
      return Error(Code::InvalidInput, "the realm's name has unusable characters");
    quota_ = TRY(config::parse_size(settings_.quota).in([] { return "--quota"; }));
    if (quota_ == 0) return Error(Code::InvalidInput, "--quota: with 0 B nothing could be deposited");
    retention_seconds_ = TRY(parse_seconds(settings_.retention, "--retention", kLongestRetentionSeconds));
    period_seconds_ = TRY(parse_seconds(settings_.period, "--period", kLongestPeriodSeconds));
    TRY(check_addresses());
    threshold_ =
        settings_.threshold != 0 ? settings_.threshold : static_cast<std::uint32_t>(settings_.officials.size() / 2 + 1);
    if (threshold_ == 1 && settings_.officials.size() > 1) {
      return Error(Code::InvalidInput, "--threshold: with 1 of " + std::to_string(settings_.officials.size()) +
                                           ", any one official could open everything alone")
          .hint("say at least 2; a majority is usual");
    }
    TRY(check_directory());
    return rehearse().in([] { return "nothing was written"; });
  }

  // Two vaults at one address are one machine, and one of the two would never answer.
  Status check_addresses() const {
    std::map<std::string, std::string> owners;
    for (const NamedAddress& vault : vaults_) {
      const auto [other, is_new] = owners.emplace(vault.address, vault.name);
      if (is_new) continue;
      return Error(Code::InvalidInput, "vaults '" + other->second + "' and '" + vault.name + "' have one address, '" +
                                           printable(vault.address) + "'")
          .hint("each vault is a machine of its own, in a land of its own");
    }
    return {};
  }

  // One that is marked is looked at under the mark's lock.
  Status check_directory() const {
    const auto present = files_.list(settings_.directory);
    if (!present.ok()) return present.error().code() == Code::NotFound ? Status() : exists_already();
    const std::vector<std::string>& names = present.value();
    const bool is_marked = std::find(names.begin(), names.end(), kUnfinishedName) != names.end();
    return is_marked || is_unused(names) ? Status() : exists_already();
  }

  // But for the mark, and a draft that a killed run may have left.
  static bool is_unused(const std::vector<std::string>& names) {
    return std::all_of(names.begin(), names.end(),
                       [](const std::string& name) { return name == kUnfinishedName || name.starts_with(".tmp-"); });
  }

  Error exists_already() const {
    return Error(Code::AlreadyExists, shown() + " exists already")
        .hint("name a directory that does not exist yet; nothing was changed");
  }

  // Two runs in one directory would mix their keys: the mark is locked from here to the end. So one that nobody holds
  // was left by a run that was interrupted. It has its text before there is anything else: one without is new.
  Status take_directory() {
    TRY(make_folder(""));
    auto lock = files_.lock(mark_path());
    if (!lock.ok() && lock.error().code() == Code::Conflict) {
      return Error(Code::Conflict, "another exclave is at work in " + shown() + ": it creates a realm")
          .hint("wait until it ends");
    }
    lock_ = TRY(std::move(lock));
    if (!TRY(env::exists(files_, mark_path()))) return exists_already();  // its run has just ended
    const env::FileInfo mark = TRY(files_.stat(mark_path()));
    if (mark.size != 0) {
      return Error(Code::Precondition, "the creation of the realm in " + shown() + " was interrupted")
          .hint("remove it and create it again, unless folders of it are in use already: rm -r " + shown());
    }
    if (!is_unused(TRY(files_.list(settings_.directory)))) {
      TRY(remove_durably(files_, mark_path()));
      return exists_already();
    }
    mark_inode_ = mark.inode;
    TRY(files_.remove_temporaries(settings_.directory));
    const auto file = TRY(files_.open_log(mark_path()));
    TRY(file->append(as_bytes(kUnfinishedText)));
    return file->sync();
  }

  // If somebody removed the directory meanwhile, folders were made anew, without the keys that had been in them. The
  // lock keeps the mark's inode from being given to another file.
  Status give_directory() {
    const auto mark = files_.stat(mark_path());
    if (!mark.ok() && mark.error().code() != Code::NotFound) return mark.error();
    if (mark.ok() && mark.value().inode == mark_inode_) return remove_durably(files_, mark_path());
    return Error(Code::Precondition,
                 "'" + printable(mark_path()) + "' was removed while the realm was being created: it is not whole")
        .hint("remove what is there, and create it again: rm -r " + shown());
  }

  // The policy's rules with made-up keys: what they refuse is refused before any real key is on disk.
  Status rehearse() {
    policy::Policy policy;
    policy.realm = TRY(random_id<format::RealmId>(random_));
    policy.name = settings_.name;
    policy.threshold_policy = policy.threshold_release = threshold_;
    policy.ceremony = TRY(random_id<crypto::Ed25519PublicKey>(random_));
    for (const std::string& name : settings_.officials) {
      policy::Official& official = policy.officials.emplace_back();
      official.name = name;
      official.sign = TRY(random_id<crypto::P384PublicKey>(random_));
      official.decrypt = TRY(random_id<crypto::P384PublicKey>(random_));
      official.paper = TRY(random_id<crypto::X25519PublicKey>(random_));
    }
    for (const NamedAddress& vault : vaults_) {
      policy::VaultEntry& entry = policy.vaults.emplace_back();
      entry.name = vault.name;
      entry.identity = TRY(random_id<crypto::Ed25519PublicKey>(random_));
      entry.receipt = TRY(random_id<crypto::Ed25519PublicKey>(random_));
      entry.address = vault.address;
    }
    const auto site_identity = TRY(random_id<crypto::Ed25519PublicKey>(random_));
    policy.sites.push_back({settings_.site, site_identity});
    for (const std::string& name : settings_.registries) {
      policy::Registry registry;
      registry.name = name;
      registry.id = TRY(random_id<format::RegistryId>(random_));
      registry.threshold = threshold_;
      registry.writer = TRY(random_id<crypto::Ed25519PublicKey>(random_));
      policy.registries.push_back(registry);
    }
    policy.quorum = policy::default_quorum(policy.vaults.size());
    TRY(policy::check_rules(policy));
    for (std::uint32_t number = 1; number <= settings_.eras; ++number) TRY(rehearse_era(policy, number));
    return {};
  }

  Status rehearse_era(const policy::Policy& policy, std::uint32_t number) {
    policy::Era era;
    era.number = format::EraNumber(number);
    era.threshold = threshold_;
    era.starts_seconds = context_.env.clock.now().seconds();
    era.period_seconds = period_seconds_;
    for (const policy::Official& official : policy.officials) era.officials.push_back(official.name);
    for (std::uint32_t period = 0; period < periods_of(number); ++period) {
      policy::EraPeriod made_up;
      made_up.encapsulation = TRY(random_id<crypto::X25519PublicKey>(random_));
      made_up.commitments.resize(era.officials.size());
      era.periods.push_back(std::move(made_up));
    }
    return policy::check_era_rules(era).in([&] { return "era " + std::to_string(number); });
  }

  // Every era begins now. Those in reserve get all the periods they can have: they are to outlast the first one.
  std::uint32_t periods_of(std::uint32_t era) const {
    return era == 1 ? settings_.periods : static_cast<std::uint32_t>(policy::kMostPeriods);
  }

  Status make_people_and_machines() {
    policy_.realm = TRY(random_id<format::RealmId>(random_));
    policy_.name = settings_.name;
    policy_.expires_seconds = context_.env.clock.now().seconds() + kPolicyLifetimeSeconds;
    policy_.threshold_policy = threshold_;
    policy_.threshold_release = threshold_;
    TRY(make_folder("ceremony"));
    ceremony_key_ = TRY(custody::create_signing_key(files_, random_, at("ceremony/ceremony.key"),
                                                    custody::SigningUse::Ceremony, "ceremony"));
    policy_.ceremony = ceremony_key_->public_key();
    for (const std::string& name : settings_.officials) {
      TRY(make_folder("officials/" + name + "/share-book"));
      const auto keys = TRY(custody::create_official_keys(files_, random_, at("officials/" + name), name));
      policy_.officials.push_back({keys.name, keys.sign, keys.decrypt, keys.paper});
    }
    for (const NamedAddress& vault : vaults_) {
      const std::string folder = "vaults/" + vault.name;
      TRY(make_folder(folder + "/acts-to-adopt"));
      const auto identity = TRY(custody::create_signing_key(files_, random_, at(folder + "/identity.key"),
                                                            custody::SigningUse::VaultIdentity, vault.name));
      const auto receipt = TRY(custody::create_signing_key(files_, random_, at(folder + "/receipt.key"),
                                                           custody::SigningUse::VaultReceipt, vault.name));
      policy_.vaults.push_back({vault.name, identity.public_key(), receipt.public_key(), vault.address});
    }
    TRY(make_folder("sites/" + settings_.site + "/releases"));
    const auto site = TRY(custody::create_signing_key(files_, random_, at("sites/" + settings_.site + "/identity.key"),
                                                      custody::SigningUse::Site, settings_.site));
    policy_.sites.push_back({settings_.site, site.public_key()});
    for (const std::string& name : settings_.registries) {
      TRY(make_folder("home/" + name));
      TRY(make_folder("operator/" + name));
      const auto writer = TRY(custody::create_signing_key(files_, random_, at("home/" + name + "/writer.key"),
                                                          custody::SigningUse::Writer, name));
      policy::Registry registry;
      registry.name = name;
      registry.id = TRY(random_id<format::RegistryId>(random_));
      registry.threshold = threshold_;
      registry.writer = writer.public_key();
      registry.quota_bytes = quota_;
      registry.retention_seconds = static_cast<std::uint64_t>(retention_seconds_);
      policy_.registries.push_back(registry);
    }
    policy_.quorum = policy::default_quorum(policy_.vaults.size());
    const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    std::sort(policy_.officials.begin(), policy_.officials.end(), by_name);
    std::sort(policy_.vaults.begin(), policy_.vaults.end(), by_name);
    std::sort(policy_.registries.begin(), policy_.registries.end(), by_name);
    return policy::check_rules(policy_);
  }

  // Everyone's folder of public acts; the ceremony's is the last.
  std::vector<std::string> act_folders() const {
    std::vector<std::string> folders = {"sites/" + settings_.site + "/acts"};
    for (const auto& official : policy_.officials) folders.push_back("officials/" + official.name + "/acts");
    for (const auto& registry : policy_.registries) folders.push_back("home/" + registry.name + "/acts");
    for (const auto& vault : policy_.vaults) folders.push_back("vaults/" + vault.name + "/acts-to-adopt");
    folders.push_back("ceremony/acts");
    return folders;
  }

  Result<policy::SignedPolicy> sign_policy() {
    std::string document = policy_.text();
    const std::string text = document;
    for (const std::string& name : settings_.officials) {
      const auto credential = TRY(custody::open_key_file_credential(files_, at("officials/" + name)));
      format::append_signature(document, name, TRY(credential->sign(as_bytes(text))).view());
    }
    policy::SignedPolicy policy = TRY(policy::SignedPolicy::parse(as_bytes(document), "new policy"));
    TRY(policy::verify_genesis(policy));
    return policy;
  }

  Status hold_ceremonies() {
    for (const policy::Registry& registry : policy_.registries) {
      std::optional<crypto::Hash256> previous;
      for (std::uint32_t number = 1; number <= settings_.eras; ++number) {
        custody::CeremonyRequest request;
        request.policy = &policy_;
        request.registry = &registry;
        request.era = format::EraNumber(number);
        request.previous_era = previous;
        request.starts_seconds = context_.env.clock.now().seconds();
        request.period_seconds = period_seconds_;
        request.periods = periods_of(number);
        custody::CeremonyResult result = TRY(custody::hold_ceremony(random_, request, *ceremony_key_));
        previous = result.era.hash;
        TRY(write_era(files_, settings_.directory, registry.name, number == 1 ? "home" : "operator", result));
        eras_.push_back({registry.name, std::move(result.era)});
      }
    }
    return {};
  }

  const Context& context_;
  const RealmCreateSettings& settings_;
  env::FileSystem& files_;
  env::Random& random_;
  std::unique_ptr<env::FileSystem::Lock> lock_;  // of the mark
  std::uint64_t mark_inode_ = 0;
  std::vector<NamedAddress> vaults_;
  std::uint64_t quota_ = 0;
  std::int64_t retention_seconds_ = 0;
  std::int64_t period_seconds_ = 0;
  std::uint32_t threshold_ = 0;
  policy::Policy policy_;
  std::optional<crypto::Ed25519SigningKey> ceremony_key_;
  struct NewEra {
    std::string registry;
    policy::SignedEra era;
  };
  std::vector<NewEra> eras_;
};

}  // namespace

Result<ExitCode> run(const Context& context, const RealmCreateSettings& settings) {
  RealmBuilder builder(context, settings);
  TRY(builder.build());
  const policy::Policy& policy = builder.policy();
  std::string text = "realm " + policy.name + " is in " + settings.directory + "\n";
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"ceremony/", "offline, with the two persons who hold ceremonies"});
  for (const auto& official : policy.officials)
    rows.push_back({"officials/" + official.name + "/", "to " + official.name + ", by hand: keys and share book"});
  for (const auto& vault : policy.vaults)
    rows.push_back({"vaults/" + vault.name + "/", "to the embassy: exclave vault vaults/" + vault.name});
  for (const auto& registry : policy.registries) {
    rows.push_back({"home/" + registry.name + "/",
                    "to the registry's host: exclave backup --home home/" + registry.name + " DIRECTORY"});
    rows.push_back({"operator/" + registry.name + "/", "offline, with the registry's operator: the next era's keys"});
  }
  for (const auto& site : policy.sites) rows.push_back({"sites/" + site.name + "/", "to the executing site abroad"});
  text += render_table(rows, "ll");
  text += std::to_string(policy.threshold_release) + " of " + std::to_string(policy.officials.size()) +
          " officials open anything; " + policy.quorum_in_words() + "\n";
  config::Json json = config::Json::object();
  json.set("ok", true)
      .set("realm", policy.realm.hex())
      .set("directory", settings.directory)
      .set("officials", policy.officials.size())
      .set("threshold", policy.threshold_release);
  config::Json vaults = config::Json::array();
  for (const auto& vault : policy.vaults)
    vaults.push(config::Json::object().set("name", vault.name).set("address", vault.address));
  json.set("vaults", std::move(vaults)).set("k", policy.quorum.k).set("q", policy.quorum.q).set("b", policy.quorum.b);
  context.print(text, json);
  return kOk;
}

namespace {

// Further eras of a registry, made in the ceremony's realm directory, from where they are carried to their keepers.
//
//   mark -> leaves, acts of officials, agent keys -> acts of the ceremony: from here on the era counts -> acts of home
//        -> told -> mark removed
//
// Interrupted before the era counts, the next run removes what the mark speaks for and makes the era anew, with other
// keys; after that, the next run finishes. What lies there without such a mark is of an era that another copy of the
// ceremony's folder opened: it is refused (era_writer.h).
// Home comes last because an agent publishes to the vaults what it finds, and they keep the first document of an era.
// Two runs in one folder would give out one number twice: the second is refused.
class EraOpener {
 public:
  static Result<EraOpener> open(const Context& context, const EraSettings& settings) {
    EraOpener opener(context, settings);
    TRY(opener.check_is_created());
    TRY(opener.lock());
    opener.acts_ = TRY(load_acts(context, opener.at("ceremony")));
    if (!opener.acts_.is_whole) {
      return Error(Code::Precondition, "a document of an era in '" + printable(opener.at("ceremony/acts")) +
                                           "' is damaged: its number could be given out twice")
          .hint("bring the file from another folder of the realm; nothing was changed");
    }
    opener.registry_ = TRY(opener.acts_.registry(settings.registry));
    opener.key_ = TRY(
        custody::read_signing_key(opener.files_, opener.at("ceremony/ceremony.key"), custody::SigningUse::Ceremony));
    opener.period_seconds_ = TRY(parse_seconds(settings.period, "--period", kLongestPeriodSeconds));
    for (const policy::SignedEra& era : opener.acts_.eras) {
      if (era.era.registry != opener.registry_->id) continue;
      if (era.era.number.value() > opener.last_) {
        opener.last_ = era.era.number.value();
        opener.last_hash_ = era.hash;
      }
    }
    TRY(opener.check_last());
    return opener;
  }

  // Opens the wanted number of eras, counting one whose opening had been interrupted.
  Status run() {
    std::uint32_t opened = 0;
    for (const policy::SignedEra& era : acts_.eras) {
      if (era.era.registry != registry_->id) continue;
      const bool is_news = TRY(hand_to_home(era));
      if (TRY(is_unsettled(files_, settings_.realm, registry_->name, era))) {
        TRY(announce(era.era.number));
        ++opened;
      } else if (is_news) {
        tell("home/" + registry_->name + "/acts lacked the document of era " + std::to_string(era.era.number.value()) +
             ", which was opened earlier: it is there now");
      }
      TRY(settle_era(files_, settings_.realm, registry_->name, era));
    }
    for (; opened < settings_.eras; ++opened) TRY(make_next());
    return {};
  }

  const policy::Registry& registry() const { return *registry_; }
  std::uint32_t last() const { return last_; }

 private:
  EraOpener(const Context& context, const EraSettings& settings)
      : context_(context), settings_(settings), files_(context.env.files) {}
  std::string at(const std::string& path) const { return env::join_path(settings_.realm, path); }

  // Nothing may come to hang on keys that `realm create` may still tell somebody to remove.
  Status check_is_created() const {
    const std::string mark = at(std::string(kUnfinishedName));
    if (!TRY(env::exists(files_, mark))) return {};
    return Error(Code::Precondition,
                 "'" + printable(mark) + "' says that the realm's creation is at work, or was interrupted")
        .hint(
            "wait until it ends; if it was interrupted, remove the realm and create it again, or, if folders of it "
            "are in use already, remove this file alone");
  }

  // A folder without acts is none of a realm, which load_acts says better.
  Status lock() {
    const std::string folder = at("ceremony");
    if (!TRY(env::exists(files_, acts_folder(folder)))) return {};
    auto lock = files_.lock(env::join_path(folder, "ceremony.lock"));
    if (!lock.ok() && lock.error().code() == Code::Conflict) {
      return Error(Code::Conflict, "the ceremony's folder '" + printable(folder) + "' is in use by another exclave")
          .hint("wait until it ends");
    }
    lock_ = TRY(std::move(lock));
    TRY(files_.remove_temporaries(folder));
    return files_.remove_temporaries(acts_folder(folder));
  }

  // Officials who signed a policy said how many eras there were: a lower number here would be given out twice.
  Status check_last() const {
    if (last_ >= registry_->eras) return {};
    return Error(Code::Precondition,
                 "'" + printable(at("ceremony/acts")) + "' lacks documents of eras: policy version " +
                     std::to_string(acts_.policy().version.value()) + " knows " + std::to_string(registry_->eras) +
                     " of registry " + registry_->name + ", and the last one here is " + std::to_string(last_))
        .hint("bring the files from another copy of the ceremony's acts/; nothing was changed");
  }

  Status make_next() {
    custody::CeremonyRequest request;
    request.policy = &acts_.policy();
    request.registry = registry_;
    request.era = format::EraNumber(last_ + 1);
    request.previous_era = last_hash_;
    request.starts_seconds = context_.env.clock.now().seconds();
    request.period_seconds = period_seconds_;
    request.periods = settings_.periods;
    const custody::CeremonyResult result = TRY(custody::hold_ceremony(context_.env.random, request, *key_));
    TRY(begin_era(files_, settings_.realm, registry_->name, "operator", result));
    TRY(write_era(files_, settings_.realm, registry_->name, "operator", result));
    TRY(save_era(files_, acts_folder(at("ceremony")), registry_->name, result.era));
    last_ = request.era.value();
    last_hash_ = result.era.hash;
    TRY(hand_to_home(result.era));
    TRY(announce(request.era));
    return settle_era(files_, settings_.realm, registry_->name, result.era);
  }

  // Whether home, if its folder is here, lacked the document.
  Result<bool> hand_to_home(const policy::SignedEra& era) {
    const std::string home = acts_folder(at("home/" + registry_->name));
    if (!TRY(env::exists(files_, home))) return false;
    const bool was_there =
        TRY(env::exists(files_, env::join_path(home, era_act_name(registry_->name, era.era.number))));
    TRY(save_era(files_, home, registry_->name, era));
    return !was_there;
  }

  // At once, and before the mark is removed: whatever ends this run, somebody was told, or the next run tells it.
  Status announce(format::EraNumber era) {
    tell("era " + std::to_string(era.value()) + " of registry " + registry_->name +
         " is open: carry officials/*/share-book, officials/*/acts and operator/" + registry_->name + "/" +
         era_keys_name(era) + " to their keepers");
    return context_.terminal.written();
  }

  void tell(const std::string& line) const {
    if (context_.json) {
      context_.note(line);
    } else {
      context_.say(line + "\n");
    }
  }

  const Context& context_;
  const EraSettings& settings_;
  env::FileSystem& files_;
  std::unique_ptr<env::FileSystem::Lock> lock_;
  Acts acts_;
  const policy::Registry* registry_ = nullptr;  // into acts_
  std::optional<crypto::Ed25519SigningKey> key_;
  std::int64_t period_seconds_ = 0;
  std::uint32_t last_ = 0;
  std::optional<crypto::Hash256> last_hash_;
};

}  // namespace

Result<ExitCode> run(const Context& context, const EraSettings& settings) {
  EraOpener opener = TRY(EraOpener::open(context, settings));
  TRY(opener.run());
  if (!context.json) return kOk;  // all was told
  config::Json json = config::Json::object();
  json.set("ok", true).set("registry", opener.registry().name).set("last_era", opener.last());
  context.print("", json);
  return kOk;
}

}  // namespace exclave::cli
