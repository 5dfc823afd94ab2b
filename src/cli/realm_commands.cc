#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/folders.h"
#include "cli/render.h"
#include "cli/vault_set.h"
#include "config/quantity.h"
#include "custody/ceremony.h"

namespace exclave::cli {
namespace {

constexpr std::uint32_t kPrivateMode = 0700;
constexpr std::int64_t kPolicyLifetimeSeconds = 3650LL * 86400;

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
  return Error(Code::InvalidInput, std::string(what) + " '" + *twice + "' is named twice");
}

// Creates the realm's folders, keys and acts. One ceremony machine, two persons; for small realms.
class RealmBuilder {
 public:
  RealmBuilder(const Context& context, const RealmCreateSettings& settings)
      : context_(context), settings_(settings), files_(context.env.files), random_(context.env.random) {}

  Status build() {
    TRY(check());
    TRY(make_folder(""));
    TRY(make_people_and_machines());
    TRY(write_policy());
    TRY(write_eras());
    return {};
  }

  const policy::Policy& policy() const { return policy_; }

 private:
  std::string at(const std::string& path) const { return env::join_path(settings_.directory, path); }
  Status make_folder(const std::string& path) {
    return files_.make_directories(path.empty() ? settings_.directory : at(path), kPrivateMode);
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
    quota_ = TRY(config::parse_size(settings_.quota));
    retention_ = TRY(config::parse_duration(settings_.retention));
    period_ = TRY(config::parse_duration(settings_.period));
    if (period_ < std::chrono::seconds(1)) return Error(Code::InvalidInput, "a period must be at least one second");
    threshold_ =
        settings_.threshold != 0 ? settings_.threshold : static_cast<std::uint32_t>(settings_.officials.size() / 2 + 1);
    if (files_.stat(settings_.directory).ok()) {
      return Error(Code::AlreadyExists, "'" + printable(settings_.directory) + "' exists already")
          .hint("name a directory that does not exist yet; nothing was changed");
    }
    return rehearse().in([] { return "nothing was written"; });
  }

  // The policy's rules with made-up keys: what they refuse is refused before any real key is on disk.
  Status rehearse() {
    policy::Policy policy;
    policy.realm = TRY(random_id<format::RealmId>(random_));
    policy.name = settings_.name;
    policy.threshold_policy = policy.threshold_release = threshold_;
    policy.ceremony = TRY(random_id<crypto::Ed25519PublicKey>(random_));
    for (const std::string& name : settings_.officials) {
      policy.officials.push_back({
        name, TRY(random_id<crypto::P384PublicKey>(random_))
        , TRY(random_id<crypto::P384PublicKey>(random_))
        , TRY(random_id<crypto::X25519PublicKey>(random_))
      });
    }
    for (const NamedAddress& vault : vaults_) {
      policy.vaults.push_back({
        vault.name, TRY(random_id<crypto::Ed25519PublicKey>(random_))
        , TRY(random_id<crypto::Ed25519PublicKey>(random_))
        , vault.address
      });
    }
    policy.sites.push_back({ settings_.site, TRY(random_id<crypto::Ed25519PublicKey>(random_)) });
    for (const std::string& name : settings_.registries) {
      policy::Registry registry;
      registry.name = name;
      registry.id = TRY(random_id<format::RegistryId>(random_));
      registry.threshold = threshold_;
      registry.writer = TRY(random_id<crypto::Ed25519PublicKey>(random_));
      policy.registries.push_back(registry);
    }
    policy.quorum = policy::default_quorum(policy.vaults.size());
    return policy::check_rules(policy);
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
      registry.retention_seconds =
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(retention_).count());
      policy_.registries.push_back(registry);
    }
    policy_.quorum = policy::default_quorum(policy_.vaults.size());
    const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    std::sort(policy_.officials.begin(), policy_.officials.end(), by_name);
    std::sort(policy_.vaults.begin(), policy_.vaults.end(), by_name);
    std::sort(policy_.registries.begin(), policy_.registries.end(), by_name);
    return policy::check_rules(policy_);
  }

  // Everyone's folder of public acts.
  std::vector<std::string> act_folders() const {
    std::vector<std::string> folders = {"ceremony/acts", "sites/" + settings_.site + "/acts"};
    for (const auto& official : policy_.officials) folders.push_back("officials/" + official.name + "/acts");
    for (const auto& registry : policy_.registries) folders.push_back("home/" + registry.name + "/acts");
    for (const auto& vault : policy_.vaults) folders.push_back("vaults/" + vault.name + "/acts-to-adopt");
    return folders;
  }

  Status write_policy() {
    std::string document = policy_.text();
    const std::string text = document;
    for (const std::string& name : settings_.officials) {
      const auto credential = TRY(custody::open_key_file_credential(files_, at("officials/" + name)));
      format::append_signature(document, name, TRY(credential->sign(as_bytes(text))).view());
    }
    const policy::SignedPolicy policy = TRY(policy::SignedPolicy::parse(as_bytes(document), "new policy"));
    TRY(policy::verify_genesis(policy));
    for (const std::string& folder : act_folders()) {
      TRY(make_folder(folder));
      TRY(save_policy(files_, at(folder), policy));
    }
    return {};
  }

  Status write_eras() {
    for (const policy::Registry& registry : policy_.registries) {
      std::optional<crypto::Hash256> previous;
      for (std::uint32_t number = 1; number <= settings_.eras; ++number) {
        custody::CeremonyRequest request;
        request.policy = &policy_;
        request.registry = &registry;
        request.era = format::EraNumber(number);
        request.previous_era = previous;
        request.starts_seconds = context_.env.clock.now().seconds();
        request.period_seconds = std::chrono::duration_cast<std::chrono::seconds>(period_).count();
        request.periods = settings_.periods;
        const custody::CeremonyResult result = TRY(custody::hold_ceremony(random_, request, *ceremony_key_));
        previous = result.era.hash;
        for (const std::string& folder : act_folders()) TRY(save_era(files_, at(folder), registry.name, result.era));
        for (const custody::ShareLeafFile& leaf : result.leaves) {
          const std::string path =
              at("officials/" + leaf.official + "/share-book/" + custody::leaf_file_name(registry.id, request.era));
          TRY(env::create_file_durably(files_, path, as_bytes(leaf.document), 0600));
        }
        const std::string keeper = number == 1 ? "home/" : "operator/";
        TRY(custody::write_agent_keys(files_, at(keeper + registry.name + "/" + era_keys_name(request.era)),
                                      result.agent_keys));
      }
    }
    return {};
  }

  const Context& context_;
  const RealmCreateSettings& settings_;
  env::FileSystem& files_;
  env::Random& random_;
  std::vector<NamedAddress> vaults_;
  std::uint64_t quota_ = 0;
  std::chrono::milliseconds retention_{};
  std::chrono::milliseconds period_{};
  std::uint32_t threshold_ = 0;
  policy::Policy policy_;
  std::optional<crypto::Ed25519SigningKey> ceremony_key_;
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

// Further eras. Leaves go into the officials' folders of the ceremony's realm directory, to be carried to them.
Result<ExitCode> run(const Context& context, const EraSettings& settings) {
  env::FileSystem& files = context.env.files;
  const std::string ceremony = env::join_path(settings.realm, "ceremony");
  Acts acts = TRY(load_acts(files, ceremony));
  const policy::Registry* registry = TRY(acts.registry(settings.registry));
  const auto key =
      TRY(custody::read_signing_key(files, env::join_path(ceremony, "ceremony.key"), custody::SigningUse::Ceremony));
  const policy::SignedEra* last = nullptr;
  for (const policy::SignedEra& era : acts.eras) {
    if (era.era.registry == registry->id && (last == nullptr || era.era.number > last->era.number)) last = &era;
  }
  std::uint32_t number = last == nullptr ? 0 : last->era.number.value();
  std::optional<crypto::Hash256> previous = last == nullptr ? std::nullopt : std::optional(last->hash);
  const auto period = TRY(config::parse_duration(settings.period));
  std::string text;
  for (std::uint32_t i = 0; i < settings.eras; ++i) {
    custody::CeremonyRequest request;
    request.policy = &acts.policy();
    request.registry = registry;
    request.era = format::EraNumber(++number);
    request.previous_era = previous;
    request.starts_seconds = context.env.clock.now().seconds();
    request.period_seconds = std::chrono::duration_cast<std::chrono::seconds>(period).count();
    request.periods = settings.periods;
    const custody::CeremonyResult result = TRY(custody::hold_ceremony(context.env.random, request, key));
    previous = result.era.hash;
    // Leaves and keys before the act: an era that is published can be opened.
    for (const custody::ShareLeafFile& leaf : result.leaves) {
      const std::string book = env::join_path(settings.realm, "officials/" + leaf.official + "/share-book");
      TRY(files.make_directories(book, kPrivateMode));
      TRY(env::replace_file_durably(files, env::join_path(book, custody::leaf_file_name(registry->id, request.era)),
                                    as_bytes(leaf.document), 0600));
    }
    const std::string keeper = env::join_path(settings.realm, "operator/" + registry->name);
    TRY(files.make_directories(keeper, kPrivateMode));
    TRY(custody::write_agent_keys(files, env::join_path(keeper, era_keys_name(request.era)), result.agent_keys));
    for (const std::string& owner : {std::string("ceremony"), "home/" + registry->name}) {
      const std::string folder = acts_folder(env::join_path(settings.realm, owner));
      if (files.stat(folder).ok()) TRY(save_era(files, folder, registry->name, result.era));
    }
    text += "era " + std::to_string(number) + " of registry " + registry->name +
            " is open: carry officials/*/share-book and operator/" + registry->name + "/" + era_keys_name(request.era) +
            " to their keepers\n";
  }
  config::Json json = config::Json::object();
  json.set("ok", true).set("registry", registry->name).set("last_era", number);
  context.print(text, json);
  return kOk;
}

}  // namespace exclave::cli
