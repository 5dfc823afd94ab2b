// What holds of a vault whatever its disk and its power do: a writer deposits objects and fills a journal, a site reads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/vault_bench.h"
#include "tests/conformance/weather.h"

namespace exclave::conformance {

class VaultInWeather final : public Tenant {
 public:
  explicit VaultInWeather(VaultKind kind) : kind_(std::move(kind)) {}

  void move_in(sim::Machine& machine) override {
    bench_.emplace(machine.env(), "/srv/vault", kind_.door, kind_.tables);
    const auto writer = bench_->as(realm().writer());
    for (Stream* stream : {&objects(), &journal()}) must(writer->open_stream(stream->signer.stream()));
    bench_->close();
  }

  void work(sim::Machine& machine, Draws& draws) override {
    if (took(bench_->try_restart())) {
      const auto writer = bench_->as(realm().writer());
      const auto site = bench_->as(realm().site());
      std::vector<std::unique_ptr<env::Thread>> threads;
      const auto start = [&](const char* name, const std::function<void()>& step) {
        threads.push_back(must(machine.env().threads.start(name, [step] {
          for (int left = 8; left > 0; --left) step();
        })));
      };
      start("depositor", [&] { deposit(*writer, draws); });
      start("journal", [&] { keep_journal(*writer, draws); });
      start("reader", [&] { look(*site, draws); });
      start("official", [&] { hand_in_a_policy(*site, draws); });
      for (const auto& thread : threads) thread->join();
    }
    bench_->close();
  }

  Status check(sim::Machine& /*machine*/, Death /*death*/) override {
    if (!complaint_.empty()) return Error(Code::Bug, complaint_);
    TRY(bench_->try_restart());
    const auto site = bench_->as(realm().site());
    for (Stream* stream : {&objects(), &journal()}) TRY(check_stream(*site, *stream));
    TRY(check_confirmed_frames(*site));
    if (TRY(site->status()).policy < adopted().policy.version) return Error(Code::Corrupt, "a policy in force is gone");
    if (++lives_ % 2 == 0) TRY(go_on());
    bench_->close();
    return {};
  }

 private:
  struct Deposit {
    format::SignedEntry entry;
    Bytes object;
    bool is_durable = false;
  };
  struct Stream {
    WriterStream signer;
    std::vector<Deposit> deposits = {};           // by index
    std::optional<format::Receipt> receipt = {};  // the newest that came
  };

  const BenchRealm& realm() const { return bench_->realm; }
  // Streams are signed with the bench's keys, so they are made after it.
  Stream& stream_of(std::optional<Stream>& stream, format::StreamKind kind, std::string_view start) {
    if (!stream.has_value())
      stream.emplace(Stream{WriterStream(realm(), realm().writer(), realm().land(), start, kind)});
    return *stream;
  }
  Stream& objects() { return stream_of(objects_, format::StreamKind::Objects, "objects"); }
  Stream& journal() { return stream_of(journal_, format::StreamKind::Journal, "journal"); }

  void add(Stream& stream, Bytes object) {
    stream.deposits.push_back({stream.signer.next(format::name_of(object)), std::move(object)});
  }
  // In order, as a sender does it; with the bytes or, if the vault should have them, without.
  Status put(store::VaultApi& writer, Stream& stream, Deposit& deposit, bool with_bytes) {
    const auto receipt = TRY(writer.put(deposit.entry, with_bytes ? ByteView(deposit.object) : ByteView()));
    deposit.is_durable = true;
    if (!receipt.has_value()) return {};
    if (stream.receipt.has_value() && receipt->receipt.index < stream.receipt->index)
      complaint_ = "a receipt went back";
    stream.receipt = receipt->receipt;
    return {};
  }
  static Deposit* first_missing(Stream& stream) {
    for (Deposit& deposit : stream.deposits) {
      if (!deposit.is_durable) return &deposit;
    }
    return nullptr;
  }

  // Versions that change nothing but when they expire. Made once: officials sign with fresh randomness.
  static const std::vector<policy::SignedPolicy>& policies() {
    static const std::vector<policy::SignedPolicy> all = [] {
      const BenchRealm& realm = BenchRealm::shared();
      std::vector<policy::SignedPolicy> chain = {realm.first};
      while (chain.size() < 30)
        chain.push_back(realm.successor(chain.back(), [](policy::Policy& next) { next.expires_seconds += 1; }));
      return chain;
    }();
    return all;
  }
  const policy::SignedPolicy& adopted() const { return policies()[adopted_]; }
  void hand_in_a_policy(store::VaultApi& site, Draws& draws) {
    if (!draws.percent(15) || adopted_ + 1 == policies().size()) return;
    if (took(site.put_act(as_bytes(policies()[adopted_ + 1].document)))) ++adopted_;
  }

  void deposit(store::VaultApi& writer, Draws& draws) {
    Deposit* next = first_missing(objects());
    if (next == nullptr) {
      add(objects(), sealed_object({.registry = realm().land(), .fill = objects().deposits.size()}));
      next = &objects().deposits.back();
    }
    if (draws.percent(20)) {
      const auto held = writer.has(next->entry.entry.object);
      if (!took(held) || !held.value()) return;
      took(put(writer, objects(), *next, false));
    } else {
      took(put(writer, objects(), *next, true));
    }
  }

  void keep_journal(store::VaultApi& writer, Draws& draws) {
    if (Deposit* const closing = first_missing(journal()); closing != nullptr) {
      // NotFound: what the vault has is not this object, because it took no more frames.
      Status closed = put(writer, journal(), *closing, false);
      if (!closed.ok() && closed.error().code() == Code::NotFound) closed = put(writer, journal(), *closing, true);
      took(closed);
      return;
    }
    if (!segment_.has_value()) {
      segment_.emplace(SegmentMaker::Looks{.registry = realm().land(),
                                           .stream = journal().signer.id(),
                                           .index = journal().deposits.size(),
                                           .first_number = frames_,
                                           .label = "segment " + std::to_string(journal().deposits.size())});
      confirmed_ = 0;
      confirmed_in_ = journal().deposits.size();
    }
    switch (draws.below(6)) {
      case 0:
        frames_ = segment_->next_number();
        add(journal(), segment_->whole());
        segment_.reset();
        return;
      case 1:
        if (confirmed_ == segment_->end())
          took(writer.put_mark(format::SignedMark::sign(segment_->mark(), realm().writer())));
        return;
      default:
        if (confirmed_ == segment_->end()) segment_->add(1 + draws.below(9'000));
        append(writer);
    }
  }
  void append(store::VaultApi& writer) {
    const auto end = segment_->send(writer, confirmed_);
    // Precondition: a write failed, and this segment takes no more frames; it is closed with the whole object later.
    if (!took(end)) return;
    if (end.value() != segment_->end()) complaint_ = "frames up to " + std::to_string(end.value()) + " were confirmed";
    confirmed_ = end.value();
  }

  void look(store::VaultApi& site, Draws& draws) {
    Stream& stream = draws.percent(50) ? objects() : journal();
    if (draws.percent(30)) {
      const std::uint64_t promised = confirmed_;
      if (!segment_.has_value() || promised == 0) return;
      const std::uint64_t index = journal().deposits.size();
      Bytes frames(promised);
      if (!took(site.read_frames(journal().signer.id(), format::EntryIndex(index), 0, frames))) return;
      if (segment_.has_value() && index == journal().deposits.size() &&
          !equal(frames, segment_->from(0).first(promised)))
        complaint_ = "frames were read as others";
      return;
    }
    if (stream.deposits.empty()) return;
    const std::size_t at = draws.below(stream.deposits.size());
    if (!stream.deposits[at].is_durable) return;
    const Bytes expected = stream.deposits[at].object;
    const auto read = store::read_object(site, format::name_of(expected), expected.size());
    if (!read.ok() && read.error().code() == Code::NotFound) complaint_ = "a durable object was not found";
    if (took(read) && read.value() != expected) complaint_ = "an object was read as another";
  }

  Status check_stream(store::VaultApi& site, const Stream& stream) {
    const format::StreamId id = stream.signer.id();
    bool is_shown = false;
    for (const store::StreamHead& head : TRY(site.heads(realm().land()))) {
      if (head.stream.descriptor.id() != id) continue;
      is_shown = true;
      TRY(check_head(head, stream));
    }
    if (!is_shown) return Error(Code::Corrupt, "a stream that was opened is gone");
    std::vector<bool> is_held(stream.deposits.size());
    for (const store::HeldEntry& held : TRY(site.entries(id, {}, store::kMaxEntriesPerCall))) {
      const std::uint64_t index = held.entry.entry.index.value();
      if (index >= stream.deposits.size() || stream.deposits[index].entry.document() != held.entry.document())
        return Error(Code::Corrupt, "an entry that nobody signed");
      const Bytes& object = stream.deposits[index].object;
      if (held.object_bytes != object.size() ||
          TRY(store::read_object(site, held.entry.entry.object, object.size())) != object)
        return Error(Code::Corrupt, "entry " + std::to_string(index) + " has other bytes");
      is_held[index] = true;
    }
    for (std::size_t index = 0; index < is_held.size(); ++index) {
      if (stream.deposits[index].is_durable && !is_held[index])
        return Error(Code::Corrupt, "durable entry " + std::to_string(index) + " is gone");
    }
    return {};
  }
  static Status check_head(const store::StreamHead& head, const Stream& stream) {
    if (!stream.receipt.has_value()) return {};
    if (!head.receipt.has_value()) return Error(Code::Corrupt, "a receipt was given, and there is no head");
    const format::Receipt& receipt = head.receipt->receipt;
    if (receipt.index < stream.receipt->index) return Error(Code::Corrupt, "a head went back");
    if (receipt.chain != stream.deposits.at(receipt.index.value()).entry.entry.chain)
      return Error(Code::Corrupt, "a head names another chain");
    return {};
  }

  // Of the open segment, or of one whose closing was begun. It may be said to be damaged, for a disk that did not give it twice.
  Status check_confirmed_frames(store::VaultApi& site) {
    if (confirmed_ == 0) return {};
    const bool is_closing = confirmed_in_ < journal().deposits.size();
    const Bytes& whole = is_closing ? journal().deposits[confirmed_in_].object : segment_->whole();
    for (const store::OpenSegment& open : TRY(site.open_segments(realm().land()))) {
      if (open.index.value() != confirmed_in_) continue;
      if (open.end < confirmed_)
        return Error(Code::Corrupt,
                     "a segment ends at " + std::to_string(open.end) + ", not at " + std::to_string(confirmed_));
      Bytes frames(open.end);
      TRY(site.read_frames(open.stream, open.index, 0, frames));
      if (!equal(frames, ByteView(whole).first(open.end))) return Error(Code::Corrupt, "frames are others");
      return {};
    }
    // check_stream has seen its bytes.
    if (!TRY(site.entries(journal().signer.id(), format::EntryIndex(confirmed_in_), 1)).empty()) return {};
    return Error(Code::Corrupt, "a segment with confirmed frames is gone");
  }

  // On a sound machine all that was left takes its place.
  Status go_on() {
    const auto writer = bench_->as(realm().writer());
    for (Stream* stream : {&objects(), &journal()}) {
      while (Deposit* const missing = first_missing(*stream)) TRY(put(*writer, *stream, *missing, true));
    }
    if (segment_.has_value() && segment_->end() > confirmed_) confirmed_ = TRY(segment_->send(*writer, confirmed_));
    return {};
  }

  const VaultKind kind_;
  std::optional<VaultBench> bench_;
  std::optional<Stream> objects_;
  std::optional<Stream> journal_;
  std::optional<SegmentMaker> segment_;  // the journal's open one
  std::uint64_t confirmed_ = 0;          // bytes that the vault has confirmed of the newest one
  std::uint64_t confirmed_in_ = 0;       // which one that is
  std::uint64_t frames_ = 0;             // in earlier segments
  std::size_t adopted_ = 0;              // the newest policy that the vault has said it keeps
  int lives_ = 0;
  std::string complaint_;
};

}  // namespace exclave::conformance
