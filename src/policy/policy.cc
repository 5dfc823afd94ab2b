#include "policy/policy.h"

#include <algorithm>

#include "policy/fields.h"

namespace exclave::policy {
namespace {

constexpr std::string_view kPolicyDomain = "exclave/policy/v1";
constexpr std::size_t kMostSignatures = 510;

template <typename Entry, typename Predicate>
const Entry* find(const std::vector<Entry>& entries, Predicate matches) {
  const auto at = std::find_if(entries.begin(), entries.end(), matches);
  return at == entries.end() ? nullptr : &*at;
}

template <typename Entry>
const Entry* find_name(const std::vector<Entry>& entries, std::string_view name) {
  return find(entries, [&](const Entry& entry) { return entry.name == name; });
}

template <typename Entry>
std::vector<const Entry*> sorted(const std::vector<Entry>& entries) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->name < b->name; });
  return order;
}

Result<crypto::P384PublicKey> p384_word(Words& words, std::string_view label) {
  const auto raw = TRY(words.id<crypto::P384PublicKey>(label));
  auto key = crypto::parse_p384_public_key(raw.view());
  if (!key.ok()) return words.bad(std::string(label) + " key: " + key.error().message());
  return key;
}

Result<Official> read_official(const format::TextReader& reader, std::string_view value) {
  Words words = TRY(Words::open(reader, value, 4));
  Official official;
  official.name = TRY(words.name("official"));
  official.sign = TRY(p384_word(words, "sign"));
  official.decrypt = TRY(p384_word(words, "decrypt"));
  const auto paper = TRY(words.id<crypto::X25519PublicKey>("paper"));
  auto key = crypto::parse_x25519_public_key(paper.view());
  if (!key.ok()) return words.bad("paper key: " + key.error().message());
  official.paper = key.take();
  return official;
}

Result<VaultEntry> read_vault(const format::TextReader& reader, std::string_view value) {
  Words words = TRY(Words::open(reader, value, 4));
  VaultEntry vault;
  vault.name = TRY(words.name("vault"));
  vault.identity = TRY(words.id<crypto::Ed25519PublicKey>("identity"));
  vault.receipt = TRY(words.id<crypto::Ed25519PublicKey>("receipt"));
  vault.address = std::string(TRY(words.labelled("address")));
  return vault;
}

Result<Site> read_site(const format::TextReader& reader, std::string_view value) {
  Words words = TRY(Words::open(reader, value, 2));
  Site site;
  site.name = TRY(words.name("site"));
  site.identity = TRY(words.id<crypto::Ed25519PublicKey>("identity"));
  return site;
}

Result<Registry> read_registry(const format::TextReader& reader, std::string_view value) {
  Words words = TRY(Words::open(reader, value, 7));
  Registry registry;
  registry.name = TRY(words.name("registry"));
  registry.id = TRY(words.id<format::RegistryId>("id"));
  registry.threshold = TRY(words.u32("threshold"));
  registry.writer = TRY(words.id<crypto::Ed25519PublicKey>("writer"));
  registry.quota_bytes = TRY(words.u64("quota"));
  registry.retention_seconds = TRY(words.u64("retention"));
  registry.eras = TRY(words.u32("eras"));
  return registry;
}

// All lines `key ...` that come next, in strictly ascending order of their names.
template <typename Entry>
Status read_list(format::TextReader& reader, std::string_view key, std::vector<Entry>& entries,
                 Result<Entry> (*read)(const format::TextReader&, std::string_view)) {
  while (reader.next_is(key)) {
    const std::string value = TRY(reader.field(key));
    Entry entry = TRY(read(reader, value));
    if (!entries.empty() && entry.name <= entries.back().name) {
      return reader.bad(std::string(key) + " '" + entry.name + "' does not come after '" + entries.back().name +
                        "': names are sorted and each stands once");
    }
    entries.push_back(std::move(entry));
  }
  return {};
}

Result<Quorum> read_quorum(format::TextReader& reader) {
  const std::string value = TRY(reader.field("quorum"));
  Words words = TRY(Words::open(reader, value, 3));
  Quorum quorum;
  quorum.k = TRY(words.u32("k"));
  quorum.q = TRY(words.u32("q"));
  quorum.b = TRY(words.u32("b"));
  return quorum;
}

Result<Policy> read_policy(format::TextReader& reader) {
  Policy policy;
  policy.realm = TRY(format::id_field<format::RealmId>(reader, "realm"));
  policy.name = TRY(reader.field("name"));
  policy.version = format::PolicyVersion(TRY(reader.number("version")));
  policy.previous = TRY(optional_id_field<PolicyHash>(reader, "previous"));
  policy.expires_seconds = TRY(seconds_field(reader, "expires"));
  policy.threshold_policy = TRY(u32_field(reader, "threshold-policy"));
  policy.threshold_release = TRY(u32_field(reader, "threshold-release"));
  TRY(read_list(reader, "official", policy.officials, read_official));
  policy.ceremony = TRY(format::id_field<crypto::Ed25519PublicKey>(reader, "ceremony"));
  policy.quorum = TRY(read_quorum(reader));
  TRY(read_list(reader, "vault", policy.vaults, read_vault));
  TRY(read_list(reader, "site", policy.sites, read_site));
  TRY(read_list(reader, "registry", policy.registries, read_registry));
  TRY(reader.end());
  return policy;
}

}  // namespace

const Official* Policy::official(std::string_view wanted) const {
  return find_name(officials, wanted);
}
const VaultEntry* Policy::vault(std::string_view wanted) const {
  return find_name(vaults, wanted);
}
const VaultEntry* Policy::vault_by_identity(const crypto::Ed25519PublicKey& identity) const {
  return find(vaults, [&](const VaultEntry& entry) { return entry.identity == identity; });
}
const VaultEntry* Policy::vault_by_receipt(const crypto::Ed25519PublicKey& receipt) const {
  return find(vaults, [&](const VaultEntry& entry) { return entry.receipt == receipt; });
}
const Site* Policy::site_by_identity(const crypto::Ed25519PublicKey& identity) const {
  return find(sites, [&](const Site& entry) { return entry.identity == identity; });
}
const Registry* Policy::registry(std::string_view wanted) const {
  return find_name(registries, wanted);
}
const Registry* Policy::registry(const format::RegistryId& id) const {
  return find(registries, [&](const Registry& entry) { return entry.id == id; });
}
const Registry* Policy::registry_by_writer(const crypto::Ed25519PublicKey& writer) const {
  return find(registries, [&](const Registry& entry) { return entry.writer == writer; });
}

std::uint32_t Policy::release_threshold(const Registry& registry) const {
  return std::max(threshold_release, registry.threshold);
}

std::string Policy::text() const {
  format::TextWriter writer(kPolicyDomain);
  writer.field("realm", realm.hex())
      .field("name", name)
      .field("version", version.value())
      .field("previous", previous.has_value() ? previous->hex() : "none")
      .field("expires", std::to_string(expires_seconds))
      .field("threshold-policy", threshold_policy)
      .field("threshold-release", threshold_release);
  for (const Official* official : sorted(officials)) {
    writer.field("official", official->name + " sign=" + official->sign.hex() + " decrypt=" + official->decrypt.hex() +
                                 " paper=" + official->paper.hex());
  }
  writer.field("ceremony", ceremony.hex())
      .field("quorum",
             "k=" + std::to_string(quorum.k) + " q=" + std::to_string(quorum.q) + " b=" + std::to_string(quorum.b));
  for (const VaultEntry* vault : sorted(vaults)) {
    writer.field("vault", vault->name + " identity=" + vault->identity.hex() + " receipt=" + vault->receipt.hex() +
                              " address=" + vault->address);
  }
  for (const Site* site : sorted(sites)) writer.field("site", site->name + " identity=" + site->identity.hex());
  for (const Registry* registry : sorted(registries)) {
    writer.field("registry",
                 registry->name + " id=" + registry->id.hex() + " threshold=" + std::to_string(registry->threshold) +
                     " writer=" + registry->writer.hex() + " quota=" + std::to_string(registry->quota_bytes) +
                     " retention=" + std::to_string(registry->retention_seconds) +
                     " eras=" + std::to_string(registry->eras));
  }
  return writer.text();
}

Result<SignedPolicy> SignedPolicy::parse(ByteView document, std::string source) {
  format::TextReader reader = TRY(format::TextReader::open(document, kPolicyDomain, std::move(source)));
  SignedPolicy parsed;
  parsed.policy = TRY(read_policy(reader));
  TRY(check_rules(parsed.policy).in([&] { return reader.source(); }));
  if (reader.signatures().size() > kMostSignatures) {
    return Error(Code::InvalidInput, reader.source() + ": carries more than 510 signatures");
  }
  parsed.document = std::string(as_text(document));
  parsed.signatures = reader.signatures();
  parsed.hash = PolicyHash(crypto::sha256(reader.signed_bytes()).array());
  parsed.file_hash = crypto::sha256(document);
  return parsed;
}

}  // namespace exclave::policy
