// What holds of packs, the index of what is known, and the way back, whatever the disk does below them: chunks go through
// PackWriter into a store on a failing disk, beside an index there, and come back through ObjectOpener and ChunkSource.
#include <gtest/gtest.h>

#include <set>

#include "repo/chunk_source.h"
#include "repo/dedup_index.h"
#include "repo/pack_writer.h"
#include "store/directory_store.h"
#include "table/log_table.h"
#include "tests/conformance/weather.h"

namespace exclave::repo {
namespace {

using conformance::Death;
using conformance::Draws;
using conformance::must;

// One vault without a network: what its store has published is durable, in order, up to the first refusal.
class StoreSink final : public store::StreamSink {
 public:
  explicit StoreSink(store::ObjectStore& store) : store_(store) {}
  Result<format::EntryIndex> push(store::SealedObject object,
                                  std::optional<format::PeriodNumber> /*snapshot*/) override {
    if (refused_.ok()) {
      const auto put = store::put_object(store_, object.name, object.view());
      if (put.ok())
        ++durable_;
      else
        refused_ = put.error();
    }
    return format::EntryIndex(pushed_++);
  }
  std::uint64_t durable_count() override { return durable_; }
  Status wait_durable(std::uint64_t count) override { return count <= durable_ ? Status() : refused_; }

 private:
  store::ObjectStore& store_;
  Status refused_;
  std::uint64_t pushed_ = 0;
  std::uint64_t durable_ = 0;
};

class ChunksInWeather final : public conformance::Tenant {
 public:
  void move_in(sim::Machine& machine) override {
    env::FileSystem& files = machine.env().files;
    must(files.make_directories("/state/table", 0700));
    must(store::create_directory_store(files, "/srv/objects"));
  }

  void work(sim::Machine& machine, Draws& draws) override {
    if (auto home = Home::open(machine); took(home)) capture(machine, *home.value(), draws);
    if (auto abroad = Abroad::open(machine); took(abroad)) read_some(*abroad.value(), draws);
  }

  Status check(sim::Machine& machine, Death /*death*/) override {
    if (!complaint_.empty()) return Error(Code::Bug, complaint_);
    const auto home = TRY(Home::open(machine));
    const auto abroad = TRY(Abroad::open(machine));
    for (std::uint64_t number = 0; number < next_; ++number) {
      const bool is_known = TRY(home->index.find(id_of(number))).has_value();
      if (!is_known && promised_.contains(number)) return lost(number, "was forgotten");
      if (is_known && !TRY(abroad->has(number))) return lost(number, "is known and not held");
    }
    for (const PackRecord& pack : TRY(home->index.unindexed_packs())) TRY(home->store->size_of(pack.name));
    return {};
  }

 private:
  static constexpr format::PeriodNumber kPeriod{2};
  static crypto::Secret<32> dedup_key() { return crypto::Secret<32>::from_view(Bytes(32, 7)); }
  static format::OpeningKey opening_key() {
    return format::derive_opening_key({{}, format::EraNumber(1), kPeriod}, crypto::Secret<32>::from_view(Bytes(32, 3)));
  }
  static Result<std::unique_ptr<store::ObjectStore>> open_store(sim::Machine& machine) {
    return store::open_directory_store(machine.env().files, "/srv/objects", {.reserve_bytes = 1 << 16});
  }

  // What a capture works with.
  struct Home {
    std::unique_ptr<table::Table> table;
    DedupIndex index;
    std::unique_ptr<store::ObjectStore> store;

    static Result<std::unique_ptr<Home>> open(sim::Machine& machine) {
      auto table = TRY(table::open_log_table(machine.env().files, machine.env().threads, "/state/table"));
      auto index = TRY(DedupIndex::open(*table));
      auto store = TRY(open_store(machine));
      return std::unique_ptr<Home>(new Home{std::move(table), std::move(index), std::move(store)});
    }
  };

  // What a restore works with, home's index being lost: packs tell by themselves what they hold.
  struct Abroad {
    explicit Abroad(std::unique_ptr<store::ObjectStore> opened) : store(std::move(opened)) {}
    std::unique_ptr<store::ObjectStore> store;
    ObjectOpener opener{{}, keys(), *store};
    ChunkSource source{opener};
    ChunkDecoder decoder{dedup_key()};

    static std::vector<format::OpeningKey> keys() {
      std::vector<format::OpeningKey> keys;
      keys.push_back(opening_key());
      return keys;
    }
    static Result<std::unique_ptr<Abroad>> open(sim::Machine& machine) {
      auto abroad = std::make_unique<Abroad>(TRY(open_store(machine)));
      TRY(abroad->store->list([&](const format::ObjectName& name) -> Status {
        return abroad->source.add_pack(name, TRY(abroad->store->size_of(name)));
      }));
      abroad->source.finish_loading();
      return abroad;
    }
    // An error if the bytes do not come; false if they are other bytes.
    Result<bool> has(std::uint64_t number) {
      return equal(TRY(source.read(id_of(number), decoder)), content_of(number));
    }
  };

  static Bytes content_of(std::uint64_t number) {
    Bytes bytes(1 + number * number * 977 % 150'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<Byte>(number * 31 + i * 7 + i / 253);
    store_u64(bytes.size() >= 8 ? MutableByteView(bytes) : MutableByteView(bytes = Bytes(8)), number);
    return bytes;
  }
  static format::ChunkId id_of(std::uint64_t number) {
    return format::ChunkIdentifier(dedup_key()).of_bytes(format::ChunkKind::Content, content_of(number));
  }

  void capture(sim::Machine& machine, Home& home, Draws& draws) {
    const format::SealingKey key = format::sealing_half(opening_key());
    StoreSink sink(*home.store);
    PackWriter packs(
        machine.env().threads, machine.env().clock, Sealer({}, machine.env().random),
        [&]() -> Result<const format::SealingKey*> { return &key; }, sink, home.index, [](const PackRecord&) {});
    std::set<std::uint64_t> added;
    for (std::uint64_t left = 1 + draws.below(12); left > 0; --left) {
      const std::uint64_t number = draws.percent(70) ? next_++ : draws.below(next_ + 1);
      next_ = std::max(next_, number + 1);
      const auto known = home.index.find(id_of(number));
      if (!took(known)) return;
      if (known.value().has_value() || !added.insert(number).second) continue;
      const Bytes content = content_of(number);
      if (!took(packs.add({id_of(number), format::ChunkKind::Content, format::ChunkCodec::Raw,
                           static_cast<std::uint32_t>(content.size()), content}))) {
        return;
      }
    }
    if (!took(packs.finish())) return;
    SnapshotSummary summary;
    summary.dataset = "files";
    summary.number = ++snapshots_;
    if (!took(home.index.finish_snapshot(summary, {}))) return;
    promised_.insert(added.begin(), added.end());
  }

  void read_some(Abroad& abroad, Draws& draws) {
    for (int left = 0; left < 8 && !promised_.empty(); ++left) {
      const auto number = *std::next(promised_.begin(), static_cast<std::ptrdiff_t>(draws.below(promised_.size())));
      const auto is_right = abroad.has(number);
      if (took(is_right) && !is_right.value()) complaint_ = "chunk " + std::to_string(number) + " was read as another";
    }
  }

  static Error lost(std::uint64_t number, const std::string& how) {
    return Error(Code::Corrupt, "chunk " + std::to_string(number) + " " + how);
  }

  std::uint64_t next_ = 0;
  std::uint64_t snapshots_ = 0;
  std::set<std::uint64_t> promised_;  // in a snapshot that was finished
  std::string complaint_;
};

TEST(PacksInWeather, H7_what_the_index_knows_is_held_and_opens_whatever_the_disk_does) {
  conformance::expect_sound([] { return std::make_unique<ChunksInWeather>(); },
                            {.seeds = 60, .lives = 6, .many_calls = 700, .room = 2'000'000});
}

}  // namespace
}  // namespace exclave::repo
