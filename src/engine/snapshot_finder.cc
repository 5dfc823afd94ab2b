#include "engine/snapshot_finder.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace exclave::engine {
namespace {

struct VaultView {
  std::string vault;
  std::vector<store::HeldEntry> entries;  // believed ones, from index 0 without gaps
};

std::string stream_words(const format::StreamId& stream) {
  return "stream " + stream.hex().substr(0, 16);
}

// Fetches a stream from one vault, and keeps the part that proves itself.
Result<VaultView> fetch_stream(store::VaultApi& vault, const format::SignedStream& stream,
                               std::vector<std::string>& problems) {
  VaultView view;
  view.vault = vault.name();
  const format::StreamId id = stream.descriptor.id();
  format::ChainHash chain = format::chain_start(id);
  std::uint64_t next = 0;
  while (true) {
    const auto page = TRY(vault.entries(id, format::EntryIndex(next), store::kMaxEntriesPerCall));
    if (page.empty()) return view;
    for (const store::HeldEntry& held : page) {
      const format::Entry& entry = held.entry.entry;
      if (entry.stream != id || entry.index.value() != next) {
        problems.push_back("vault " + view.vault + ": " + stream_words(id) + " has a gap at entry " +
                           std::to_string(next));
        return view;
      }
      chain = format::next_chain(chain, entry.object, entry.snapshot_oldest);
      if (entry.chain != chain || !held.entry.check_signature(stream.descriptor.writer).ok()) {
        problems.push_back("vault " + view.vault + ": entry " + std::to_string(next) + " of " + stream_words(id) +
                           " does not prove itself");
        return view;
      }
      view.entries.push_back(held);
      ++next;
    }
  }
}

// Period and class of a snapshot's object, from its header at any vault that has it.
Result<format::ObjectReference> look_at_header(const std::vector<store::VaultApi*>& vaults,
                                               const format::ObjectName& name) {
  std::string reasons;
  for (store::VaultApi* vault : vaults) {
    Bytes header(format::kObjectHeaderBytes);
    Status read = vault->read(name, 0, header);
    if (read.ok()) {
      auto decoded = format::decode_header(header);
      if (decoded.ok()) return format::ObjectReference{name, decoded.value().size_class, decoded.value().key.period};
      read = decoded.take_error();
    }
    reasons += (reasons.empty() ? "" : "; ") + vault->name() + ": " + read.error().message();
  }
  return Error(Code::NotFound, "object " + name.hex().substr(0, 16) + ": " + reasons);
}

}  // namespace

Result<RegistryHoldings> find_holdings(const policy::Policy& policy, const policy::Registry& registry,
                                       const std::vector<store::VaultApi*>& vaults) {
  RegistryHoldings holdings;
  std::map<format::StreamId, format::SignedStream> streams;
  std::map<format::StreamId, std::vector<VaultView>> views;
  std::size_t answered = 0;
  for (store::VaultApi* vault : vaults) {
    auto heads = vault->heads(registry.id);
    if (!heads.ok()) {
      holdings.unreachable.push_back(vault->name() + ": " + heads.error().message());
      continue;
    }
    ++answered;
    for (const store::StreamHead& head : heads.value()) {
      const format::StreamDescriptor& descriptor = head.stream.descriptor;
      if (descriptor.realm != policy.realm || descriptor.registry != registry.id ||
          !head.stream.check_signature().ok()) {
        holdings.problems.push_back("vault " + vault->name() + " shows a stream that is not this registry's");
        continue;
      }
      streams.emplace(descriptor.id(), head.stream);
      auto view = fetch_stream(*vault, head.stream, holdings.problems);
      if (!view.ok()) {
        holdings.unreachable.push_back(vault->name() + ": " + view.error().message());
        continue;
      }
      views[descriptor.id()].push_back(view.take());
    }
  }
  if (answered == 0) {
    std::string reasons;
    for (const std::string& reason : holdings.unreachable) reasons += (reasons.empty() ? "" : "; ") + reason;
    return Error(Code::Unavailable, "no vault answers (" + reasons + ")");
  }

  std::set<format::ObjectName> seen;
  for (const auto& [id, stream] : streams) {
    FoundStream found;
    found.stream = stream;
    const VaultView* longest = nullptr;
    for (const VaultView& view : views[id]) {
      found.heads[view.vault] = view.entries.size();
      if (longest == nullptr || view.entries.size() > longest->entries.size()) longest = &view;
    }
    if (longest == nullptr) continue;
    found.entries = longest->entries.size();
    for (const VaultView& view : views[id]) {
      const std::size_t common = view.entries.size();
      if (common > 0 && view.entries[common - 1].entry.entry.chain != longest->entries[common - 1].entry.entry.chain) {
        holdings.problems.push_back("fork: vaults " + view.vault + " and " + longest->vault +
                                    " hold different histories of " + stream_words(id) + ", both signed by the writer");
      }
    }
    for (std::size_t i = 0; i < longest->entries.size(); ++i) {
      const store::HeldEntry& held = longest->entries[i];
      const format::Entry& entry = held.entry.entry;
      if (seen.insert(entry.object).second) {
        holdings.objects.push_back(
            {entry.object, held.object_bytes, entry.snapshot_oldest.has_value(), stream.descriptor.era});
      }
      if (!entry.snapshot_oldest.has_value()) continue;
      FoundSnapshot snapshot;
      snapshot.stream = id;
      snapshot.start = stream.descriptor.start;
      snapshot.index = entry.index;
      snapshot.era = stream.descriptor.era;
      snapshot.oldest_period = *entry.snapshot_oldest;
      snapshot.durable_at_seconds = held.retain_until_seconds - static_cast<std::int64_t>(registry.retention_seconds);
      for (const VaultView& view : views[id]) {
        if (view.entries.size() > i) {
          snapshot.complete_at.push_back(view.vault);
          snapshot.durable_at_seconds =
              std::min(snapshot.durable_at_seconds,
                       view.entries[i].retain_until_seconds - static_cast<std::int64_t>(registry.retention_seconds));
        }
      }
      auto reference = look_at_header(vaults, entry.object);
      if (!reference.ok()) {
        holdings.problems.push_back("snapshot " + entry.object.hex().substr(0, 16) +
                                    " cannot be read: " + reference.error().message());
        continue;
      }
      snapshot.object = reference.value();
      holdings.snapshots.push_back(std::move(snapshot));
    }
    holdings.streams.push_back(std::move(found));
  }
  std::stable_sort(holdings.snapshots.begin(), holdings.snapshots.end(),
                   [](const FoundSnapshot& a, const FoundSnapshot& b) {
                     return std::tuple(a.era, a.durable_at_seconds, a.start, a.index) <
                            std::tuple(b.era, b.durable_at_seconds, b.start, b.index);
                   });
  return holdings;
}

Result<FoundSnapshot> choose_snapshot(const RegistryHoldings& holdings, std::string_view wanted) {
  if (holdings.snapshots.empty()) return Error(Code::NotFound, "the vaults hold no snapshot of this registry");
  if (wanted == "latest") return holdings.snapshots.back();
  const FoundSnapshot* match = nullptr;
  for (const FoundSnapshot& snapshot : holdings.snapshots) {
    if (wanted.size() < 6 || !snapshot.object.name.hex().starts_with(wanted)) continue;
    if (match != nullptr) {
      return Error(Code::InvalidInput, "snapshot '" + printable(wanted) + "' is ambiguous")
          .hint("give more digits of its name");
    }
    match = &snapshot;
  }
  if (match == nullptr) {
    return Error(Code::NotFound, "no snapshot '" + printable(wanted) + "' in the vaults")
        .hint("list them: exclave snapshots");
  }
  return *match;
}

}  // namespace exclave::engine
