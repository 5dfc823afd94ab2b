// How one policy version follows another: I4 of policy.h.
#include <algorithm>
#include <optional>
#include <set>

#include "base/text.h"
#include "policy/policy.h"

namespace exclave::policy {
namespace {

using Names = std::set<std::string, std::less<>>;

bool is_signed_by(const Official& official, ByteView signed_bytes, const format::TextSignature& signature) {
  if (signature.value.size() != crypto::P384Signature::kSize) return false;
  return crypto::verify(official.sign, signed_bytes, crypto::P384Signature::from_view(signature.value)).ok();
}

// Puts the officials of each policy whose signature is right under that policy's key into its set. Every line has to say
// something new about somebody who is known: what fits no key of hers is an attack or an accident that somebody must
// look at, and a line that says nothing is one that anybody could have added.
Status collect_signers(const std::vector<const Policy*>& policies, std::vector<Names>& signers, ByteView signed_bytes,
                       const std::vector<format::TextSignature>& signatures) {
  signers.assign(policies.size(), {});
  for (const format::TextSignature& signature : signatures) {
    bool is_known = false;
    bool is_right = false;
    bool is_news = false;
    for (std::size_t i = 0; i < policies.size(); ++i) {
      const Official* official = policies[i]->official(signature.signer);
      if (official == nullptr) continue;
      is_known = true;
      if (!is_signed_by(*official, signed_bytes, signature)) continue;
      is_right = true;
      is_news = signers[i].insert(official->name).second || is_news;
    }
    const std::string shown = printable(signature.signer);
    if (!is_known) return Error(Code::Denied, "it bears a signature of '" + shown + "', who is no official");
    if (!is_right) return Error(Code::Denied, "the signature under the name of " + shown + " is wrong");
    if (!is_news) return Error(Code::Denied, "it bears two signatures of " + shown + " by one key");
  }
  return {};
}

// The text that a policy document's signatures cover: everything before the empty line.
ByteView signed_bytes_of(const SignedPolicy& policy) {
  const std::size_t empty_line = policy.document.find("\n\n");
  const std::string_view document = policy.document;
  return as_bytes(empty_line == std::string::npos ? document : document.substr(0, empty_line + 1));
}

std::string label_of(const SignedPolicy& policy) {
  return "policy version " + std::to_string(policy.policy.version.value());
}

Error too_few(const SignedPolicy& next, const Names& signers, const SignedPolicy& by) {
  std::string who;
  for (const std::string& name : signers) who += (who.empty() ? ": " : ", ") + name;
  return Error(Code::Denied, label_of(next) + ": " + std::to_string(signers.size()) + " of " +
                                 std::to_string(by.policy.threshold_policy) +
                                 " signatures needed by the officials of " + "version " +
                                 std::to_string(by.policy.version.value()) + who)
      .hint("collect another official's signature of this version");
}

// Vaults that `next` adds, removes or gives other keys. A new address alone is the same vault elsewhere.
std::vector<std::string> changed_vaults(const Policy& current, const Policy& next) {
  std::vector<std::string> changed;
  for (const VaultEntry& before : current.vaults) {
    const VaultEntry* after = next.vault(before.name);
    if (after == nullptr || after->identity != before.identity || after->receipt != before.receipt) {
      changed.push_back(before.name);
    }
  }
  for (const VaultEntry& after : next.vaults) {
    if (current.vault(after.name) == nullptr) changed.push_back(after.name);
  }
  return changed;
}

Status check_place_in_chain(const SignedPolicy& current, const SignedPolicy& next) {
  const auto conflict = [&](std::string_view why) {
    return Error(Code::Conflict, label_of(next) + " does not follow " + label_of(current) + ": " + std::string(why));
  };
  if (next.policy.realm != current.policy.realm) return conflict("it belongs to another realm");
  if (next.policy.version.value() != current.policy.version.value() + 1) return conflict("versions go up by one");
  if (next.policy.previous != current.hash) return conflict("it names another previous version");
  for (const Registry& before : current.policy.registries) {
    const Registry* const after = next.policy.registry(before.id);
    if (after == nullptr || after->eras >= before.eras) continue;
    return Error(Code::InvalidInput, label_of(next) + " says that registry '" + after->name + "' has " +
                                         std::to_string(after->eras) + " eras, the version before " +
                                         std::to_string(before.eras));
  }
  const std::vector<std::string> changed = changed_vaults(current.policy, next.policy);
  if (changed.size() <= 1) return {};
  std::string names;
  for (const std::string& name : changed) append_item(names, name);
  return Error(Code::InvalidInput, label_of(next) + " changes " + std::to_string(changed.size()) + " vaults (" + names +
                                       "); a version changes at most one")
      .hint("make one version for each vault and let each be adopted before the next");
}

}  // namespace

Result<std::size_t> count_approvals(const Policy& policy, ByteView signed_bytes,
                                    const std::vector<format::TextSignature>& signatures) {
  std::vector<Names> signers;
  TRY(collect_signers({&policy}, signers, signed_bytes, signatures));
  return signers.front().size();
}

Status verify_genesis(const SignedPolicy& genesis) {
  TRY(check_rules(genesis.policy).in([&] { return label_of(genesis); }));
  if (genesis.policy.version.value() != 1) {
    return Error(Code::Conflict, label_of(genesis) + " is not a first version");
  }
  std::vector<Names> signers;
  TRY(collect_signers({&genesis.policy}, signers, signed_bytes_of(genesis), genesis.signatures).in([&] {
    return label_of(genesis);
  }));
  if (signers.front().size() < genesis.policy.threshold_policy) return too_few(genesis, signers.front(), genesis);
  return {};
}

Status verify_successor(const SignedPolicy& current, const SignedPolicy& next) {
  TRY(check_rules(next.policy).in([&] { return label_of(next); }));
  TRY(check_place_in_chain(current, next));
  std::vector<Names> signers;
  TRY(collect_signers({&current.policy, &next.policy}, signers, signed_bytes_of(next), next.signatures).in([&] {
    return label_of(next);
  }));
  if (signers[0].size() < current.policy.threshold_policy) return too_few(next, signers[0], current);
  if (signers[1].size() < next.policy.threshold_policy) return too_few(next, signers[1], next);
  return {};
}

Result<SignedPolicy> verify_chain(const std::vector<SignedPolicy>& chain, const PolicyHash& trusted_first) {
  if (chain.empty()) return Error(Code::InvalidInput, "the policy chain is empty");
  if (chain.front().hash != trusted_first) {
    return Error(Code::Denied,
                 "the chain's first policy is " + chain.front().hash.hex() + ", trusted is " + trusted_first.hex());
  }
  TRY(verify_genesis(chain.front()));
  for (std::size_t i = 1; i < chain.size(); ++i) TRY(verify_successor(chain[i - 1], chain[i]));
  return chain.back();
}

std::vector<crypto::Ed25519PublicKey> writers_of(const std::vector<SignedPolicy>& chain,
                                                 const format::RegistryId& registry) {
  std::vector<crypto::Ed25519PublicKey> writers;
  for (const SignedPolicy& version : chain) {
    const Registry* const found = version.policy.registry(registry);
    if (found == nullptr || std::count(writers.begin(), writers.end(), found->writer) > 0) continue;
    writers.push_back(found->writer);
  }
  return writers;
}

RetentionRange retention_of(const std::vector<SignedPolicy>& chain, const format::RegistryId& registry) {
  std::optional<RetentionRange> range;
  for (const SignedPolicy& version : chain) {
    const Registry* const found = version.policy.registry(registry);
    if (found == nullptr) continue;
    if (!range.has_value()) range = RetentionRange{found->retention_seconds, found->retention_seconds};
    range->shortest = std::min(range->shortest, found->retention_seconds);
    range->longest = std::max(range->longest, found->retention_seconds);
  }
  return range.value_or(RetentionRange{});
}

}  // namespace exclave::policy
