// A journal from end to end on one machine: a writer with its spool, three vaults, and a site that reads.
// Hides: keys, directories, and doors to vaults that can be shut, slowed down or made to lie.
// Threads: one test; a door's switches are atomic, its hooks are set before use.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/journal_reader.h"
#include "spread/journal_writer.h"
#include "tests/realm/realm.h"

namespace exclave::journal_tests {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using realm_tests::RealmKeys;
using realm_tests::VaultHost;

inline const RealmKeys& keys() {
  static const RealmKeys kKeys(sim::Options{}.start.seconds());
  return kKeys;
}

// Content that tells its frame.
inline Bytes content_of(std::uint64_t frame, std::size_t bytes) {
  Bytes content(bytes);
  for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<Byte>(frame * 131 + i * 7 + i / 251);
  if (bytes >= 8) store_u64(content, frame);
  return content;
}

// A vault as a writer sees it, through a door that a test can shut.
class Door final : public store::VaultApi {
 public:
  // `clock`: of answers_after.
  explicit Door(std::unique_ptr<store::VaultApi> inner, env::Clock* clock = nullptr)
      : inner_(std::move(inner)), clock_(clock) {}

  std::atomic<bool> is_shut{false};
  mutable std::atomic<std::uint64_t> refusals{0};  // while it was shut
  std::atomic<std::uint64_t> appends{0};
  std::atomic<std::uint64_t> direct_appends{0};
  std::atomic<std::uint64_t> overlaps{0};  // calls of a writer while frames were in flight directly
  // Of frames that are sent directly: null: none may be. How long the answer to one takes.
  std::function<std::chrono::nanoseconds()> answers_after;
  // Of the next answer to such frames.
  std::function<Result<std::uint64_t>(Result<std::uint64_t>)> retells_direct;
  // Of such frames: they get lost on the way. Nobody answers, and it ends as a connection does that was cut.
  std::function<bool()> loses_direct;
  std::atomic<env::Waker*> wakes{nullptr};  // who is to be woken by an answer to them
  // How long after its beginning an answer is whole.
  std::chrono::nanoseconds answer_takes{};
  std::atomic<std::uint64_t> marks{0};
  std::atomic<bool> refuses_marks{false};
  std::atomic<bool> fails_frames{false};
  std::atomic<std::uint64_t> whole_puts{0};
  std::atomic<std::uint64_t> empty_puts{0};
  std::function<Result<std::uint64_t>(Result<std::uint64_t>)> retells_end;
  std::function<void(format::SignedReceipt&)> retells_receipt;
  std::function<void(std::vector<store::OpenSegment>&)> retells_segments;
  std::function<void(std::vector<store::StreamHead>&)> retells_heads;
  std::function<Status(const format::ObjectName&)> before_read;
  std::function<void(MutableByteView)> retells_read;
  std::function<void(MutableByteView)> retells_frames;
  std::function<bool(const format::SegmentPlace&, MutableByteView)> gives_frames;  // instead of the vault

  void replace(std::unique_ptr<store::VaultApi> inner) { inner_ = std::move(inner); }

  const std::string& name() const override { return inner_->name(); }
  Result<store::VaultStatus> status() override { return inner_->status(); }
  Status open_stream(const format::SignedStream& stream) override {
    TRY(check());
    const Call call(*this);
    return inner_->open_stream(stream);
  }
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) override {
    TRY(check());
    const Call call(*this);
    auto receipt = TRY(inner_->put(entry, object));
    ++(object.empty() ? empty_puts : whole_puts);
    if (receipt.has_value() && retells_receipt) retells_receipt(*receipt);
    return receipt;
  }
  Result<bool> has(const format::ObjectName& object) override { return inner_->has(object); }
  Result<store::QuotaUse> quota(const format::RegistryId& registry) override { return inner_->quota(registry); }
  Result<std::uint64_t> append_frames(const format::StreamId& stream, format::EntryIndex index, std::uint8_t size_class,
                                      std::uint64_t offset, ByteView bytes) override {
    TRY(check());
    const Call call(*this);
    auto end = inner_->append_frames(stream, index, size_class, offset, bytes);
    ++appends;
    return retells_end ? retells_end(std::move(end)) : std::move(end);
  }
  std::unique_ptr<store::PendingAppend> begin_append(const format::StreamId& stream, format::EntryIndex index,
                                                     std::uint8_t size_class, std::uint64_t offset, ByteView bytes,
                                                     env::Waker* waker) override {
    wakes = waker;
    if (!answers_after || is_shut) return nullptr;
    Call call(*this);
    ++direct_appends;
    if (loses_direct && loses_direct()) {
      return std::make_unique<Late>(std::move(call), Error(Code::OutcomeUnknown, "vault " + name() + ": cut"),
                                    clock_->monotonic() + answers_after());
    }
    auto end = inner_->append_frames(stream, index, size_class, offset, bytes);
    if (retells_direct) end = retells_direct(std::move(end));
    return std::make_unique<Late>(std::move(call), std::move(end), clock_->monotonic() + answers_after());
  }
  Result<format::SignedMarkReceipt> put_mark(const format::SignedMark& mark) override {
    TRY(check());
    const Call call(*this);
    if (refuses_marks) return Error(Code::Unavailable, "vault " + name() + " signs nothing");
    ++marks;
    return inner_->put_mark(mark);
  }
  Result<std::vector<store::OpenSegment>> open_segments(const format::RegistryId& registry) override {
    TRY(check());
    const Call call(*this);
    auto open = TRY(inner_->open_segments(registry));
    if (retells_segments) retells_segments(open);
    return open;
  }
  Status read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                     MutableByteView out) override {
    TRY(check());
    if (fails_frames) return Error(Code::Unavailable, "vault " + name() + " went away");
    if (gives_frames && gives_frames({stream, index}, out)) return {};
    TRY(inner_->read_frames(stream, index, offset, out));
    if (retells_frames) retells_frames(out);
    return {};
  }
  Status announce_reading(const format::SignedReading& reading) override { return inner_->announce_reading(reading); }
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId& registry) override {
    TRY(check());
    auto heads = TRY(inner_->heads(registry));
    if (retells_heads) retells_heads(heads);
    return heads;
  }
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                std::size_t limit) override {
    TRY(check());
    return inner_->entries(stream, from, limit);
  }
  Result<std::vector<store::Act>> acts() override { return inner_->acts(); }
  Result<Bytes> act(const crypto::Hash256& hash) override { return inner_->act(hash); }
  Status put_act(ByteView document) override { return inner_->put_act(document); }
  Result<std::uint64_t> size_of(const format::ObjectName& object) override {
    TRY(check());
    return inner_->size_of(object);
  }
  Status read(const format::ObjectName& object, std::uint64_t offset, MutableByteView out) override {
    TRY(check());
    if (before_read) TRY(before_read(object));
    TRY(inner_->read(object, offset, out));
    if (retells_read) retells_read(out);
    return {};
  }

 private:
  // A writer's call, until its answer was heard: a vault has one of them at a time.
  class Call {
   public:
    explicit Call(Door& door) : door_(&door) {
      if (door.in_flight_++ > 0) ++door.overlaps;
    }
    Call(Call&& other) noexcept : door_(std::exchange(other.door_, nullptr)) {}
    Call& operator=(Call&&) = delete;
    ~Call() {
      if (door_ != nullptr) --door_->in_flight_;
    }
    Door& door() const { return *door_; }

   private:
    Door* door_;
  };

  // What the vault has said already, and who sent the frames has not heard yet.
  class Late final : public store::PendingAppend {
   public:
    Late(Call call, Result<std::uint64_t> end, env::Instant at)
        : call_(std::move(call)), end_(std::move(end)), at_(at) {}
    Heard listen() override {
      const env::Instant now = clock().monotonic();
      if (now >= whole()) return Heard::Whole;
      return now >= at_ ? Heard::Part : Heard::Nothing;
    }
    Result<std::uint64_t> finish(env::Instant deadline) override {
      TRY(clock().sleep_until(std::min(deadline, whole())));
      if (listen() != Heard::Whole) return Error(Code::OutcomeUnknown, "vault " + call_.door().name() + " is late");
      return end_;
    }

   private:
    env::Clock& clock() const { return *call_.door().clock_; }
    env::Instant whole() const { return at_ + call_.door().answer_takes; }
    const Call call_;
    const Result<std::uint64_t> end_;
    const env::Instant at_;
  };

  Status check() const {
    if (is_shut) {
      ++refusals;
      return Error(Code::Unavailable, "vault " + name() + " was shut off");
    }
    return {};
  }
  std::unique_ptr<store::VaultApi> inner_;
  env::Clock* const clock_;
  std::atomic<int> in_flight_{0};
};

class JournalBench {
 public:
  explicit JournalBench(env::Env env, std::string root = "") : env_(env), root_(std::move(root)) {
    for (std::size_t i = 0; i < kVaults; ++i) {
      hosts_.push_back(std::make_unique<VaultHost>(env_, root_ + "/vault-" + std::to_string(i), keys(), i));
    }
    open_doors();
  }

  static constexpr std::size_t kVaults = 3;
  static constexpr std::uint32_t kCopies = 2;

  VaultHost& host(std::size_t i) { return *hosts_.at(i); }
  Door& door(std::size_t i) { return *doors_.at(i); }
  // Frames may be sent to all vaults directly, and are answered so late.
  void answer_after(std::chrono::nanoseconds time) {
    for (const auto& door : doors_) door->answers_after = [time] { return time; };
  }
  env::Env env() { return env_; }
  std::string spool() const { return root_ + "/spool"; }
  env::Instant in(std::chrono::nanoseconds time) const { return env_.clock.monotonic() + time; }

  spread::JournalWriter::World world() const { return {env_.clock, env_.random, env_.files, env_.threads}; }
  std::vector<store::VaultApi*> vaults() const {
    std::vector<store::VaultApi*> all;
    for (const auto& each : doors_) all.push_back(each.get());
    return all;
  }
  spread::JournalOptions options() const {
    spread::JournalOptions options;
    options.durable_copies = kCopies;
    options.spool_directory = spool();
    return options;
  }
  static format::SignedStream stream_named(std::string_view start) {
    return format::SignedStream::sign(
        {keys().policy().realm, keys().writer().public_key(), keys().registry().id, format::EraNumber(1),
         format::StreamKind::Journal, policy::testing::seeded_id<format::StreamStart>(start)},
        keys().writer());
  }
  std::unique_ptr<spread::JournalWriter> open_writer(std::string_view start = "first") {
    return open_writer(start, options());
  }
  std::unique_ptr<spread::JournalWriter> open_writer(std::string_view start, const spread::JournalOptions& options) {
    return must(spread::JournalWriter::open(
        world(), vaults(), stream_named(start), keys().writer(),
        [this]() -> Result<const format::SealingKey*> { return &agent_.periods.at(period); }, options));
  }
  // Reads everything; what the frames hold goes to `frames`.
  Result<engine::JournalEnd> read(std::string_view start, std::vector<Bytes>& frames,
                                  const std::vector<std::size_t>& from = {0, 1, 2},
                                  const engine::JournalReader::Locator& locate = {}) {
    std::vector<std::unique_ptr<store::VaultApi>> sites;
    std::vector<store::VaultApi*> asked;
    for (const std::size_t i : from) {
      auto site = std::make_unique<Door>(hosts_.at(i)->door(keys().site()));
      if (shows_site.contains(i)) site->retells_segments = shows_site.at(i);
      site->fails_frames = dies_before_frames.contains(i);
      if (retells_read.contains(i)) site->retells_read = retells_read.at(i);
      if (retells_frames.contains(i)) site->retells_frames = retells_frames.at(i);
      if (gives_frames.contains(i)) site->gives_frames = gives_frames.at(i);
      if (before_read)
        site->before_read = [this, i](const format::ObjectName& object) { return before_read(i, object); };
      asked.push_back(site.get());
      sites.push_back(std::move(site));
    }
    std::vector<format::OpeningKey> released = keys().opening_keys();
    std::erase_if(released, [&](const format::OpeningKey& key) {
      return key.id.period.value() < oldest_released || key.id.period.value() > latest_released;
    });
    engine::JournalReader reader({env_.clock, env_.threads, {kCopies, 2, may_lie}, kVaults}, keys().policy().realm,
                                 stream_named(start), asked, std::move(released));
    const auto take = [&](const engine::JournalFrame& frame) -> Status {
      if (!locate && frame.number.value() != frames.size()) return Error(Code::Bug, "frames out of order");
      frames.push_back(to_bytes(frame.content));
      return {};
    };
    return reader.read(take, locate);
  }
  // The names of the stream's objects at a vault, in order.
  std::vector<format::ObjectName> objects_at(std::size_t i, std::string_view start) {
    const auto site = hosts_.at(i)->door(keys().site());
    std::vector<format::ObjectName> names;
    const auto entries =
        site->entries(stream_named(start).descriptor.id(), format::EntryIndex(0), store::kMaxEntriesPerCall);
    if (!entries.ok()) return names;
    for (const auto& held : entries.value()) names.push_back(held.entry.entry.object);
    return names;
  }
  // Before the machine goes: a vault's handles end with it.
  void close_vaults() {
    for (const auto& host : hosts_) host->close();
  }
  Status reopen_vaults() {
    for (const auto& host : hosts_) {
      if (!host->is_open()) TRY(host->try_open());
    }
    open_doors();
    return {};
  }

  std::size_t period = 3;
  // What a vault shows to who reads, if it lies.
  std::map<std::size_t, std::function<void(std::vector<store::OpenSegment>&)>> shows_site;
  std::map<std::size_t, std::function<void(MutableByteView)>> retells_read;
  std::map<std::size_t, std::function<void(MutableByteView)>> retells_frames;  // of open segments
  std::map<std::size_t, std::function<bool(const format::SegmentPlace&, MutableByteView)>> gives_frames;
  std::set<std::size_t> dies_before_frames;  // vaults that show open segments and then give none
  std::uint64_t oldest_released = 0;         // period
  std::uint64_t latest_released = std::numeric_limits<std::uint64_t>::max();
  std::uint32_t may_lie = 0;  // vaults
  // Called when a closed segment is read from that vault.
  std::function<Status(std::size_t, const format::ObjectName&)> before_read;

 private:
  void open_doors() {
    doors_.resize(kVaults);
    for (std::size_t i = 0; i < kVaults; ++i) {
      auto inner = hosts_[i]->door(keys().writer());
      if (doors_[i] == nullptr)
        doors_[i] = std::make_unique<Door>(std::move(inner), &env_.clock);
      else
        doors_[i]->replace(std::move(inner));
    }
  }

  env::Env env_;
  const std::string root_;
  custody::AgentKeys agent_ = keys().agent_keys();
  std::vector<std::unique_ptr<VaultHost>> hosts_;
  std::vector<std::unique_ptr<Door>> doors_;
};

}  // namespace exclave::journal_tests
