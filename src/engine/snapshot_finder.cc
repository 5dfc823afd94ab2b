#include "engine/snapshot_finder.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/text.h"
#include "crypto/tree_hash.h"

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

Result<format::ObjectReference> reference_from(const format::ObjectName& name, ByteView header) {
  const format::ObjectHeader decoded = TRY(format::decode_header(header));
  return format::ObjectReference{name, decoded.size_class, decoded.key.period};
}

// From an object whose bytes bear its name.
Result<format::ObjectReference> reference_from_whole(store::VaultApi& vault, const format::ObjectName& name) {
  const std::uint64_t size = TRY(vault.size_of(name));
  if (size > format::kMaxObjectBytes) return Error(Code::Corrupt, "is larger than an object can be");
  const Bytes object = TRY(store::read_object(vault, name, size));
  if (format::ObjectName(crypto::tree_hash(object).array()) != name)
    return Error(Code::Corrupt, "its bytes have another name");
  return reference_from(name, object);
}

// Period and class of a snapshot's object: what every vault's header says, or, if they differ, what a named object
// says.
Result<format::ObjectReference> look_at_header(const std::vector<store::VaultApi*>& vaults,
                                               const format::ObjectName& name) {
  std::string reasons;
  std::optional<format::ObjectReference> agreed;
  bool differ = false;
  for (store::VaultApi* vault : vaults) {
    Bytes header(format::kObjectHeaderBytes);
    Status read = vault->read(name, 0, header);
    auto found = read.ok() ? reference_from(name, header) : Result<format::ObjectReference>(read.take_error());
    if (!found.ok()) {
      reasons += (reasons.empty() ? "" : "; ") + vault->name() + ": " + found.error().message();
      continue;
    }
    differ = differ || (agreed.has_value() && !(*agreed == found.value()));
    agreed = found.value();
  }
  if (agreed.has_value() && !differ) return *agreed;
  for (store::VaultApi* vault : vaults) {
    auto found = reference_from_whole(*vault, name);
    if (found.ok()) return found;
    reasons += (reasons.empty() ? "" : "; ") + vault->name() + ": " + found.error().message();
  }
  return Error(Code::NotFound, "object " + name.hex().substr(0, 16) + ": " + reasons);
}

// In the order in which they were taken.
bool is_older(const FoundSnapshot& a, const FoundSnapshot& b) {
  return std::tie(a.era, a.start, a.index) < std::tie(b.era, b.start, b.index);
}

// Gathers what each vault shows, then joins it.
class HoldingsFinder {
 public:
  HoldingsFinder(const PinnedRegistry& registry, const std::vector<store::VaultApi*>& vaults)
      : registry_(registry), vaults_(vaults) {}

  Result<RegistryHoldings> find() {
    for (store::VaultApi* vault : vaults_) ask(*vault);
    if (answered_ == 0) {
      std::string reasons;
      for (const std::string& reason : holdings_.unreachable) reasons += (reasons.empty() ? "" : "; ") + reason;
      return Error(Code::Unavailable, "no vault answers (" + reasons + ")");
    }
    for (const auto& [id, stream] : streams_) join(id, stream);
    for (FoundSnapshot& snapshot : holdings_.snapshots) keep_complete(snapshot);
    std::sort(holdings_.snapshots.begin(), holdings_.snapshots.end(), [](const auto& a, const auto& b) {
      return is_older(a, b) || (!is_older(b, a) && a.object.name < b.object.name);
    });
    return std::move(holdings_);
  }

 private:
  void ask(store::VaultApi& vault) {
    auto heads = vault.heads(registry_.registry.id);
    if (!heads.ok()) {
      holdings_.unreachable.push_back(vault.name() + ": " + heads.error().message());
      return;
    }
    ++answered_;
    for (const store::StreamHead& head : heads.value()) {
      const format::StreamDescriptor& descriptor = head.stream.descriptor;
      if (!registry_.is_own(head.stream)) {
        holdings_.problems.push_back("vault " + vault.name() + " shows " + stream_words(descriptor.id()) +
                                     ", which no writer of this registry signed");
        continue;
      }
      auto view = fetch_stream(vault, head.stream, holdings_.problems);
      if (!view.ok()) {
        holdings_.unreachable.push_back(vault.name() + ": " + view.error().message());
        return;
      }
      streams_.emplace(descriptor.id(), head.stream);
      views_[descriptor.id()].push_back(view.take());
    }
  }

  // One stream, as its longest holder has it; the others must agree as far as they go.
  void join(const format::StreamId& id, const format::SignedStream& stream) {
    const std::vector<VaultView>& views = views_[id];
    FoundStream found;
    found.stream = stream;
    for (const VaultView& view : views) found.heads[view.vault] = view.entries.size();
    const VaultView& longest =
        *std::max_element(views.begin(), views.end(),
                          [](const VaultView& a, const VaultView& b) { return a.entries.size() < b.entries.size(); });
    found.entries = longest.entries.size();
    std::vector<std::uint64_t> heads;
    for (const auto& [vault, head] : found.heads) heads.push_back(head);
    found.durable_entries = policy::reached_by(registry_.policy.quorum.k, std::move(heads)).value_or(found.entries);
    for (const VaultView& view : views) {
      const std::size_t common = view.entries.size();
      if (common > 0 && view.entries[common - 1].entry.entry.chain != longest.entries[common - 1].entry.entry.chain) {
        holdings_.problems.push_back("fork: vaults " + view.vault + " and " + longest.vault +
                                     " hold different histories of " + stream_words(id) +
                                     ", both signed by the writer");
      }
    }
    for (std::size_t i = 0; i < longest.entries.size(); ++i) {
      const store::HeldEntry& held = longest.entries[i];
      const bool is_snapshot = held.entry.entry.snapshot_oldest.has_value();
      if (seen_.insert(held.entry.entry.object).second) {
        holdings_.objects.push_back({held.entry.entry.object, held.object_bytes, is_snapshot, stream.descriptor.era});
      }
      if (is_snapshot) add_snapshot(stream, held.entry.entry, views, i);
    }
    holdings_.streams.push_back(std::move(found));
  }

  // A snapshot refers to objects of earlier streams of its era too: a vault that missed part of one is not complete.
  void keep_complete(FoundSnapshot& snapshot) const {
    std::erase_if(snapshot.complete_at, [&](const std::string& vault) {
      return std::any_of(holdings_.streams.begin(), holdings_.streams.end(), [&](const FoundStream& stream) {
        const format::StreamDescriptor& descriptor = stream.stream.descriptor;
        if (descriptor.era != snapshot.era || descriptor.start >= snapshot.start) return false;
        const auto head = stream.heads.find(vault);
        return (head == stream.heads.end() ? 0 : head->second) < stream.durable_entries;
      });
    });
  }

  void add_snapshot(const format::SignedStream& stream, const format::Entry& entry, const std::vector<VaultView>& views,
                    std::size_t index) {
    FoundSnapshot snapshot;
    snapshot.stream = entry.stream;
    snapshot.start = stream.descriptor.start;
    snapshot.index = entry.index;
    snapshot.era = stream.descriptor.era;
    snapshot.oldest_period = *entry.snapshot_oldest;
    snapshot.taken_at_seconds = stream.descriptor.start_seconds();
    for (const VaultView& view : views) {
      if (view.entries.size() > index) snapshot.complete_at.push_back(view.vault);
    }
    auto reference = look_at_header(vaults_, entry.object);
    if (!reference.ok()) {
      holdings_.problems.push_back("snapshot " + entry.object.hex().substr(0, 16) +
                                   " cannot be read: " + reference.error().message());
      snapshot.object.name = entry.object;
      holdings_.lost.push_back({std::move(snapshot), reference.take_error()});
      return;
    }
    snapshot.object = reference.value();
    holdings_.snapshots.push_back(std::move(snapshot));
  }

  const PinnedRegistry& registry_;
  const std::vector<store::VaultApi*>& vaults_;
  std::size_t answered_ = 0;
  std::map<format::StreamId, format::SignedStream> streams_;
  std::map<format::StreamId, std::vector<VaultView>> views_;
  std::set<format::ObjectName> seen_;
  RegistryHoldings holdings_;
};

}  // namespace

bool PinnedRegistry::is_own(const format::SignedStream& stream) const {
  const format::StreamDescriptor& descriptor = stream.descriptor;
  return descriptor.realm == policy.realm && descriptor.registry == registry.id &&
         std::count(writers.begin(), writers.end(), descriptor.writer) > 0 && stream.check_signature().ok();
}

Result<RegistryHoldings> find_holdings(const PinnedRegistry& registry, const std::vector<store::VaultApi*>& vaults) {
  return HoldingsFinder(registry, vaults).find();
}

std::vector<std::string> vaults_missing_entries(const PinnedRegistry& registry, format::EraNumber era,
                                                const std::vector<store::VaultApi*>& vaults) {
  using Heads = std::map<format::StreamId, std::uint64_t>;
  std::map<std::string, Heads> heads_of;
  std::map<format::StreamId, std::vector<std::uint64_t>> heads_in;
  for (store::VaultApi* vault : vaults) {
    const auto heads = vault->heads(registry.registry.id);
    if (!heads.ok()) continue;
    Heads& held = heads_of[vault->name()];
    for (const store::StreamHead& head : heads.value()) {
      if (head.stream.descriptor.era != era || !head.receipt.has_value() || !registry.is_own(head.stream)) continue;
      const std::uint64_t entries = head.receipt->receipt.index.value() + 1;
      held[head.stream.descriptor.id()] = entries;
      heads_in[head.stream.descriptor.id()].push_back(entries);
    }
  }
  std::vector<std::string> missing;
  for (auto& each : heads_of) {
    Heads& held = each.second;
    const bool lacks = std::any_of(heads_in.begin(), heads_in.end(), [&](const auto& stream) {
      return held[stream.first] < policy::reached_by(registry.policy.quorum.k, stream.second).value_or(0);
    });
    if (lacks) missing.push_back(each.first);
  }
  return missing;
}

Result<FoundSnapshot> choose_snapshot(const RegistryHoldings& holdings, std::string_view wanted) {
  if (holdings.snapshots.empty() && !holdings.problems.empty()) {
    return Error(Code::Corrupt, "no snapshot of this registry can be read: " + holdings.problems.front())
        .hint("look at all of it: exclave verify --site DIRECTORY --read-all");
  }
  if (holdings.snapshots.empty()) return Error(Code::NotFound, "the vaults hold no snapshot of this registry");
  if (wanted == "latest") {
    const FoundSnapshot& latest = holdings.snapshots.back();
    for (const LostSnapshot& lost : holdings.lost) {
      if (!is_older(latest, lost.snapshot)) continue;
      return Error(lost.why.code(), "snapshot " + lost.snapshot.object.name.hex().substr(0, 12) +
                                        " is later than all that can be opened, but: " + lost.why.message())
          .hint("try again when more vaults answer, or take the latest that opens: --snapshot " +
                latest.object.name.hex().substr(0, 12));
    }
    return latest;
  }
  const FoundSnapshot* match = nullptr;
  if (wanted.size() < 4) {
    return Error(Code::InvalidInput, "snapshot '" + printable(wanted) + "' is too short a name")
        .hint("give at least 4 digits, or 'latest'");
  }
  for (const FoundSnapshot& snapshot : holdings.snapshots) {
    if (!snapshot.object.name.hex().starts_with(wanted)) continue;
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
