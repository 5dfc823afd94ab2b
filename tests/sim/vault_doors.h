// Vault doors: what stands between a simulated vault's server and its rules. An honest vault's door writes down what
// goes in and what is vouched for; a liar's answers with whatever the running lie is.
//
//   peers --HTTP--> Server --> WatchedVault | LyingVault --> Vault
//
// A liar holds its own keys, so it can sign receipts for what it threw away; it cannot sign for a writer or for another
// vault. It lies to everybody alike: agents, sites and the vaults that repair from it.
// Threads: the holder of the baton.
#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/detail/seeded.h"
#include "tests/sim/promises.h"
#include "vault/memory_source.h"
#include "wire/handler.h"

namespace exclave::realm_tests {

// Passes every call on.
class VaultDoor : public wire::Handler {
 public:
  explicit VaultDoor(wire::Handler& inner) : inner_(inner) {}

  const std::string& name() const override { return inner_.name(); }
  bool knows(const wire::Caller& caller) override { return inner_.knows(caller); }
  Result<store::VaultStatus> status(const wire::Caller& caller) override { return inner_.status(caller); }
  Status open_stream(const wire::Caller& caller, const format::SignedStream& stream) override {
    return inner_.open_stream(caller, stream);
  }
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    return inner_.put(caller, entry, source);
  }
  Result<store::QuotaUse> quota(const wire::Caller& caller, const format::RegistryId& registry) override {
    return inner_.quota(caller, registry);
  }
  Result<std::uint64_t> append_frames(const wire::Caller& caller, const format::SegmentPlace& place,
                                      std::uint8_t size_class, std::uint64_t offset, ByteView bytes) override {
    return inner_.append_frames(caller, place, size_class, offset, bytes);
  }
  Result<format::SignedMarkReceipt> put_mark(const wire::Caller& caller, const format::SignedMark& mark) override {
    return inner_.put_mark(caller, mark);
  }
  Result<std::vector<store::OpenSegment>> open_segments(const wire::Caller& caller,
                                                        const format::RegistryId& registry) override {
    return inner_.open_segments(caller, registry);
  }
  Status read_frames(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                     MutableByteView out) override {
    return inner_.read_frames(caller, place, offset, out);
  }
  Status announce_reading(const wire::Caller& caller, const format::SignedReading& reading) override {
    return inner_.announce_reading(caller, reading);
  }
  Result<std::uint64_t> size_of(const wire::Caller& caller, const format::ObjectName& name) override {
    return inner_.size_of(caller, name);
  }
  Status read(const wire::Caller& caller, const format::ObjectName& name, std::uint64_t offset,
              MutableByteView out) override {
    return inner_.read(caller, name, offset, out);
  }
  Result<wire::HeadsPage> heads(const wire::Caller& caller, const format::RegistryId& registry,
                                const std::optional<format::StreamId>& from) override {
    return inner_.heads(caller, registry, from);
  }
  Result<std::vector<store::HeldEntry>> entries(const wire::Caller& caller, const format::StreamId& stream,
                                                format::EntryIndex from, std::size_t limit) override {
    return inner_.entries(caller, stream, from, limit);
  }
  Result<std::vector<store::Act>> acts(const wire::Caller& caller) override { return inner_.acts(caller); }
  Result<Bytes> act(const wire::Caller& caller, const crypto::Hash256& hash) override {
    return inner_.act(caller, hash);
  }
  Status put_act(const wire::Caller& caller, ByteView document) override { return inner_.put_act(caller, document); }

 private:
  wire::Handler& inner_;
};

// Reads all of `source`.
inline Result<Bytes> drain(wire::ObjectSource& source) {
  Bytes object(static_cast<std::size_t>(source.size()));
  if (!object.empty()) TRY(source.read_exactly(object));
  return object;
}

// A vault's receipt for what it need not have.
inline format::SignedReceipt receipt_for(const format::Entry& entry, const crypto::Ed25519SigningKey& key,
                                         const format::RealmId& realm) {
  format::Receipt receipt;
  receipt.vault = key.public_key();
  receipt.realm = realm;
  receipt.policy = format::PolicyVersion(1);
  receipt.stream = entry.stream;
  receipt.index = entry.index;
  receipt.chain = entry.chain;
  receipt.term = format::Term(1);
  receipt.durable_at_seconds = 1;
  return format::SignedReceipt::sign(receipt, key);
}

class WatchedVault final : public VaultDoor {
 public:
  // All outlive it. `number`: of the vault, in `promises`.
  WatchedVault(wire::Handler& inner, Promises& promises, std::size_t number)
      : VaultDoor(inner), promises_(promises), number_(number) {}

  Status open_stream(const wire::Caller& caller, const format::SignedStream& stream) override {
    promises_.opened(stream.descriptor.id());
    return VaultDoor::open_stream(caller, stream);
  }
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    const Bytes object = TRY(drain(source));
    promises_.sent(entry.entry, object);
    vault::MemorySource again(object);
    auto receipt = VaultDoor::put(caller, entry, again);
    if (receipt.ok() && receipt.value().has_value()) promises_.vouched(number_, receipt.value()->receipt);
    return receipt;
  }
  Result<wire::HeadsPage> heads(const wire::Caller& caller, const format::RegistryId& registry,
                                const std::optional<format::StreamId>& from) override {
    auto page = VaultDoor::heads(caller, registry, from);
    if (!page.ok()) return page;
    for (const store::StreamHead& head : page.value().heads) {
      if (head.receipt.has_value()) promises_.vouched(number_, head.receipt->receipt);
    }
    return page;
  }

 private:
  Promises& promises_;
  const std::size_t number_;
};

enum class Lie {
  None,
  GarbledBytes,    // one bit of every read is wrong
  OtherBytes,      // the bytes of another object that was read before
  Withheld,        // objects are not found
  HiddenHeads,     // the newest half of the streams is not shown
  ShortStreams,    // the later half of a stream's entries is not shown
  StrangeEntries,  // another stream's entries
  EmptyPromise,    // takes objects, throws them away and signs for them
  OldReceipt,      // the first receipt it ever gave, for everything
};
inline constexpr std::size_t kLies = 9;
inline constexpr std::array<std::string_view, kLies> kLieNames = {
    "none",          "garbled bytes",   "other bytes",   "withheld",   "hidden heads",
    "short streams", "strange entries", "empty promise", "old receipt"};
inline std::string_view name_of(Lie lie) {
  return kLieNames.at(static_cast<std::size_t>(lie));
}

// What a liar keeps in mind; outlives its machine's restarts.
struct LiarsMind {
  Lie lie = Lie::None;
  std::array<std::uint64_t, kLies> told{};  // by lie: in answers
  std::set<format::StreamId> thrown_away;
  std::optional<format::SignedReceipt> first_receipt;
  std::optional<format::StreamId> other_stream;
  Bytes other_bytes;

  void count_lie() { ++told.at(static_cast<std::size_t>(lie)); }
};

class LyingVault final : public VaultDoor {
 public:
  LyingVault(wire::Handler& inner, Promises& promises, std::size_t number, LiarsMind& mind,
             crypto::Ed25519SigningKey receipt_key, const format::RealmId& realm)
      : VaultDoor(inner),
        promises_(promises),
        number_(number),
        mind_(mind),
        receipt_key_(std::move(receipt_key)),
        realm_(realm) {}

  Status open_stream(const wire::Caller& caller, const format::SignedStream& stream) override {
    promises_.opened(stream.descriptor.id());
    return VaultDoor::open_stream(caller, stream);
  }
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    const Bytes object = TRY(drain(source));
    promises_.sent(entry.entry, object);
    if (mind_.lie == Lie::EmptyPromise || mind_.thrown_away.contains(entry.entry.stream)) {
      mind_.thrown_away.insert(entry.entry.stream);
      return tell(receipt_for(entry.entry, receipt_key_, realm_));
    }
    vault::MemorySource again(object);
    auto receipt = VaultDoor::put(caller, entry, again);
    if (!receipt.ok() || !receipt.value().has_value()) return receipt;
    if (!mind_.first_receipt.has_value()) mind_.first_receipt = receipt.value();
    if (mind_.lie == Lie::OldReceipt) return tell(*mind_.first_receipt);
    promises_.vouched(number_, receipt.value()->receipt);
    return receipt;
  }
  Result<std::uint64_t> size_of(const wire::Caller& caller, const format::ObjectName& name) override {
    if (mind_.lie == Lie::EmptyPromise) {
      mind_.count_lie();
      return std::uint64_t{1} << 18;
    }
    if (mind_.lie == Lie::Withheld) return missing(name);
    return VaultDoor::size_of(caller, name);
  }
  Status read(const wire::Caller& caller, const format::ObjectName& name, std::uint64_t offset,
              MutableByteView out) override {
    if (mind_.lie == Lie::Withheld) return missing(name);
    TRY(VaultDoor::read(caller, name, offset, out));
    if (mind_.lie == Lie::GarbledBytes && !out.empty()) {
      mind_.count_lie();
      out[out.size() / 3] ^= 0x04;
    }
    if (mind_.lie == Lie::OtherBytes) {
      if (mind_.other_bytes.size() == out.size()) {
        mind_.count_lie();
        std::swap_ranges(out.begin(), out.end(), mind_.other_bytes.begin());
      } else {
        mind_.other_bytes = to_bytes(ByteView(out));
      }
    }
    return {};
  }
  Result<wire::HeadsPage> heads(const wire::Caller& caller, const format::RegistryId& registry,
                                const std::optional<format::StreamId>& from) override {
    wire::HeadsPage page = TRY(VaultDoor::heads(caller, registry, from));
    if (mind_.lie != Lie::HiddenHeads || page.heads.size() < 2) return page;
    mind_.count_lie();
    std::sort(page.heads.begin(), page.heads.end(), [](const auto& a, const auto& b) {
      return std::pair(a.stream.descriptor.era, a.stream.descriptor.start) <
             std::pair(b.stream.descriptor.era, b.stream.descriptor.start);
    });
    page.heads.resize(page.heads.size() / 2);
    return page;
  }
  Result<std::vector<store::HeldEntry>> entries(const wire::Caller& caller, const format::StreamId& stream,
                                                format::EntryIndex from, std::size_t limit) override {
    if (mind_.lie == Lie::StrangeEntries && mind_.other_stream.has_value() && *mind_.other_stream != stream) {
      mind_.count_lie();
      return VaultDoor::entries(caller, *mind_.other_stream, from, limit);
    }
    mind_.other_stream = stream;
    auto held = TRY(VaultDoor::entries(caller, stream, from, limit));
    if (mind_.lie == Lie::ShortStreams && from.value() == 0 && held.size() > 1) {
      mind_.count_lie();
      held.resize(held.size() / 2);
    } else if (mind_.lie == Lie::ShortStreams) {
      held.clear();
    }
    return held;
  }

 private:
  Error missing(const format::ObjectName& name) {
    mind_.count_lie();
    return {Code::NotFound, "object " + name.hex() + " is not held here"};
  }
  std::optional<format::SignedReceipt> tell(const format::SignedReceipt& receipt) {
    mind_.count_lie();
    promises_.vouched(number_, receipt.receipt);
    return receipt;
  }

  Promises& promises_;
  const std::size_t number_;
  LiarsMind& mind_;
  const crypto::Ed25519SigningKey receipt_key_;
  const format::RealmId realm_;
};

}  // namespace exclave::realm_tests
