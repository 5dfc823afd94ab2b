// Promises: what the vaults of one simulated realm have vouched for, and which copies are known to be spoiled.
// The judge of a campaign asks it what must still be there, the steps ask it what may be broken without breaking more
// than the placement bears.
//
//   entry (stream, index)   known as it went through any vault's door, with its object's bytes
//   head  (vault, stream)   entries that the vault has vouched for, by a receipt for a put or a head it showed
//   owed  (stream)          entries that k vaults have vouched for at some moment: from then on they must never be lost
//   spoiled (vault, object) copies that a step has damaged, and nothing has replaced yet
//
// I1  A head falls only when its machine is set back to an image (that is a lost receipt, and counts as damage).
// I2  may_spoil and may_set_back keep one good copy of everything owed, and of everything listed, at an honest vault.
// Threads: the holder of the baton.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "format/stream.h"
#include "policy/policy.h"

namespace exclave::realm_tests {

class Promises {
 public:
  using Heads = std::map<format::StreamId, std::uint64_t>;
  struct Entry {
    format::ObjectName object;
    format::ChainHash chain;
  };
  // What a vault's image holds of all this.
  struct Standing {
    Heads heads;
    std::set<format::ObjectName> spoiled;
  };

  Promises(std::size_t vaults, std::uint32_t k, std::set<std::size_t> liars)
      : k_(k), liars_(std::move(liars)), heads_(vaults), spoiled_(vaults) {}

  // --- what is seen at the doors ---
  // Streams belong to the capture that runs when they are first seen.
  void begin_attempt(std::size_t attempt) { attempt_ = attempt; }
  void opened(const format::StreamId& stream) { attempt_of_.emplace(stream, attempt_); }
  void sent(const format::Entry& entry, ByteView object) {
    opened(entry.stream);
    std::vector<Entry>& entries = entries_[entry.stream];
    const std::uint64_t index = entry.index.value();
    if (index == entries.size()) entries.push_back({entry.object, entry.chain});
    if (index < entries.size() && entries[index].chain != entry.chain) {
      complain("the writer signed two histories of stream " + entry.stream.hex().substr(0, 16));
    }
    if (!object.empty()) objects_.emplace(entry.object, to_bytes(object));
  }
  void vouched(std::size_t vault, const format::Receipt& receipt) {
    std::uint64_t& head = heads_[vault][receipt.stream];
    head = std::max(head, receipt.index.value() + 1);
    const auto found = entries_.find(receipt.stream);
    const bool is_known = found != entries_.end() && receipt.index.value() < found->second.size();
    if (is_known && found->second[receipt.index.value()].chain != receipt.chain) {
      complain("a receipt names a chain that nobody signed, stream " + receipt.stream.hex().substr(0, 16));
    }
    std::vector<std::uint64_t> heads;
    for (const Heads& each : heads_) heads.push_back(of(each, receipt.stream));
    std::uint64_t& owed = owed_[receipt.stream];
    owed = std::max(owed, policy::reached_by(k_, std::move(heads)).value_or(0));
  }

  // --- damage ---
  bool is_honest(std::size_t vault) const { return !liars_.contains(vault); }
  bool may_spoil(std::size_t vault, const format::ObjectName& object) const {
    return is_honest(vault) && has_copy_beside(vault, object);
  }
  void spoil(std::size_t vault, const format::ObjectName& object) { spoiled_[vault].insert(object); }
  void mended(std::size_t vault, const format::ObjectName& object) { spoiled_[vault].erase(object); }
  const std::set<format::ObjectName>& spoiled(std::size_t vault) const { return spoiled_[vault]; }

  Standing standing(std::size_t vault) const { return {heads_[vault], spoiled_[vault]}; }
  bool may_set_back(std::size_t vault, const Standing& standing) const {
    if (!is_honest(vault)) return false;
    for (const auto& [stream, head] : heads_[vault]) {
      for (std::uint64_t i = of(standing.heads, stream); i < head; ++i) {
        const auto known = entries_.find(stream);
        if (known == entries_.end() || i >= known->second.size()) return false;
        const bool is_needed = i < of(owed_, stream) || is_listed_beside(vault, stream, i);
        if (is_needed && !has_copy_beside(vault, known->second[i].object)) return false;
      }
    }
    // Damage that was repaired since comes back with the image.
    return std::all_of(standing.spoiled.begin(), standing.spoiled.end(), [&](const format::ObjectName& object) {
      return spoiled_[vault].contains(object) || has_copy_beside(vault, object);
    });
  }
  void set_back(std::size_t vault, const Standing& standing) {
    heads_[vault] = standing.heads;
    spoiled_[vault] = standing.spoiled;
  }

  // --- for the judge ---
  const Heads& heads(std::size_t vault) const { return heads_[vault]; }
  const std::vector<Entry>& entries(const format::StreamId& stream) const { return entries_.at(stream); }
  const std::map<format::ObjectName, Bytes>& objects() const { return objects_; }
  std::optional<std::size_t> attempt_of(const format::StreamId& stream) const {
    const auto found = attempt_of_.find(stream);
    return found == attempt_of_.end() ? std::nullopt : std::optional(found->second);
  }
  // Vouched for by this vault, and not spoiled there as far as anybody knows.
  bool holds_good(std::size_t vault, const format::ObjectName& object) const {
    if (spoiled_[vault].contains(object)) return false;
    for (const auto& [stream, head] : heads_[vault]) {
      const auto known = entries_.find(stream);
      if (known == entries_.end()) continue;
      for (std::uint64_t i = 0; i < std::min<std::uint64_t>(head, known->second.size()); ++i) {
        if (known->second[i].object == object) return true;
      }
    }
    return false;
  }
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  static std::uint64_t of(const Heads& heads, const format::StreamId& stream) {
    const auto found = heads.find(stream);
    return found == heads.end() ? 0 : found->second;
  }
  bool has_copy_beside(std::size_t vault, const format::ObjectName& object) const {
    for (std::size_t other = 0; other < heads_.size(); ++other) {
      if (other != vault && is_honest(other) && holds_good(other, object)) return true;
    }
    return false;
  }
  bool is_listed_beside(std::size_t vault, const format::StreamId& stream, std::uint64_t index) const {
    for (std::size_t other = 0; other < heads_.size(); ++other) {
      if (other != vault && is_honest(other) && of(heads_[other], stream) > index) return true;
    }
    return false;
  }
  void complain(std::string what) { complaints_.push_back(std::move(what)); }

  const std::uint32_t k_;
  const std::set<std::size_t> liars_;
  std::size_t attempt_ = 0;
  std::map<format::StreamId, std::size_t> attempt_of_;
  std::map<format::StreamId, std::vector<Entry>> entries_;
  std::map<format::ObjectName, Bytes> objects_;
  std::vector<Heads> heads_;  // by vault, as the next
  std::vector<std::set<format::ObjectName>> spoiled_;
  Heads owed_;
  std::vector<std::string> complaints_;
};

}  // namespace exclave::realm_tests
