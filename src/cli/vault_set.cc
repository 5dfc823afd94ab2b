#include "cli/vault_set.h"

#include <algorithm>

#include "base/text.h"
#include "env/exists.h"
#include "store/vault_words.h"
#include "vault/embedded_vault.h"

namespace exclave::cli {
namespace {

// A vault that cannot be opened: every call says why, so that the set behaves like one with an unreachable vault.
class BrokenVault final : public store::VaultApi {
 public:
  BrokenVault(std::string name, Error error) : name_(std::move(name)), error_(std::move(error)) {}
  const std::string& name() const override { return name_; }
  Result<store::VaultStatus> status() override { return error_; }
  Status open_stream(const format::SignedStream&) override { return error_; }
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry&, ByteView) override { return error_; }
  Result<bool> has(const format::ObjectName&) override { return error_; }
  Status announce_reading(const format::SignedReading&) override { return error_; }
  Result<store::QuotaUse> quota(const format::RegistryId&) override { return error_; }
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId&) override { return error_; }
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId&, format::EntryIndex, std::size_t) override {
    return error_;
  }
  Result<std::vector<store::Act>> acts() override { return error_; }
  Result<Bytes> act(const crypto::Hash256&) override { return error_; }
  Status put_act(ByteView) override { return error_; }
  Result<std::uint64_t> size_of(const format::ObjectName&) override { return error_; }
  Status read(const format::ObjectName&, std::uint64_t, MutableByteView) override { return error_; }

 private:
  std::string name_;
  Error error_;
};

Error with_lock_hint(Error error) {
  if (error.code() != Code::Conflict) return error;
  return std::move(error).hint("one process serves a vault: end the other one first");
}

vault::World vault_world(const Context& context) {
  return {context.env.files, context.env.clock, context.env.log, context.env.threads};
}

// Editors leave files of their own beside those that were copied there.
Result<std::vector<Bytes>> acts_to_adopt(env::FileSystem& files, const std::string& folder) {
  std::vector<Bytes> documents;
  for (const std::string& name : TRY(files.list(folder))) {
    if (name.starts_with(".") || !name.ends_with(".exclave")) continue;
    documents.push_back(TRY(read_document(files, env::join_path(folder, name))));
  }
  return documents;
}

Result<std::unique_ptr<vault::Vault>> open_existing(const Context& context, const std::string& directory) {
  auto receipt_key = TRY(read_role_key(context.env.files, directory, "receipt.key", custody::SigningUse::VaultReceipt));
  const vault::Settings settings{std::string(kProgram), {}};
  return vault::Vault::open(vault_world(context), directory, std::move(receipt_key), context.open_table, settings);
}

}  // namespace

Result<std::unique_ptr<vault::Vault>> open_vault_directory(const Context& context, const std::string& directory) {
  const std::string starter = env::join_path(directory, "acts-to-adopt");
  auto vault = open_existing(context, directory);
  // Only then are the acts of the first start looked at: what lies there later is of no account.
  if (!vault.ok() && vault.error().code() == Code::NotFound && TRY(env::exists(context.env.files, starter)) &&
      TRY(env::exists(context.env.files, env::join_path(directory, "receipt.key")))) {
    const auto documents = TRY(acts_to_adopt(context.env.files, starter));
    Status created = vault::create(vault_world(context), directory, documents, context.open_table);
    if (!created.ok() && created.error().code() != Code::AlreadyExists) return with_lock_hint(created.take_error());
    vault = open_existing(context, directory);
  }
  if (!vault.ok()) return with_lock_hint(vault.take_error());
  return vault;
}

Status VaultSet::open_embedded(const Context& context, const policy::VaultEntry& entry, const policy::Policy& policy,
                               const crypto::Ed25519PublicKey& caller) {
  const std::string directory = entry.address.substr(kEmbeddedPrefix.size());
  embedded_.push_back(TRY(open_vault_directory(context, directory)));
  vaults_.push_back(
      std::make_unique<vault::EmbeddedVault>(*embedded_.back(), wire::Caller{caller}, entry, policy.realm));
  return {};
}

Result<std::unique_ptr<VaultSet>> VaultSet::connect(const Context& context, const policy::Policy& policy,
                                                    const crypto::Ed25519SigningKey& identity, Patience patience) {
  std::unique_ptr<VaultSet> set(new VaultSet());
  set->caller_ = identity.public_key();
  set->transport_ = wire::make_tls_transport(tls::Identity::from_key(identity));
  const wire::HttpVault::World world{context.env.clock, context.env.random, context.env.network, context.env.threads};
  wire::HttpVaultOptions options;
  if (patience != Patience::Long) options.attempts = 2;
  if (patience != Patience::Short) options.glance_time = std::chrono::seconds(2);
  for (const policy::VaultEntry& entry : policy.vaults) {
    if (entry.identity == set->caller_) continue;
    if (!entry.address.starts_with(kEmbeddedPrefix)) {
      auto remote = std::make_unique<wire::HttpVault>(world, *set->transport_, entry, policy.realm, options);
      set->remote_.push_back(remote.get());
      set->vaults_.push_back(std::move(remote));
      continue;
    }
    Status opened = set->open_embedded(context, entry, policy, set->caller_);
    if (!opened.ok()) set->vaults_.push_back(std::make_unique<BrokenVault>(entry.name, opened.take_error()));
  }
  return set;
}

std::vector<store::VaultApi*> VaultSet::all() const {
  std::vector<store::VaultApi*> pointers;
  for (const auto& vault : vaults_) pointers.push_back(vault.get());
  return pointers;
}

void VaultSet::shutdown() {
  for (wire::HttpVault* vault : remote_) vault->shutdown();
}

void VaultSet::shutdown_at(std::stop_token stop) {
  when_stopped_.emplace(std::move(stop), [this] { shutdown(); });
}

void VaultSet::note_once(const Context& context, const std::string& line) {
  if (noted_.insert(line).second) context.note(line);
}

Result<Acts> VaultSet::exchange_acts(const Context& context, const std::string& directory, Acts acts) {
  const std::string folder = acts_folder(directory);
  for (const auto& vault : vaults_) {
    const auto listed = vault->acts();
    if (!listed.ok()) {
      note_once(context, store::of_vault(vault->name(), listed.error()).message());
      continue;
    }
    const auto lists = [&](const crypto::Hash256& hash) {
      return std::any_of(listed.value().begin(), listed.value().end(),
                         [&](const store::Act& act) { return act.hash == hash; });
    };
    const auto here = [&](const crypto::Hash256& hash) {
      return std::any_of(acts.policies.begin(), acts.policies.end(),
                         [&](const auto& p) { return p.file_hash == hash; }) ||
             std::any_of(acts.eras.begin(), acts.eras.end(), [&](const auto& e) { return e.hash == hash; });
    };
    // What it lacks. Policies first and in order, since eras are verified by them.
    for (const Bytes& document : documents_of(acts)) {
      if (lists(crypto::sha256(document))) continue;
      Status put = vault->put_act(document);
      if (!put.ok())
        context.note("vault " + vault->name() + " did not adopt an act: " + store::said_by(vault->name(), put.error()));
    }
    // What it has and we lack: policies that follow ours, and eras they cover.
    for (const store::Act& act : listed.value()) {
      if (here(act.hash)) continue;
      const auto document = vault->act(act.hash);
      if (!document.ok()) continue;
      const std::string source = act.kind + " from vault " + vault->name();
      if (act.kind == "policy") {
        auto next = policy::SignedPolicy::parse(document.value(), source);
        const auto is_it = [&](const policy::SignedPolicy& ours) { return ours.hash == next.value().hash; };
        // The same version with other signatures under it: the one that came first stays.
        if (next.ok() && std::any_of(acts.policies.begin(), acts.policies.end(), is_it)) continue;
        Status follows =
            next.ok() ? policy::verify_successor(acts.signed_policy(), next.value()) : Status(next.take_error());
        if (!follows.ok()) {
          context.note(
              "vault " + vault->name() +
              " shows a policy that does not follow ours, and it is not believed: " + follows.error().message());
          continue;
        }
        TRY(save_policy(context.env.files, folder, next.value()));
        acts.policies.push_back(next.take());
      } else if (act.kind == "era") {
        auto era = policy::SignedEra::parse(document.value(), source);
        const auto voucher = era.ok() ? policy::find_voucher(acts.policies, era.value()) : era.take_error();
        if (!voucher.ok()) {
          context.note("vault " + vault->name() + " shows an era that is not this realm's, and it is not believed");
          continue;
        }
        const policy::Registry* const registry = voucher.value()->registry(era.value().era.registry);
        const Status saved = save_era(context.env.files, folder, registry->name, era.value());
        if (!saved.ok() && saved.error().code() == Code::AlreadyExists) {
          context.note("vault " + vault->name() + " shows a second document of era " +
                       std::to_string(era.value().era.number.value()) + " of registry " + registry->name +
                       ", and it is not believed");
          continue;
        }
        TRY(saved);
        acts.eras.push_back(era.take());
      }
    }
  }
  return acts;
}

}  // namespace exclave::cli
