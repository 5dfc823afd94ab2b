#include "vault/act_book.h"

#include <algorithm>
#include <optional>

#include "vault/detail/private_errors.h"
#include "vault/records.h"

namespace exclave::vault {
namespace {

constexpr std::string_view kPolicyDomain = "exclave/policy/v1";
constexpr std::string_view kEraDomain = "exclave/era/v1";
constexpr std::string_view kPolicyKind = "policy";
constexpr std::string_view kEraKind = "era";

Bytes policy_key(format::PolicyVersion version) {
  Bytes key = to_bytes("ap");
  key.resize(key.size() + 8);
  store_u64(MutableByteView(key).last(8), version.value());
  return key;
}

Bytes era_key(const format::RegistryId& registry, format::EraNumber era) {
  Bytes key = to_bytes("ae");
  append(key, registry.view());
  key.resize(key.size() + 4);
  store_u32(MutableByteView(key).last(4), era.value());
  return key;
}

std::string file_of(const std::string& directory, const crypto::Hash256& hash) {
  return env::join_path(directory, hash.hex());
}

Result<Bytes> read_act(env::FileSystem& files, const std::string& directory, const crypto::Hash256& hash) {
  auto read = files.read_file(file_of(directory, hash), store::kMaxActBytes);
  if (!read.ok() && read.error().code() == Code::NotFound) {
    return Error(Code::Corrupt, "the file of act " + hash.hex() + " is gone")
        .hint("copy the file of this name from another vault's acts directory");
  }
  Bytes document = TRY(std::move(read));
  if (crypto::sha256(document) != hash) {
    return Error(Code::Corrupt, "act " + hash.hex() + " does not bear its hash")
        .hint("copy the file of this name from another vault's acts directory");
  }
  return document;
}

std::vector<store::Act> listed(const std::vector<crypto::Hash256>& policies, const ActsInForce& acts) {
  std::vector<store::Act> list;
  for (const crypto::Hash256& hash : policies) list.push_back({std::string(kPolicyKind), hash});
  for (const auto& [key, era] : acts.eras) list.push_back({std::string(kEraKind), era.hash});
  return list;
}

std::vector<crypto::Hash256> policy_hashes(const ActsInForce& acts) {
  std::vector<crypto::Hash256> hashes;
  for (const store::Act& act : acts.list) {
    if (act.kind == kPolicyKind) hashes.push_back(act.hash);
  }
  return hashes;
}

// "ap" version, "ae" registry era
Status check_key(ByteView key) {
  const bool is_policy = key.size() > 1 && key[1] == 'p';
  return expect_key_size(key, is_policy ? 2 + 8 : 2 + format::RegistryId::kSize + 4, "row of an act");
}

std::string name_of(const policy::Era& era) {
  return "era " + std::to_string(era.number.value()) + " of registry " + era.registry.hex();
}

}  // namespace

const policy::Era* ActsInForce::era(const format::RegistryId& registry, format::EraNumber number) const {
  const auto found = eras.find({registry, number});
  return found == eras.end() ? nullptr : &found->second.era;
}

Result<VerifiedActs> verify_acts(const std::vector<Bytes>& documents) {
  VerifiedActs acts;
  for (const Bytes& document : documents) {
    const std::string_view domain = format::domain_of(document);
    if (domain == kPolicyDomain) {
      acts.policies.push_back(TRY(policy::SignedPolicy::parse(document, "policy")));
    } else if (domain == kEraDomain) {
      acts.eras.push_back(TRY(policy::SignedEra::parse(document, "era document")));
    } else {
      return Error(Code::InvalidInput, "a document is neither a policy nor an era document");
    }
  }
  if (acts.policies.empty()) return Error(Code::InvalidInput, "the acts hold no policy");
  const auto by_version = [](const auto& a, const auto& b) { return a.policy.version < b.policy.version; };
  std::sort(acts.policies.begin(), acts.policies.end(), by_version);
  TRY(policy::verify_chain(acts.policies, acts.policies.front().hash));
  std::map<std::pair<format::RegistryId, format::EraNumber>, crypto::Hash256> places;
  for (const policy::SignedEra& era : acts.eras) {
    const auto [place, is_new] = places.try_emplace({era.era.registry, era.era.number}, era.hash);
    if (!is_new && place->second != era.hash) return Error(Code::Conflict, "two documents for " + name_of(era.era));
    if (!policy::find_voucher(acts.policies, era).ok()) {
      return Error(Code::Denied, name_of(era.era) + " does not verify under any of the policies");
    }
  }
  return acts;
}

Status ActBook::create(env::FileSystem& files, const std::string& directory, table::Table& table,
                       const VerifiedActs& acts) {
  table::Batch batch;
  for (const policy::SignedPolicy& policy : acts.policies) {
    TRY(env::create_same_durably(files, file_of(directory, policy.file_hash), as_bytes(policy.document),
                                 env::kPrivateFile));
    batch.put(policy_key(policy.policy.version), policy.file_hash.view());
  }
  for (const policy::SignedEra& era : acts.eras) {
    TRY(env::create_same_durably(files, file_of(directory, era.hash), as_bytes(era.document), env::kPrivateFile));
    batch.put(era_key(era.era.registry, era.era.number), era.hash.view());
  }
  return table.write(batch, table::Durability::Synced);
}

Result<std::unique_ptr<ActBook>> ActBook::open(env::FileSystem& files, env::Threads& threads, env::Log& log,
                                               const std::string& directory, table::Table& table) {
  std::unique_ptr<ActBook> book(new ActBook(files, threads, log, directory, table));
  TRY(files.remove_temporaries(directory));
  TRY(book->load());
  if (book->in_force() == nullptr) return std::unique_ptr<ActBook>();
  TRY(book->adopt_files());
  return book;
}

// Signatures were verified when the acts came; here the hashes are, which the table vouches for.
Status ActBook::load() {
  ActsInForce acts;
  std::vector<crypto::Hash256> policies;
  std::optional<Error> newest_is_damaged;
  missing_.clear();
  const auto take = [&](Byte kind, const crypto::Hash256& hash) -> Status {
    const Bytes document = TRY(read_act(files_, directory_, hash));
    const std::string source = "act " + hash.hex();
    if (kind == 'p') {
      acts.policy = TRY(policy::SignedPolicy::parse(document, source));
      policies.push_back(hash);
      return {};
    }
    policy::SignedEra era = TRY(policy::SignedEra::parse(document, source));
    const auto place = std::make_pair(era.era.registry, era.era.number);
    acts.eras.emplace(place, std::move(era));
    return {};
  };
  const auto visit = [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(check_key(key));
    if (value.size() != crypto::Hash256::kSize) return Error(Code::Corrupt, "row of an act has another size");
    const auto hash = crypto::Hash256::from_view(value);
    const Status taken = take(key[1], hash);
    if (key[1] == 'p') newest_is_damaged.reset();  // they come in the order of their versions
    if (taken.ok()) return table::Visit::Continue;
    if (key[1] == 'p') newest_is_damaged = taken.error();
    missing_.insert(hash);
    log_.write(env::LogLevel::Error, taken.error().message() + "; it is missing here until somebody hands it in");
    return table::Visit::Continue;
  };
  TRY(table_.scan(table::KeyRange::prefix(as_bytes("a")), visit));
  if (newest_is_damaged.has_value()) return *newest_is_damaged;
  if (policies.empty()) return {};
  acts.list = listed(policies, acts);
  put_in_force(std::move(acts));
  return {};
}

Status ActBook::adopt_files() {
  struct Found {
    format::PolicyVersion version;
    std::string name;
    Bytes document;
  };
  std::vector<Found> policies;
  std::vector<Found> others;
  const auto listed = in_force()->list;
  for (const std::string& name : TRY(files_.list(directory_))) {
    const auto is_it = [&](const store::Act& act) { return act.hash.hex() == name; };
    const auto hash = crypto::Hash256::from_hex(name);
    if (std::any_of(listed.begin(), listed.end(), is_it) || !hash.ok() || missing_.contains(hash.value())) continue;
    const auto document = files_.read_file(file_of(directory_, hash.value()), store::kMaxActBytes);
    if (!document.ok()) {
      log_.write(env::LogLevel::Error, "act " + name + ": " + document.error().message());
      continue;
    }
    const auto policy = policy::SignedPolicy::parse(document.value(), "policy");
    std::vector<Found>& among = policy.ok() ? policies : others;
    among.push_back({policy.ok() ? policy.value().policy.version : format::PolicyVersion(), name, document.value()});
  }
  std::sort(policies.begin(), policies.end(), [](const auto& a, const auto& b) { return a.version < b.version; });
  policies.insert(policies.end(), others.begin(), others.end());
  for (const Found& found : policies) {
    const Status adopted = adopt(found.document);
    log_.write(env::LogLevel::Error,
               "act " + found.name + " lies in a file and had no row in the table" +
                   (adopted.ok() ? "; it counts again" : ", and is passed over: " + adopted.error().message()));
  }
  return {};
}

void ActBook::put_in_force(ActsInForce acts) {
  auto shared = std::make_shared<const ActsInForce>(std::move(acts));
  const MutexLock lock(mutex_);
  in_force_ = std::move(shared);
}

std::shared_ptr<const ActsInForce> ActBook::in_force() const {
  const MutexLock lock(mutex_);
  return in_force_;
}

Result<Bytes> ActBook::document(const crypto::Hash256& hash) const {
  const auto acts = in_force();
  const auto is_it = [&](const store::Act& act) { return act.hash == hash; };
  if (std::none_of(acts->list.begin(), acts->list.end(), is_it)) {
    return Error(Code::NotFound, "act " + hash.hex() + " is not held here");
  }
  auto document = read_act(files_, directory_, hash);
  if (!document.ok()) return detail::private_error(log_, "act " + hash.hex(), document.error());
  return document;
}

Status ActBook::keep_document(const crypto::Hash256& hash, ByteView document) {
  const Status kept = env::create_same_durably(files_, file_of(directory_, hash), document, env::kPrivateFile);
  if (!kept.ok()) return detail::private_error(log_, "act " + hash.hex(), kept.error());
  return {};
}

Result<std::vector<policy::SignedPolicy>> ActBook::policies() const {
  std::vector<policy::SignedPolicy> policies;
  for (const crypto::Hash256& hash : policy_hashes(*in_force())) {
    const auto document = read_act(files_, directory_, hash);
    if (!document.ok()) return detail::private_error(log_, "act " + hash.hex(), document.error());
    policies.push_back(TRY(policy::SignedPolicy::parse(document.value(), "act " + hash.hex())));
  }
  return policies;
}

Status ActBook::adopt(ByteView document) {
  const detail::GatePass pass(gate_);
  const auto acts = in_force();
  const crypto::Hash256 hash = crypto::sha256(document);
  const auto is_it = [&](const store::Act& act) { return act.hash == hash; };
  if (std::any_of(acts->list.begin(), acts->list.end(), is_it)) return {};
  if (missing_.contains(hash)) return take_back(hash, document);
  const std::string_view domain = format::domain_of(document);
  if (domain == kPolicyDomain) return adopt_policy(*acts, document);
  if (domain == kEraDomain) return adopt_era(*acts, document);
  return Error(Code::Denied, "a document that is neither a policy nor an era document is not kept");
}

Status ActBook::take_back(const crypto::Hash256& hash, ByteView document) {
  const Status kept = env::replace_file_durably(files_, file_of(directory_, hash), document, env::kPrivateFile);
  if (!kept.ok()) return detail::private_error(log_, "act " + hash.hex(), kept.error());
  TRY(load());
  log_.write(env::LogLevel::Info, "act " + hash.hex() + " is here again");
  return {};
}

Status ActBook::put_row(const table::Batch& batch) {
  TRY(table_.write(batch, table::Durability::Synced));
  ignore(table_.flush(), "the row is durable; should its log rot, the file is found at the next opening");
  return {};
}

Status ActBook::adopt_policy(const ActsInForce& acts, ByteView document) {
  policy::SignedPolicy next = TRY(policy::SignedPolicy::parse(document, "policy"));
  // The same version with other signatures under it, which whoever hands it on may choose: the first one is kept.
  const std::vector<policy::SignedPolicy> held = TRY(policies());
  if (std::any_of(held.begin(), held.end(), [&](const auto& each) { return each.hash == next.hash; })) return {};
  TRY(policy::verify_successor(acts.policy, next));
  const crypto::Hash256 hash = next.file_hash;
  TRY(keep_document(hash, document));
  table::Batch batch;
  batch.put(policy_key(next.policy.version), hash.view());
  TRY(put_row(batch));
  std::vector<crypto::Hash256> policies = policy_hashes(acts);
  policies.push_back(hash);
  ActsInForce after{std::move(next), acts.eras, {}};
  after.list = listed(policies, after);
  log_.write(env::LogLevel::Info, "policy version " + std::to_string(after.policy.policy.version.value()) +
                                      " is in force, hash " + hash.hex());
  put_in_force(std::move(after));
  return {};
}

Status ActBook::adopt_era(const ActsInForce& acts, ByteView document) {
  policy::SignedEra signed_era = TRY(policy::SignedEra::parse(document, "era document"));
  const policy::Era& era = signed_era.era;
  TRY(policy::find_voucher(TRY(policies()), signed_era));
  if (acts.era(era.registry, era.number) != nullptr) {
    log_.write(env::LogLevel::Warning,
               "refused a second document for " + name_of(era) + ", signed by the ceremony key");
    return Error(Code::Conflict, "another document for " + name_of(era) + " is in force");
  }
  const auto before = acts.eras.find({era.registry, format::EraNumber(era.number.value() - 1)});
  if (before != acts.eras.end() && era.previous.has_value() && *era.previous != before->second.hash) {
    return Error(Code::Conflict, name_of(era) + " names another predecessor than the one in force");
  }
  TRY(keep_document(signed_era.hash, document));
  table::Batch batch;
  batch.put(era_key(era.registry, era.number), signed_era.hash.view());
  TRY(put_row(batch));
  log_.write(env::LogLevel::Info, name_of(era) + " is in force, hash " + signed_era.hash.hex());
  ActsInForce after = acts;
  const auto place = std::make_pair(era.registry, era.number);
  after.eras.emplace(place, std::move(signed_era));
  after.list = listed(policy_hashes(acts), after);
  put_in_force(std::move(after));
  return {};
}

}  // namespace exclave::vault
