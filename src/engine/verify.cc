#include "engine/verify.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "crypto/tree_hash.h"
#include "env/at_once.h"
#include "store/vault_words.h"

namespace exclave::engine {
namespace {

constexpr std::size_t kReadBytes = 1U << 20;

class VaultChecker {
 public:
  VaultChecker(env::Env& env, const PinnedRegistry& registry, store::VaultApi& vault, Reading reading)
      : env_(env), registry_(registry), vault_(vault), reading_(reading) {
    verdict_.vault = vault.name();
  }

  // Unavailable in the middle ends the check of this vault; what was found until then stays found.
  VaultVerdict check(const RegistryHoldings& all, std::stop_token stop) {
    Status checked = check_streams(stop);
    if (!checked.ok() && checked.error().code() == Code::Unavailable) {
      verdict_.reachable = false;
      verdict_.connection = store::said_by(verdict_.vault, checked.error());
    } else if (!checked.ok()) {
      find(store::said_by(verdict_.vault, checked.error()));
    } else {
      check_completeness(all);
    }
    return std::move(verdict_);
  }

 private:
  void find(std::string what) {
    ++verdict_.finding_count;
    if (verdict_.findings.size() < kMaxFindings) verdict_.findings.push_back(std::move(what));
  }

  Status check_streams(std::stop_token stop) {
    for (const store::StreamHead& head : TRY(vault_.heads(registry_.registry.id))) {
      if (stop.stop_requested()) return Error(Code::Cancelled, "verification was interrupted");
      ++verdict_.streams;
      TRY(check_stream(head, stop));
    }
    return {};
  }

  Status check_stream(const store::StreamHead& head, std::stop_token stop) {
    const format::StreamId id = head.stream.descriptor.id();
    const std::string stream = "stream " + id.hex().substr(0, 16);
    if (!registry_.is_own(head.stream)) {
      find(stream + ": no writer of this registry signed it");
      return {};
    }
    format::ChainHash chain = format::chain_start(id);
    std::uint64_t next = 0;
    std::optional<format::ChainHash> at_receipt;
    while (true) {
      const auto page = TRY(vault_.entries(id, format::EntryIndex(next), store::kMaxEntriesPerCall));
      if (page.empty()) break;
      for (const store::HeldEntry& held : page) {
        if (stop.stop_requested()) return Error(Code::Cancelled, "verification was interrupted");
        const format::Entry& entry = held.entry.entry;
        if (entry.index.value() != next) {
          find(stream + ": entry " + std::to_string(next) + " is missing, later ones are there");
          return {};
        }
        chain = format::next_chain(chain, entry.object, entry.snapshot_oldest);
        if (entry.chain != chain || !held.entry.check_signature(head.stream.descriptor.writer).ok()) {
          find(stream + ": entry " + std::to_string(next) + " is not what the writer signed");
          return {};
        }
        ++verdict_.entries;
        if (head.receipt.has_value() && head.receipt->receipt.index == entry.index) at_receipt = chain;
        TRY(check_object(held, head.stream.descriptor));
        ++next;
      }
    }
    check_receipt(head, stream, next, at_receipt);
    return {};
  }

  // What it signs for is held against what it said in the same answer: meanwhile a writer may have gone on.
  void check_receipt(const store::StreamHead& head, const std::string& stream, std::uint64_t shown,
                     const std::optional<format::ChainHash>& chain_at_receipt) {
    const std::uint64_t held = head.entries;
    if (shown < held) {
      find(stream + ": says that it holds " + std::to_string(held) + " entries, and shows " + std::to_string(shown));
      return;
    }
    if (!head.receipt.has_value()) {
      if (held > 0) find(stream + ": holds " + std::to_string(held) + " entries but gives no receipt");
      return;
    }
    const format::Receipt& receipt = head.receipt->receipt;
    if (!chain_at_receipt.has_value()) {
      find(stream + ": has a receipt up to entry " + std::to_string(receipt.index.value()) + ", but only " +
           std::to_string(shown) + " entries are there");
    } else if (receipt.chain != *chain_at_receipt) {
      find(stream + ": its receipt vouches for another history");
    } else if (receipt.index.value() + 1 < held) {
      find(stream + ": its receipt covers " + std::to_string(receipt.index.value() + 1) + " of " +
           std::to_string(held) + " entries");
    }
  }

  Status check_object(const store::HeldEntry& held, const format::StreamDescriptor& stream) {
    const format::ObjectName& name = held.entry.entry.object;
    if (!seen_.insert(name).second) return {};
    ++verdict_.objects;
    const std::int64_t now = env_.clock.now().seconds();
    const auto longest = static_cast<std::int64_t>(registry_.retention.longest);
    const auto shortest = static_cast<std::int64_t>(registry_.retention.shortest);
    if (held.retain_until_seconds > now + longest + 86400) {
      find(format::object_words(name) + ": retained longer than the policy says");
    }
    // The stream's start is the agent's clock: if that was ahead, each vault is named, and not one of them.
    if (held.retain_until_seconds < stream.start_seconds() + shortest - 86400) {
      find(format::object_words(name) + ": retained shorter than the policy says; the vault's clock was wrong");
    }
    auto size = vault_.size_of(name);
    if (!size.ok()) {
      if (size.error().code() == Code::Unavailable) return size.take_error();
      const bool is_missing = size.error().code() == Code::NotFound;
      find(format::object_words(name) + (is_missing ? " is missing" : ": " + size.error().message()));
      return {};
    }
    if (size.value() != held.object_bytes) {
      find(format::object_words(name) + ": has " + std::to_string(size.value()) + " bytes instead of " +
           std::to_string(held.object_bytes));
      return {};
    }
    if (!format::class_of_bytes(size.value()).has_value()) {
      find(format::object_words(name) + ": has " + std::to_string(size.value()) + " bytes, as no object can have");
      return {};
    }
    return reading_ == Reading::EveryByte ? check_bytes(name, size.value()) : Status();
  }

  Status check_bytes(const format::ObjectName& name, std::uint64_t size) {
    crypto::TreeHasher hasher;
    Bytes piece;
    for (std::uint64_t at = 0; at < size; at += piece.size()) {
      piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, size - at)));
      Status read = vault_.read(name, at, piece);
      if (!read.ok()) {
        if (read.error().code() == Code::Unavailable) return read;
        find(format::object_words(name) + ": " + read.error().message());
        return {};
      }
      verdict_.bytes_read += piece.size();
      hasher.update(piece);
    }
    if (format::ObjectName(hasher.finish().array()) != name)
      find(format::object_words(name) + ": its bytes were altered");
    return {};
  }

  // What other vaults prove and this one lacks.
  void check_completeness(const RegistryHoldings& all) {
    for (const FoundStream& stream : all.streams) {
      const auto mine = stream.heads.find(verdict_.vault);
      const std::uint64_t held = mine == stream.heads.end() ? 0 : mine->second;
      if (held < stream.durable_entries) {
        verdict_.behind.push_back("stream " + stream.stream.descriptor.id().hex().substr(0, 16) + ": " +
                                  std::to_string(held) + " of " + std::to_string(stream.durable_entries) + " entries");
      }
    }
  }

  env::Env& env_;
  const PinnedRegistry& registry_;
  store::VaultApi& vault_;
  const Reading reading_;
  VaultVerdict verdict_;
  std::set<format::ObjectName> seen_;
};

}  // namespace

bool HoldingsVerdict::is_damaged() const {
  return !problems.empty() ||
         std::any_of(vaults.begin(), vaults.end(), [](const VaultVerdict& vault) { return vault.finding_count > 0; });
}

bool HoldingsVerdict::is_behind() const {
  return std::any_of(vaults.begin(), vaults.end(), [](const VaultVerdict& vault) { return !vault.behind.empty(); });
}

bool HoldingsVerdict::is_reachable() const {
  return std::all_of(vaults.begin(), vaults.end(), [](const VaultVerdict& vault) { return vault.reachable; });
}

bool HoldingsVerdict::is_clean() const {
  return !is_damaged() && !is_behind() && is_reachable();
}

Result<HoldingsVerdict> verify_holdings(env::Env& env, const PinnedRegistry& registry,
                                        const std::vector<store::VaultApi*>& vaults, Reading reading,
                                        std::stop_token stop) {
  const RegistryHoldings all = TRY(find_holdings(env.clock, env.threads, registry, vaults));
  HoldingsVerdict verdict;
  verdict.problems = all.problems;
  std::vector<VaultVerdict> verdicts(vaults.size());
  env::at_once(
      env.threads, vaults.size(), [&](std::size_t i) { return "verify-" + vaults[i]->name(); },
      [&](std::size_t i) { verdicts[i] = VaultChecker(env, registry, *vaults[i], reading).check(all, stop); });
  if (stop.stop_requested()) return Error(Code::Cancelled, "verification was interrupted");
  verdict.vaults = std::move(verdicts);
  return verdict;
}

Result<ContentVerdict> verify_content(const SnapshotContent& content, std::stop_token stop) {
  ContentVerdict verdict;
  std::set<format::ChunkId> wanted;
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    ++verdict.entries;
    for (const format::Slice& slice : entry.slices) wanted.insert(slice.chunk);
    return {};
  }));
  struct Located {
    repo::ChunkPlace place;
    format::ChunkId id;
  };
  std::vector<Located> located;
  for (const format::ChunkId& id : wanted) {
    auto place = content.chunks().locate(id);
    if (place.ok()) {
      located.push_back({place.value(), id});
    } else {
      verdict.findings.push_back(place.error().message());
    }
  }
  std::sort(located.begin(), located.end(), [](const Located& a, const Located& b) {
    return std::pair(a.place.pack, a.place.offset) < std::pair(b.place.pack, b.place.offset);
  });
  // Whole packs: reads of single chunks would show a host where they end (H2). One of which no vault gives every byte is
  // read chunk by chunk.
  repo::ChunkDecoder reader(content.record().dedup_key);
  repo::ChunkDecoder decoder(content.record().dedup_key);
  std::optional<std::uint32_t> at;
  Result<ByteView> pack = ByteView();
  for (const Located& chunk : located) {
    if (stop.stop_requested()) return Error(Code::Cancelled, "verification was interrupted");
    if (at != chunk.place.pack) {
      at = chunk.place.pack;
      const std::size_t bytes = format::plain_capacity(content.chunks().pack(*at).size_class);
      pack = content.chunks().fetch(*at, 0, static_cast<std::uint32_t>(bytes), reader);
    }
    auto stored = pack.ok() && std::uint64_t{chunk.place.offset} + chunk.place.stored_bytes <= pack.value().size()
                      ? pack.value().subspan(chunk.place.offset, chunk.place.stored_bytes)
                      : content.chunks().fetch(chunk.place.pack, chunk.place.offset, chunk.place.stored_bytes, decoder);
    const auto plain = stored.ok() ? content.chunks().decode(chunk.id, chunk.place, stored.value(), decoder) : stored;
    if (!plain.ok()) {
      if (plain.error().code() == Code::Unavailable) return plain.error();
      verdict.findings.push_back(plain.error().message());
      continue;
    }
    ++verdict.chunks;
    verdict.bytes += plain.value().size();
  }
  return verdict;
}

}  // namespace exclave::engine
