// The rules of one policy version: I1 to I3 of policy.h.
#include <algorithm>
#include <map>
#include <set>

#include "policy/fields.h"
#include "policy/policy.h"

namespace exclave::policy {
namespace {

constexpr std::size_t kMostVaults = 64;

// Remembers names of one kind and complains about the second.
class UniqueNames {
 public:
  explicit UniqueNames(std::string_view kind) : kind_(kind) {}
  Status add(std::string_view name) {
    TRY(format::check_name(kind_, name));
    if (!names_.insert(std::string(name)).second) {
      return broken(std::string(kind_) + " '" + std::string(name) + "' appears twice");
    }
    return {};
  }

 private:
  std::string_view kind_;
  std::set<std::string, std::less<>> names_;
};

// Remembers every public key of a policy. A key and its negative are made by one secret and give the same agreements,
// so they count as one: a P-384 key goes by its x coordinate, the others without their sign bit.
class UniqueKeys {
 public:
  Status add(const crypto::P384PublicKey& key, std::string_view owner) {
    return add(key.view().subspan(1, 48), key.is_zero(), owner);
  }
  Status add(const crypto::Ed25519PublicKey& key, std::string_view owner) {
    if (crypto::has_small_order(key) && !key.is_zero()) return broken(std::string(owner) + " has a key of small order");
    return add_unsigned(key, owner);
  }
  Status add(const crypto::X25519PublicKey& key, std::string_view owner) { return add_unsigned(key, owner); }

 private:
  template <typename Tag>
  Status add_unsigned(const Id<32, Tag>& key, std::string_view owner) {
    Id<32, Tag> unsigned_key = key;
    unsigned_key.mutable_view()[31] &= 0x7f;
    return add(unsigned_key.view(), key.is_zero(), owner);
  }
  Status add(ByteView key, bool is_missing, std::string_view owner) {
    if (is_missing) return broken(std::string(owner) + " has a key of zeros");
    const auto [at, is_new] = owners_.emplace(to_bytes(key), owner);
    if (is_new) return {};
    return broken(std::string(owner) + " has the same public key as " + at->second);
  }
  std::map<Bytes, std::string> owners_;
};

Status check_threshold(std::string_view what, std::uint32_t threshold, std::size_t officials) {
  if (threshold >= 1 && threshold <= officials) return {};
  return broken(std::string(what) + " " + std::to_string(threshold) + " is not in 1.." + std::to_string(officials) +
                ", the number of officials");
}

Status check_officials(const Policy& policy, UniqueKeys& keys) {
  if (policy.officials.empty() || policy.officials.size() > kMostOfficials) {
    return broken("a policy has 1 to 255 officials, not " + std::to_string(policy.officials.size()));
  }
  UniqueNames names("official");
  for (const Official& official : policy.officials) {
    TRY(names.add(official.name));
    TRY(keys.add(official.sign, "official '" + official.name + "' (sign)"));
    TRY(keys.add(official.decrypt, "official '" + official.name + "' (decrypt)"));
    TRY(keys.add(official.paper, "official '" + official.name + "' (paper)"));
  }
  TRY(keys.add(policy.ceremony, "the ceremony"));
  TRY(check_threshold("threshold-policy", policy.threshold_policy, policy.officials.size()));
  return check_threshold("threshold-release", policy.threshold_release, policy.officials.size());
}

// "host:port" or "dir:/path": one word, no control characters. Whether it can be reached is not a policy's business.
bool is_valid_address(std::string_view address) {
  if (!format::is_valid_text_value(address) || address.find(' ') != std::string_view::npos) return false;
  if (address.starts_with("dir:")) return address.starts_with("dir:/");
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const auto port = parse_u32(address.substr(colon + 1));
  return port.ok() && port.value() >= 1 && port.value() <= 65535;
}

Status check_vaults(const Policy& policy, UniqueKeys& keys) {
  UniqueNames names("vault");
  for (const VaultEntry& vault : policy.vaults) {
    TRY(names.add(vault.name));
    TRY(keys.add(vault.identity, "vault '" + vault.name + "' (identity)"));
    TRY(keys.add(vault.receipt, "vault '" + vault.name + "' (receipt)"));
    if (!is_valid_address(vault.address)) {
      return broken("vault '" + vault.name + "': address '" + printable(vault.address) +
                    "' is neither host:port nor dir:/path");
    }
  }
  return check_quorum(policy.quorum, policy.vaults.size());
}

Status check_sites_and_registries(const Policy& policy, UniqueKeys& keys) {
  UniqueNames sites("site");
  for (const Site& site : policy.sites) {
    TRY(sites.add(site.name));
    TRY(keys.add(site.identity, "site '" + site.name + "'"));
  }
  UniqueNames registries("registry");
  std::set<format::RegistryId> ids;
  for (const Registry& registry : policy.registries) {
    TRY(registries.add(registry.name));
    const std::string owner = "registry '" + registry.name + "'";
    if (registry.id.is_zero()) return broken(owner + " has an id of zeros");
    if (!ids.insert(registry.id).second) return broken(owner + " has the id of another registry");
    TRY(keys.add(registry.writer, owner + " (writer)"));
    TRY(check_threshold(owner + ": threshold", registry.threshold, policy.officials.size()));
    if (registry.eras != 0 && policy.version.value() == 1) return broken(owner + " has eras before the first policy");
  }
  return {};
}

std::string in_words(const Quorum& quorum) {
  return "quorum k=" + std::to_string(quorum.k) + " q=" + std::to_string(quorum.q) + " b=" + std::to_string(quorum.b);
}

}  // namespace

Status check_quorum(const Quorum& quorum, std::size_t vaults) {
  if (vaults == 0 || vaults == 2 || vaults > kMostVaults) {
    return broken("a realm has one vault (for trials) or 3 to 64, not " + std::to_string(vaults));
  }
  const std::uint64_t n = vaults;
  const std::uint64_t k = quorum.k;
  const std::uint64_t q = quorum.q;
  const std::uint64_t b = quorum.b;
  const std::string among = " of " + std::to_string(n) + " vaults";
  if (k < 1 || k > n || q < 1 || q > n)
    return broken(in_words(quorum) + among + ": k and q are in 1.." + std::to_string(n));
  if (n == 1 && b != 0) return broken(in_words(quorum) + among + ": a single vault that lies cannot be tolerated");
  if (2 * q <= n + b) return broken(in_words(quorum) + among + ": two quorums could decide differently (2q > n + b)");
  if (k + q <= n + b) {
    return broken(in_words(quorum) + among + ": a quorum could miss what is durable (k > n - q + b)");
  }
  return {};
}

Quorum default_quorum(std::size_t vaults) {
  const auto n = static_cast<std::uint32_t>(std::min(vaults, kMostVaults + 1));
  Quorum quorum;
  quorum.b = n == 0 ? 0 : (n - 1) / 3;
  quorum.q = (n + quorum.b) / 2 + 1;
  quorum.k = n + quorum.b + 1 - std::min(quorum.q, n + quorum.b);
  return quorum;
}

Status check_rules(const Policy& policy) {
  UniqueKeys keys;
  if (policy.realm.is_zero()) return broken("the realm id is zeros");
  if (!format::is_valid_text_value(policy.name)) return broken("the realm's name is not printable text");
  if (policy.version.value() < 1) return broken("the version is 0; the first one is 1");
  if (policy.previous.has_value() != (policy.version.value() > 1)) {
    return broken("version " + std::to_string(policy.version.value()) +
                  (policy.previous.has_value() ? " has" : " lacks") + " a previous version's hash");
  }
  if (policy.expires_seconds < 0 || policy.expires_seconds > kLatestSeconds) return broken("expires is out of range");
  TRY(check_officials(policy, keys));
  TRY(check_vaults(policy, keys));
  return check_sites_and_registries(policy, keys);
}

std::string Policy::quorum_in_words() const {
  const std::size_t needed = std::max(quorum.k, quorum.q);
  const std::size_t spare = vaults.size() - std::min(needed, vaults.size());
  return "tolerates " + std::to_string(quorum.b) + " lying and " + std::to_string(spare) + " unreachable of " +
         std::to_string(vaults.size()) + (vaults.size() == 1 ? " vault (a trial realm)" : " vaults");
}

}  // namespace exclave::policy
