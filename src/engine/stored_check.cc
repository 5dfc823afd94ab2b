#include "engine/stored_check.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"

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

struct Journal {
  std::uint64_t start = 0;  // its place in the order of journals
  Entries shown;
};
using Journals = std::map<format::StreamId, Journal>;

struct Vaults {
  std::set<std::string> known;  // of now, and of which receipts are kept
  std::vector<store::VaultApi*> answering;
  std::set<std::string> silent;
};

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

Streams remembered(const PinnedRegistry& registry, const StoredMemory& memory) {
  Streams streams;
  for (const auto& each : memory.kept) {
    Stream& stream = streams[each.receipt.receipt.stream];
    const std::uint64_t entries = entries_of(each.receipt.receipt);
    raise(stream.kept, each.vault, entries);
    if (is_of_present_key(registry.policy, each)) raise(stream.kept_of_keys, each.vault, entries);
  }
  for (const auto& [id, entries] : memory.relied) streams[id].relied = entries;
  return streams;
}

// Its streams of this era, and how many it has in all. nullopt: it does not answer, or signs nothing now, though it has something.
std::optional<std::vector<store::StreamHead>> ask(const PinnedRegistry& registry, format::EraNumber era,
                                                  store::VaultApi& vault, std::uint64_t& streams) {
  auto heads = vault.heads(registry.registry.id);
  if (!heads.ok()) return std::nullopt;
  std::vector<store::StreamHead> own = heads.take();
  const auto is_made_up = [&](const store::StreamHead& head) { return !registry.is_own(head.stream); };
  const bool are_proven = own.size() >= kNearlyAllStreams;  // a signature costs time: otherwise of this era's alone
  if (are_proven) std::erase_if(own, is_made_up);
  streams = std::max<std::uint64_t>(streams, own.size());
  std::erase_if(own, [&](const store::StreamHead& head) {
    return head.stream.descriptor.era != era || (!are_proven && is_made_up(head));
  });
  const bool is_signed = std::ranges::all_of(
      own, [](const store::StreamHead& head) { return head.receipt.has_value() || head.entries == 0; });
  return is_signed ? std::optional(std::move(own)) : std::nullopt;
}

void add_shown(const std::string& vault, const std::vector<store::StreamHead>& heads, Streams& streams,
               Journals& journals) {
  for (const store::StreamHead& head : heads) {
    if (!head.receipt.has_value()) continue;
    const format::StreamDescriptor& stream = head.stream.descriptor;
    const std::uint64_t entries = entries_of(head.receipt->receipt);
    if (stream.kind == format::StreamKind::Objects) {
      streams[stream.id()].shown[vault] = entries;
    } else {
      Journal& journal = journals[stream.id()];
      journal.start = load_u64(stream.start.view().first(sizeof(std::uint64_t)));
      journal.shown[vault] = entries;
    }
  }
}

void judge_captures(const PinnedRegistry& registry, const Streams& streams, const Vaults& vaults,
                    const std::optional<format::StreamId>& just_sent, StoredCheck& check) {
  std::set<std::string> lacking;
  for (const auto& [id, stream] : streams) {
    std::vector<std::uint64_t> then;
    std::vector<std::uint64_t> now;
    for (const std::string& vault : vaults.known) {
      then.push_back(std::max(of(stream.kept, vault), of(stream.shown, vault)));
      now.push_back(of(vaults.silent.contains(vault) ? stream.kept_of_keys : stream.shown, vault));
    }
    const std::uint32_t k = registry.policy.quorum.k;
    const std::uint64_t durable = std::max(policy::reached_by(k, then).value_or(0), stream.relied);
    const std::uint64_t held = policy::reached_by(k, now).value_or(0);
    check.endangered += durable - std::min(durable, held);
    if (id == just_sent) continue;
    for (const store::VaultApi* vault : vaults.answering) {
      if (of(stream.shown, vault->name()) < durable) lacking.insert(vault->name());
    }
  }
  check.lacking.assign(lacking.begin(), lacking.end());
}

void judge_journals(const PinnedRegistry& registry, const Journals& journals, const Vaults& vaults,
                    const std::set<std::uint64_t>& at_home, StoredCheck& check) {
  std::set<std::string> lacking;
  std::set<std::string> showing;
  for (const auto& [id, journal] : journals) {
    if (at_home.contains(journal.start)) continue;
    std::uint64_t entries = 0;
    for (const store::VaultApi* vault : vaults.answering) entries = std::max(entries, of(journal.shown, vault->name()));
    // Who is silent is not known to have lost what it had.
    std::vector<std::uint64_t> now(vaults.silent.size(), entries);
    for (const store::VaultApi* vault : vaults.answering) {
      now.push_back(of(journal.shown, vault->name()));
      if (now.back() < entries) lacking.insert(vault->name());
    }
    const std::uint64_t held = policy::reached_by(registry.policy.quorum.k, now).value_or(0);
    if (held >= entries) continue;
    check.endangered_segments += entries - held;
    for (const store::VaultApi* vault : vaults.answering) {
      if (of(journal.shown, vault->name()) > held) showing.insert(vault->name());
    }
  }
  check.lacking_segments.assign(lacking.begin(), lacking.end());
  check.showing_segments.assign(showing.begin(), showing.end());
}

}  // namespace

StoredCheck check_stored(const PinnedRegistry& registry, format::EraNumber era, const StoredMemory& memory,
                         const std::vector<store::VaultApi*>& vaults) {
  auto at_home = memory.journals_at_home ? memory.journals_at_home() : std::nullopt;
  Streams streams = remembered(registry, memory);
  Journals journals;
  Vaults all;
  StoredCheck check;
  for (const auto& each : memory.kept) all.known.insert(each.vault);
  for (store::VaultApi* vault : vaults) {
    all.known.insert(vault->name());
    if (const auto heads = ask(registry, era, *vault, check.streams)) {
      add_shown(vault->name(), *heads, streams, journals);
      all.answering.push_back(vault);
    } else {
      all.silent.insert(vault->name());
    }
  }

  judge_captures(registry, streams, all, memory.just_sent, check);
  if (!at_home.has_value() || all.answering.empty()) return check;
  const auto since = memory.journals_at_home();
  if (!since.has_value()) return check;
  check.are_journals_known = true;
  at_home->insert(since->begin(), since->end());
  judge_journals(registry, journals, all, *at_home, check);
  return check;
}

}  // namespace exclave::engine
