// Doors of vaults that keep journals: an honest one writes down which entries a writer signed; a liar's answers with
// whatever the running lie is, about frames that it was sent, marks, open segments and closed ones.
//
//   writer, site, other vaults --HTTP--> Server --> WatchedJournals | LyingJournals --> Vault
//
// A liar holds its own key, so it can sign receipts for what it threw away; it cannot sign for the writer.
// Threads: the holder of the baton.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/journal.h"
#include "format/mark.h"
#include "tests/sim/vault_doors.h"

namespace exclave::realm_tests {

// What writers have signed for, as any vault saw it.
class SeenEntries {
 public:
  void saw(const format::Entry& entry) {
    const auto [known, is_new] = chains_.emplace(std::pair(entry.stream, entry.index.value()), entry.chain);
    if (!is_new && known->second != entry.chain) ++forks_[entry.stream];
  }
  // Entries of this stream that contradict an earlier one.
  std::uint64_t forks_of(const format::StreamId& stream) const {
    const auto found = forks_.find(stream);
    return found == forks_.end() ? 0 : found->second;
  }

 private:
  std::map<std::pair<format::StreamId, std::uint64_t>, format::ChainHash> chains_;
  std::map<format::StreamId, std::uint64_t> forks_;
};

class WatchedJournals : public VaultDoor {
 public:
  WatchedJournals(wire::Handler& inner, SeenEntries& seen) : VaultDoor(inner), seen_(seen) {}

  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    seen_.saw(entry.entry);
    return VaultDoor::put(caller, entry, source);
  }

 private:
  SeenEntries& seen_;
};

enum class JournalLie {
  None,
  KeepsNothing,  // takes frames, marks and entries, throws them away and signs for them
  OtherBytes,    // one bit is wrong in each answer, of open segments and closed ones
  OlderEnd,      // shows the first half of its entries, and half of what is open, without marks
  MoreThanSent,  // says that a segment ends behind what it was sent
  Forgetful,     // says that a segment ends at 0
  Closed,        // says that the segment is closed
  Damaged,       // says that its disk spoiled what is open
  ForeignMarks,  // shows marks that the writer did not sign
};
inline constexpr std::array<std::string_view, 9> kJournalLies = {
    "none",      "keeps nothing", "other bytes", "older end",    "more than was sent",
    "forgetful", "closed",        "damaged",     "foreign marks"};

// What a liar keeps in mind; outlives its machine's restarts.
struct JournalLiarsMind {
  JournalLie lie = JournalLie::None;
  std::array<std::uint64_t, kJournalLies.size()> told{};  // in answers
  std::map<format::SegmentPlace, std::uint64_t> pretended;
};

class LyingJournals final : public WatchedJournals {
 public:
  LyingJournals(wire::Handler& inner, SeenEntries& seen, JournalLiarsMind& mind, crypto::Ed25519SigningKey receipt_key,
                const format::RealmId& realm)
      : WatchedJournals(inner, seen), mind_(mind), receipt_key_(std::move(receipt_key)), realm_(realm) {}

  Result<std::uint64_t> append_frames(const wire::Caller& caller, const format::SegmentPlace& place,
                                      std::uint8_t size_class, std::uint64_t offset, ByteView bytes) override {
    if (tells(JournalLie::KeepsNothing)) {
      std::uint64_t& end = mind_.pretended[place];
      end = std::max(end, offset + bytes.size());
      return std::max<std::uint64_t>(end, offset);
    }
    if (tells(JournalLie::Forgetful)) return Error(Code::Precondition, format::to_string(place) + " ends at 0");
    if (tells(JournalLie::Closed)) return Error(Code::Conflict, format::to_string(place) + " is closed");
    auto end = WatchedJournals::append_frames(caller, place, size_class, offset, bytes);
    if (end.ok() && tells(JournalLie::MoreThanSent)) return end.value() + format::kFrameStep;
    return end;
  }
  Result<format::SignedMarkReceipt> put_mark(const wire::Caller& caller, const format::SignedMark& mark) override {
    if (!tells(JournalLie::KeepsNothing)) return WatchedJournals::put_mark(caller, mark);
    format::MarkReceipt receipt;
    receipt.vault = receipt_key_.public_key();
    receipt.realm = realm_;
    receipt.policy = format::PolicyVersion(1);
    receipt.place = mark.mark.place;
    receipt.end = mark.mark.end;
    receipt.hash = mark.mark.hash;
    receipt.term = format::Term(1);
    receipt.durable_at_seconds = 1;
    return format::SignedMarkReceipt::sign(receipt, receipt_key_);
  }
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override {
    auto receipt = WatchedJournals::put(caller, entry, source);
    if (receipt.ok() || !tells(JournalLie::KeepsNothing)) return receipt;
    return std::optional(receipt_for(entry.entry, receipt_key_, realm_));
  }
  Result<std::vector<store::OpenSegment>> open_segments(const wire::Caller& caller,
                                                        const format::RegistryId& registry) override {
    auto open = TRY(WatchedJournals::open_segments(caller, registry));
    if (tells(JournalLie::Forgetful)) open.clear();
    for (store::OpenSegment& segment : open) {
      const auto pretended = mind_.pretended.find({segment.stream, segment.index});
      if (pretended != mind_.pretended.end() && tells(JournalLie::KeepsNothing)) {
        segment.end = std::max(segment.end, pretended->second);
      }
      if (tells(JournalLie::OlderEnd)) {
        segment.end = segment.end / 2 / format::kFrameStep * format::kFrameStep;
        segment.mark.reset();
      }
      if (tells(JournalLie::Damaged)) segment.is_damaged = true;
      if (segment.mark.has_value() && tells(JournalLie::ForeignMarks)) {
        format::Mark mark = segment.mark->mark;
        mark.frames += 100;
        segment.mark = format::SignedMark::sign(mark, receipt_key_);
      }
    }
    return open;
  }
  Status read_frames(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                     MutableByteView out) override {
    Status read = WatchedJournals::read_frames(caller, place, offset, out);
    if (!read.ok() && tells(JournalLie::KeepsNothing))
      std::fill(out.begin(), out.end(), Byte{0});
    else
      TRY(std::move(read));
    garble(out);
    return {};
  }
  Status read(const wire::Caller& caller, const format::ObjectName& name, std::uint64_t offset,
              MutableByteView out) override {
    TRY(WatchedJournals::read(caller, name, offset, out));
    garble(out);
    return {};
  }
  Result<std::vector<store::HeldEntry>> entries(const wire::Caller& caller, const format::StreamId& stream,
                                                format::EntryIndex from, std::size_t limit) override {
    auto held = TRY(WatchedJournals::entries(caller, stream, from, limit));
    if (!held.empty() && tells(JournalLie::OlderEnd)) held.resize(held.size() / 2);
    return held;
  }

 private:
  bool tells(JournalLie lie) {
    if (mind_.lie != lie) return false;
    ++mind_.told.at(static_cast<std::size_t>(lie));
    return true;
  }
  void garble(MutableByteView out) {
    if (!out.empty() && tells(JournalLie::OtherBytes)) out[out.size() / 3] ^= 0x04;
  }

  JournalLiarsMind& mind_;
  const crypto::Ed25519SigningKey receipt_key_;
  const format::RealmId realm_;
};

}  // namespace exclave::realm_tests
