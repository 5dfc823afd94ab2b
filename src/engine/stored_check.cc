#include "engine/stored_check.h"

#include <algorithm>
#include <map>
#include <set>

namespace exclave::engine {
namespace {

using Entries = std::map<std::string, std::uint64_t>;  // by vault

struct Stream {
  Entries kept;   // as receipts say that the agent has
  Entries shown;  // as the vaults say now
};

std::uint64_t entries_of(const format::Receipt& receipt) {
  return receipt.index.value() + 1;
}

std::uint64_t of(const Entries& entries, const std::string& vault) {
  const auto found = entries.find(vault);
  return found == entries.end() ? 0 : found->second;
}

}  // namespace

StoredCheck check_stored(const PinnedRegistry& registry, format::EraNumber era,
                         const std::vector<repo::KeptReceipt>& kept, const std::vector<store::VaultApi*>& vaults) {
  std::map<format::StreamId, Stream> streams;
  std::set<std::string> known;  // vaults of which receipts are kept
  for (const auto& each : kept) {
    std::uint64_t& entries = streams[each.receipt.receipt.stream].kept[each.vault];
    entries = std::max(entries, entries_of(each.receipt.receipt));
    known.insert(each.vault);
  }
  std::set<std::string> present;
  std::set<std::string> answering;
  for (store::VaultApi* vault : vaults) {
    present.insert(vault->name());
    const auto heads = vault->heads(registry.registry.id);
    if (!heads.ok()) continue;
    answering.insert(vault->name());
    for (const store::StreamHead& head : heads.value()) {
      if (head.stream.descriptor.era != era || head.stream.descriptor.kind != format::StreamKind::Objects) continue;
      if (!head.receipt.has_value() || !registry.is_own(head.stream)) continue;
      streams[head.stream.descriptor.id()].shown[vault->name()] = entries_of(head.receipt->receipt);
    }
  }
  known.insert(present.begin(), present.end());

  StoredCheck check;
  std::set<std::string> lacking;
  for (const auto& [id, stream] : streams) {
    std::vector<std::uint64_t> then;
    std::vector<std::uint64_t> now;
    for (const std::string& vault : known) {
      const std::uint64_t signed_for = std::max(of(stream.kept, vault), of(stream.shown, vault));
      const bool is_unknown = present.contains(vault) && !answering.contains(vault);
      then.push_back(signed_for);
      now.push_back(is_unknown ? signed_for : of(stream.shown, vault));
    }
    const std::uint32_t k = registry.policy.quorum.k;
    const std::uint64_t durable = policy::reached_by(k, then).value_or(0);
    check.endangered += durable - policy::reached_by(k, now).value_or(0);
    for (const std::string& vault : answering) {
      if (of(stream.shown, vault) < durable) lacking.insert(vault);
    }
  }
  check.lacking.assign(lacking.begin(), lacking.end());
  return check;
}

}  // namespace exclave::engine
