#include "cli/folders.h"

#include <algorithm>

#include "base/text.h"
#include "cli/remedy.h"

namespace exclave::cli {
namespace {

constexpr std::uint64_t kMaxDocumentBytes = 4U << 20;
constexpr std::string_view kActSuffix = ".exclave";
// Acts are public, signed, and the same in every folder of a realm.
constexpr std::string_view kBringActs = "bring the file from the acts/ of another folder of this realm";

// Eras whose keys lie in an agent's directory.
Result<std::vector<std::uint32_t>> eras_with_keys(env::FileSystem& files, const std::string& home) {
  std::vector<std::uint32_t> eras;
  for (const std::string& name : TRY(files.list(home))) {
    if (!name.starts_with("era-") || !name.ends_with(".keys")) continue;
    const auto number = parse_u32(std::string_view(name).substr(4, name.size() - 9));
    if (number.ok()) eras.push_back(number.value());
  }
  return eras;
}

}  // namespace

Error key_refused(Error error, std::string_view remedy) {
  const bool is_file_at_fault = error.code() == Code::InvalidInput || error.code() == Code::Precondition;
  return with_remedy(Error(is_file_at_fault ? Code::Denied : error.code(), error.message()).hint(error.hint_text()),
                     remedy);
}

std::string acts_folder(std::string_view directory) {
  return env::join_path(directory, "acts");
}

std::string era_keys_name(format::EraNumber era) {
  return "era-" + std::to_string(era.value()) + ".keys";
}

std::string era_act_name(std::string_view registry, format::EraNumber era) {
  return "era-" + std::string(registry) + "-" + std::to_string(era.value()) + std::string(kActSuffix);
}

Result<Bytes> read_document(env::FileSystem& files, const std::string& path) {
  return files.read_file(path, kMaxDocumentBytes);
}

Result<Bytes> read_approval(env::FileSystem& files, const std::string& path) {
  return with_remedy(read_document(files, path),
                     "give the files that `exclave release approve` wrote, each with --approval");
}

Result<custody::SignedRelease> read_release(env::FileSystem& files, const std::string& path) {
  constexpr std::string_view kRemedy = "give the file that `exclave release request` wrote";
  const Bytes document = TRY(with_remedy(read_document(files, path), kRemedy));
  return with_remedy(custody::SignedRelease::parse(document, path), kRemedy);
}

Result<const policy::SignedEra*> Acts::era(const policy::Registry& registry, format::EraNumber number) const {
  for (const policy::SignedEra& era : eras) {
    if (era.era.registry == registry.id && era.era.number == number) return &era;
  }
  return Error(Code::NotFound,
               "registry " + registry.name + ": no document of era " + std::to_string(number.value()) + " is here")
      .hint(std::string(kBringActs));
}

Result<const policy::Registry*> Acts::registry(std::string_view name) const {
  const std::vector<policy::Registry>& all = policy().registries;
  if (name.empty()) {
    if (all.size() == 1) return all.data();
    return Error(Code::InvalidInput, "the realm has " + std::to_string(all.size()) + " registries")
        .hint("choose one with --registry NAME");
  }
  TRY(format::check_name("registry", name));
  const policy::Registry* found = policy().registry(name);
  if (found != nullptr) return found;
  std::string names;
  for (const policy::Registry& registry : all) append_item(names, registry.name);
  return Error(Code::NotFound, "the realm has no registry '" + std::string(name) + "'").hint("it has: " + names);
}

Result<Acts> load_acts(const Context& context, const std::string& directory) {
  env::FileSystem& files = context.env.files;
  const std::string folder = acts_folder(directory);
  auto names = files.list(folder);
  if (!names.ok()) {
    return Error(names.error().code(),
                 "'" + printable(directory) + "' is not a folder of a realm: " + names.error().message())
        .hint("give the directory that `exclave realm create` made for this role");
  }
  std::vector<policy::SignedPolicy> policies;
  Acts acts;
  for (const std::string& name : names.value()) {
    const std::string path = env::join_path(folder, name);
    const bool is_policy = name.starts_with("policy-") && name.ends_with(kActSuffix);
    const bool is_era = name.starts_with("era-") && name.ends_with(kActSuffix);
    if (!is_policy && !is_era) {
      context.note("'" + printable(path) + "' is not an act of the realm and is left out");
      continue;
    }
    const Bytes document = TRY(read_document(files, path));
    if (is_policy) {
      policies.push_back(TRY(with_remedy(policy::SignedPolicy::parse(document, path), kBringActs)));
      continue;
    }
    auto era = policy::SignedEra::parse(document, path);
    if (era.ok()) {
      acts.eras.push_back(era.take());
    } else {
      acts.is_whole = false;
      context.note(era.error().message() + "; this era is left out (remove the file, and a vault brings it back)");
    }
  }
  if (policies.empty()) {
    return Error(Code::NotFound, "'" + printable(folder) + "' holds no policy").hint(std::string(kBringActs));
  }
  std::sort(policies.begin(), policies.end(),
            [](const auto& a, const auto& b) { return a.policy.version < b.policy.version; });
  const auto in_folder = [&] { return "'" + printable(folder) + "'"; };
  TRY(with_remedy(policy::verify_chain(policies, policies.front().hash), kBringActs).in(in_folder));
  acts.policies = std::move(policies);
  for (const policy::SignedEra& era : acts.eras) {
    TRY(with_remedy(policy::find_voucher(acts.policies, era), kBringActs).in(in_folder));
  }
  return acts;
}

Status save_policy(env::FileSystem& files, const std::string& acts_directory, const policy::SignedPolicy& policy) {
  const std::string name = "policy-" + std::to_string(policy.policy.version.value()) + std::string(kActSuffix);
  return env::create_same_durably(files, env::join_path(acts_directory, name), as_bytes(policy.document), 0644);
}

Status save_era(env::FileSystem& files, const std::string& acts_directory, const std::string& registry,
                const policy::SignedEra& era) {
  return env::create_same_durably(files, env::join_path(acts_directory, era_act_name(registry, era.era.number)),
                                  as_bytes(era.document), 0644);
}

std::vector<Bytes> documents_of(const Acts& acts) {
  std::vector<Bytes> documents;
  for (const policy::SignedPolicy& policy : acts.policies) documents.push_back(to_bytes(policy.document));
  for (const policy::SignedEra& era : acts.eras) documents.push_back(to_bytes(era.document));
  return documents;
}

Status remove_durably(env::FileSystem& files, const std::string& path) {
  Status removed = files.remove_file(path);
  if (!removed.ok() && removed.error().code() != Code::NotFound) return removed;
  // Also if it is gone: whoever removed it may have been interrupted before this.
  return files.sync_directory(env::parent_path(path));
}

Status remove_older_agent_keys(env::FileSystem& files, const std::string& home, format::EraNumber newest) {
  for (const std::uint32_t era : TRY(eras_with_keys(files, home))) {
    if (era < newest.value()) TRY(remove_durably(files, env::join_path(home, era_keys_name(format::EraNumber(era)))));
  }
  return {};
}

Result<custody::AgentKeys> newest_agent_keys(env::FileSystem& files, const std::string& home) {
  const std::vector<std::uint32_t> eras = TRY(eras_with_keys(files, home));
  const auto newest = std::max_element(eras.begin(), eras.end());
  if (newest == eras.end()) {
    return Error(Code::NotFound, "'" + printable(home) + "' holds no era keys")
        .hint("give the agent's directory, or bring the operator's next era: exclave agent recover");
  }
  auto keys = custody::read_agent_keys(files, env::join_path(home, era_keys_name(format::EraNumber(*newest))));
  if (!keys.ok()) return key_refused(keys.take_error(), "bring the operator's next era: exclave agent recover");
  return keys;
}

Result<crypto::Ed25519SigningKey> read_role_key(env::FileSystem& files, const std::string& directory,
                                                std::string_view name, custody::SigningUse use) {
  auto key = custody::read_signing_key(files, env::join_path(directory, name), use);
  if (!key.ok()) {
    return key_refused(
        key.take_error(),
        "give the directory that `exclave realm create` made for this role, with its " + std::string(name));
  }
  return key;
}

}  // namespace exclave::cli
