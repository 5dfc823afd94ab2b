#include "engine/stored_check.h"

#include <algorithm>
#include <map>
#include <set>

namespace exclave::engine {
namespace {

using Entries = std::map<std::string, std::uint64_t>;  // by vault

struct Stream {
  Entries kept;          // as receipts say that the agent has
  Entries kept_of_keys;  // those of them that the policy's own vaults signed, with the keys that they have now
  Entries shown;         // as the vaults say now
  std::uint64_t relied = 0;
};
using Streams = std::map<format::StreamId, Stream>;

std::uint64_t entries_of(const format::Receipt& receipt) {
  return receipt.index.value() + 1;
}

std::uint64_t of(const Entries& entries, const std::string& vault) {
  const auto found = entries.find(vault);
  return found == entries.end() ? 0 : found->second;
}

void raise(Entries& entries, const std::string& vault, std::uint64_t to) {
  std::uint64_t& now = entries[vault];
  now = std::max(now, to);
}

// Whether the vault that the policy names so has signed it: one of new keys is another vault than before.
bool is_of_present_key(const policy::Policy& policy, const repo::KeptReceipt& kept) {
  return std::any_of(policy.vaults.begin(), policy.vaults.end(), [&](const policy::VaultEntry& vault) {
    return vault.name == kept.vault && vault.receipt == kept.receipt.receipt.vault;
  });
}

Streams remembered(const PinnedRegistry& registry, const std::vector<repo::KeptReceipt>& kept,
                   const repo::ReliedEntries& relied) {
  Streams streams;
  for (const auto& each : kept) {
    Stream& stream = streams[each.receipt.receipt.stream];
    const std::uint64_t entries = entries_of(each.receipt.receipt);
    raise(stream.kept, each.vault, entries);
    if (is_of_present_key(registry.policy, each)) raise(stream.kept_of_keys, each.vault, entries);
  }
  for (const auto& [id, entries] : relied) streams[id].relied = entries;
  return streams;
}

// Whether it answers.
bool add_shown(const PinnedRegistry& registry, format::EraNumber era, store::VaultApi& vault, Streams& streams) {
  const auto heads = vault.heads(registry.registry.id);
  if (!heads.ok()) return false;
  for (const store::StreamHead& head : heads.value()) {
    if (head.stream.descriptor.era != era || head.stream.descriptor.kind != format::StreamKind::Objects) continue;
    if (!head.receipt.has_value() || !registry.is_own(head.stream)) continue;
    streams[head.stream.descriptor.id()].shown[vault.name()] = entries_of(head.receipt->receipt);
  }
  return true;
}

}  // namespace

StoredCheck check_stored(const PinnedRegistry& registry, format::EraNumber era,
                         const std::vector<repo::KeptReceipt>& kept, const std::vector<store::VaultApi*>& vaults,
                         const repo::ReliedEntries& relied, const std::optional<format::StreamId>& just_sent) {
  Streams streams = remembered(registry, kept, relied);
  std::set<std::string> known;  // vaults of now, and of which receipts are kept
  for (const auto& each : kept) known.insert(each.vault);
  std::set<std::string> answering;
  std::set<std::string> silent;
  for (store::VaultApi* vault : vaults) {
    known.insert(vault->name());
    (add_shown(registry, era, *vault, streams) ? answering : silent).insert(vault->name());
  }

  StoredCheck check;
  std::set<std::string> lacking;
  for (const auto& [id, stream] : streams) {
    std::vector<std::uint64_t> then;
    std::vector<std::uint64_t> now;
    for (const std::string& vault : known) {
      then.push_back(std::max(of(stream.kept, vault), of(stream.shown, vault)));
      now.push_back(of(silent.contains(vault) ? stream.kept_of_keys : stream.shown, vault));
    }
    const std::uint32_t k = registry.policy.quorum.k;
    const std::uint64_t durable = std::max(policy::reached_by(k, then).value_or(0), stream.relied);
    const std::uint64_t held = policy::reached_by(k, now).value_or(0);
    check.endangered += durable - std::min(durable, held);
    if (id == just_sent) continue;
    for (const std::string& vault : answering) {
      if (of(stream.shown, vault) < durable) lacking.insert(vault);
    }
  }
  check.lacking.assign(lacking.begin(), lacking.end());
  return check;
}

}  // namespace exclave::engine
