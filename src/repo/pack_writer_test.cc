#include "repo/pack_writer.h"

#include <gtest/gtest.h>

#include <map>

#include "sim/universe.h"
#include "table/log_table.h"

namespace exclave::repo {
namespace {

// Keeps every object; entries are durable as far as the test says.
class KeepingSink final : public store::StreamSink {
 public:
  Result<format::EntryIndex> push(store::SealedObject object, std::optional<format::PeriodNumber> snapshot) override {
    objects.push_back(to_bytes(object.view()));
    names.push_back(object.name);
    snapshots.push_back(snapshot);
    return format::EntryIndex(objects.size() - 1);
  }
  std::uint64_t durable_count() override { return std::min<std::uint64_t>(objects.size(), durable_limit); }
  Status wait_durable(std::uint64_t count) override {
    if (count > durable_limit) return Error(Code::Unavailable, "the vaults are away");
    return {};
  }

  std::vector<Bytes> objects;
  std::vector<format::ObjectName> names;
  std::vector<std::optional<format::PeriodNumber>> snapshots;
  std::uint64_t durable_limit = ~0ULL;
};

class PackWriterTest : public ::testing::Test {
 protected:
  PackWriterTest() {
    CHECK(env_.files.make_directories("/table", 0700).ok());
    table_ = table::open_log_table(env_.files, env_.threads, "/table").take();
    index_.emplace(DedupIndex::open(*table_).take());
    const format::KeyId id{{}, format::EraNumber(1), format::PeriodNumber(2)};
    opening_ = format::derive_opening_key(id, crypto::Secret<32>::from_view(Bytes(32, 3)));
    sealing_ = format::sealing_half(opening_);
  }
  std::unique_ptr<PackWriter> writer() {
    return std::make_unique<PackWriter>(
        env_.threads, env_.clock, Sealer({}, env_.random),
        [this]() -> Result<const format::SealingKey*> { return &sealing_; }, sink_, *index_,
        [this](const PackRecord& pack) { known_.push_back(pack.name); });
  }
  static format::ChunkId id_of(std::uint64_t number) {
    format::ChunkId id;
    store_u64(id.mutable_view(), number + 1);
    return id;
  }
  static Bytes content_of(std::uint64_t number, std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<Byte>(number * 31 + i * 7 + i / 253);
    return bytes;
  }
  void add(PackWriter& writer, const std::vector<std::size_t>& sizes) {
    for (const std::size_t size : sizes) {
      const std::uint64_t number = added_.size();
      const Bytes content = content_of(number, size);
      added_.push_back(size);
      ASSERT_TRUE(writer
                      .add({id_of(number), format::ChunkKind::Content, format::ChunkCodec::Raw,
                            static_cast<std::uint32_t>(size), content})
                      .ok());
    }
  }
  // Every chunk that was added stands in exactly one pack, with its bytes, and the index says so.
  void expect_all_chunks_in_packs() {
    std::map<format::ChunkId, int> seen;
    for (const Bytes& object : sink_.objects) {
      const auto plain = format::open_object(opening_, {}, object);
      ASSERT_TRUE(plain.ok()) << plain.error().message();
      const auto directory = format::read_pack_directory(plain.value());
      ASSERT_TRUE(directory.ok()) << directory.error().message();
      for (const format::ChunkEntry& entry : directory.value()) {
        ++seen[entry.id];
        const std::uint64_t number = load_u64(entry.id.view()) - 1;
        ASSERT_LT(number, added_.size());
        EXPECT_TRUE(equal(ByteView(plain.value()).subspan(entry.offset, entry.stored_bytes),
                          content_of(number, added_[number])));
      }
    }
    EXPECT_EQ(seen.size(), added_.size());
    for (std::uint64_t i = 0; i < added_.size(); ++i) {
      EXPECT_EQ(seen[id_of(i)], 1) << "chunk " << i;
      EXPECT_EQ(index_->find(id_of(i)).take(), format::PeriodNumber(2)) << "chunk " << i;
    }
    EXPECT_EQ(known_, sink_.names);
  }
  std::vector<unsigned> classes() const {
    std::vector<unsigned> all;
    for (const Bytes& object : sink_.objects) {
      all.push_back(static_cast<unsigned>(std::bit_width(object.size()) - 1));
    }
    return all;
  }

  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("home").env();
  std::unique_ptr<table::Table> table_;
  std::optional<DedupIndex> index_;
  format::OpeningKey opening_;
  format::SealingKey sealing_;
  KeepingSink sink_;
  std::vector<format::ObjectName> known_;
  std::vector<std::size_t> added_;
};

TEST_F(PackWriterTest, a_chunk_that_just_fits_a_class_takes_it_and_one_byte_more_does_not) {
  constexpr std::size_t kOverhead = format::kDirectoryEntryBytes + format::kFooterBytes;
  for (const std::uint8_t size_class : {std::uint8_t{18}, std::uint8_t{20}, std::uint8_t{22}}) {
    const std::size_t fits =
        std::min<std::size_t>(format::plain_capacity(size_class) - kOverhead, format::kMaxChunkPlainBytes);
    const auto exact = writer();
    add(*exact, {fits});
    ASSERT_TRUE(exact->finish().ok());
    EXPECT_EQ(classes().back(), size_class);
    const auto beyond = writer();
    add(*beyond, {fits + 1});
    ASSERT_TRUE(beyond->finish().ok());
    EXPECT_EQ(classes().back(), size_class + 2U);
  }
  expect_all_chunks_in_packs();
}

TEST_F(PackWriterTest, what_has_to_be_written_down_before_chunks_are_known_is_written_down_before) {
  std::vector<std::uint64_t> told;
  bool fails = true;
  PackWriter packs(
      env_.threads, env_.clock, Sealer({}, env_.random),
      [this]() -> Result<const format::SealingKey*> { return &sealing_; }, sink_, *index_, {},
      [&](std::uint64_t durable) -> Status {
        EXPECT_FALSE(index_->find(id_of(0)).take().has_value());
        if (fails) return Error(Code::Exhausted, "no room");
        told.push_back(durable);
        return {};
      });
  add(packs, {1000});
  EXPECT_EQ(packs.finish().error().code(), Code::Exhausted);
  EXPECT_FALSE(index_->find(id_of(0)).take().has_value());
  fails = false;
  ASSERT_TRUE(packs.settle().ok());
  EXPECT_TRUE(index_->find(id_of(0)).take().has_value());
  EXPECT_EQ(told, std::vector<std::uint64_t>{1});
}

TEST_F(PackWriterTest, whatever_the_sizes_no_chunk_is_lost) {
  std::uint64_t state = 1;
  for (int round = 0; round < 12; ++round) {
    const auto packs = writer();
    std::vector<std::size_t> sizes;
    std::size_t total = 0;
    const std::size_t wanted = std::size_t{1} << (12 + round);
    while (total < wanted) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      sizes.push_back(1 + (state >> 33) % std::min<std::size_t>(wanted, 3'000'000));
      total += sizes.back();
    }
    add(*packs, sizes);
    ASSERT_TRUE(packs->finish().ok());
    EXPECT_EQ(packs->statistics().chunks, sizes.size());
    EXPECT_EQ(packs->statistics().chunk_bytes, total);
  }
  const auto full = writer();
  add(*full, std::vector<std::size_t>(6, 4'000'000));
  ASSERT_TRUE(full->finish().ok());
  EXPECT_EQ(classes()[classes().size() - 3], 24U) << "three chunks of four million bytes and a bit fill a pack";
  expect_all_chunks_in_packs();
}

TEST_F(PackWriterTest, a_pack_of_the_smallest_chunks_ends_before_its_directory_outgrows_a_row_of_the_table) {
  const auto packs = writer();
  add(*packs, std::vector<std::size_t>(kMaxPackChunks + 1, 1));
  ASSERT_TRUE(packs->finish().ok());
  EXPECT_EQ(packs->statistics().packs, 2U);
  expect_all_chunks_in_packs();
}

TEST_F(PackWriterTest, who_shows_progress_is_told_of_the_bytes_made_so_far) {
  const auto packs = writer();
  EXPECT_EQ(packs->object_bytes(), 0U);
  add(*packs, std::vector<std::size_t>(5, 4'000'000));
  EXPECT_EQ(packs->object_bytes(), std::size_t{1} << 24) << "one is full, the rest waits";
  ASSERT_TRUE(packs->finish().ok());
  EXPECT_EQ(packs->object_bytes(), packs->statistics().object_bytes);
}

TEST_F(PackWriterTest, nothing_is_known_before_it_is_durable) {
  const auto packs = writer();
  sink_.durable_limit = 1;
  add(*packs, std::vector<std::size_t>(9, 4'000'000));
  EXPECT_EQ(packs->finish().error().code(), Code::Unavailable);
  EXPECT_EQ(known_.size(), 1U);
  EXPECT_EQ(index_->unindexed_packs().take().size(), 1U);
  EXPECT_TRUE(index_->find(id_of(0)).take().has_value());
  EXPECT_FALSE(index_->find(id_of(8)).take().has_value());
}

TEST_F(PackWriterTest, other_objects_take_the_smallest_class_and_hold_their_payload) {
  const auto packs = writer();
  for (const std::size_t size : {std::size_t{1}, format::plain_capacity(18) - format::kFooterBytes,
                                 format::plain_capacity(18) - format::kFooterBytes + 1}) {
    const Bytes payload = content_of(1, size);
    const auto reference =
        packs->put_plaintext(format::PlaintextType::Snapshot, payload, 1, format::PeriodNumber(1)).take();
    EXPECT_EQ(reference.size_class, size > format::plain_capacity(18) - format::kFooterBytes ? 20 : 18);
    EXPECT_EQ(reference.name, sink_.names.back());
    EXPECT_EQ(sink_.snapshots.back(), format::PeriodNumber(1));
    const Bytes plain = format::open_object(opening_, {}, sink_.objects.back()).take();
    EXPECT_TRUE(equal(format::read_payload(plain, format::PlaintextType::Snapshot).take(), payload));
    EXPECT_FALSE(format::read_payload(plain, format::PlaintextType::Index).ok());
  }
  const Bytes too_large(format::plain_capacity(24));
  EXPECT_EQ(packs->put_plaintext(format::PlaintextType::Index, too_large, 1, {}).error().code(), Code::Exhausted);
}

TEST_F(PackWriterTest, an_index_remembers_across_reopening_and_forgets_packs_that_are_indexed) {
  const auto packs = writer();
  add(*packs, {1000, 2000});
  ASSERT_TRUE(packs->finish().ok());
  SnapshotSummary summary;
  summary.dataset = "files";
  summary.number = 7;
  summary.source = "/data";
  const format::ObjectReference made{sink_.names[0], 18, format::PeriodNumber(2)};
  ASSERT_TRUE(index_->finish_snapshot(summary, {made}).ok());
  index_.reset();
  table_.reset();
  table_ = table::open_log_table(env_.files, env_.threads, "/table").take();
  index_.emplace(DedupIndex::open(*table_).take());
  EXPECT_TRUE(index_->unindexed_packs().take().empty());
  EXPECT_EQ(index_->index_objects().take(), std::vector<format::ObjectReference>{made});
  EXPECT_EQ(index_->last_number_of("files").take(), 7U);
  EXPECT_EQ(index_->last_number_of("other").take(), 0U);
  EXPECT_EQ(index_->snapshots().take().at(0).source, "/data");
  expect_all_chunks_in_packs();
}

}  // namespace
}  // namespace exclave::repo
