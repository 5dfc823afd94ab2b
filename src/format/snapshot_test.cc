#include "format/snapshot.h"

#include <gtest/gtest.h>

#include "format/binary.h"
#include "format/testing/samples.h"

namespace exclave::format {
namespace {

using testing::id_of;

Snapshot a_snapshot() {
  Snapshot snapshot;
  snapshot.kind = DatasetKind::ByteStream;
  snapshot.dataset = "mail";
  snapshot.number = 3;
  snapshot.started_ns = -5;
  snapshot.finished_ns = 1'800'000'000'000'000'000;
  snapshot.host = "host";
  snapshot.source = "dump";
  snapshot.program = "exclave";
  snapshot.totals = {1, 2, 3, 4, 5};
  snapshot.oldest_period = PeriodNumber(2);
  snapshot.previous = id_of<ObjectName>("previous");
  snapshot.dedup_key = testing::secret_of("D");
  snapshot.listing = {{id_of<ChunkId>("a"), 10}, {id_of<ChunkId>("b"), 70'000}};
  snapshot.indexes = {{id_of<ObjectName>("i"), 24, PeriodNumber(2)}, {id_of<ObjectName>("j"), 18, PeriodNumber(3)}};
  return snapshot;
}

TEST(snapshot, round_trips_every_field) {
  const Bytes record = encode_snapshot(a_snapshot());
  const auto read = decode_snapshot(record);
  ASSERT_TRUE(read.ok()) << read.error().message();
  const Snapshot wanted = a_snapshot();
  EXPECT_EQ(read.value().kind, wanted.kind);
  EXPECT_EQ(read.value().dataset, wanted.dataset);
  EXPECT_EQ(read.value().number, wanted.number);
  EXPECT_EQ(read.value().started_ns, wanted.started_ns);
  EXPECT_EQ(read.value().finished_ns, wanted.finished_ns);
  EXPECT_EQ(read.value().host, wanted.host);
  EXPECT_EQ(read.value().source, wanted.source);
  EXPECT_EQ(read.value().program, wanted.program);
  EXPECT_EQ(read.value().totals, wanted.totals);
  EXPECT_EQ(read.value().oldest_period, wanted.oldest_period);
  EXPECT_EQ(read.value().previous, wanted.previous);
  EXPECT_TRUE(equal(read.value().dedup_key.view(), wanted.dedup_key.view()));
  EXPECT_EQ(read.value().listing, wanted.listing);
  EXPECT_EQ(read.value().indexes, wanted.indexes);
  EXPECT_EQ(encode_snapshot(read.value()), record);
}

TEST(snapshot, of_a_base_backup_round_trips_and_must_not_end_before_it_starts) {
  Snapshot base = a_snapshot();
  base.kind = DatasetKind::Database;
  base.base = {{0x68f1c2a3b4c5d6e7, 15, 16U << 20}, LogTimeline(2), LogPosition(0x3000028), LogPosition(0x3000148)};
  const auto read = decode_snapshot(encode_snapshot(base));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().base, base.base);
  base.base->end = LogPosition(0x3000027);
  EXPECT_EQ(decode_snapshot(encode_snapshot(base)).error().message(), "snapshot: base backup ends before it starts");
}

TEST(snapshot, without_a_previous_one_round_trips) {
  Snapshot first = a_snapshot();
  first.previous.reset();
  first.listing.clear();
  const auto read = decode_snapshot(encode_snapshot(first));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_FALSE(read.value().previous.has_value());
}

TEST(snapshot, cut_off_anywhere_is_refused) {
  const Bytes record = encode_snapshot(a_snapshot());
  for (std::size_t size = 0; size < record.size(); ++size) {
    const auto read = decode_snapshot(ByteView(record).first(size));
    ASSERT_FALSE(read.ok()) << size;
    EXPECT_EQ(read.error().code(), Code::Corrupt) << size;
  }
}

TEST(snapshot, with_bytes_after_its_end_is_refused) {
  Bytes record = encode_snapshot(a_snapshot());
  record.push_back(0);
  EXPECT_FALSE(decode_snapshot(record).ok());
}

TEST(snapshot, of_an_unknown_version_or_kind_is_unsupported) {
  for (const auto& [at, value] : {std::pair<std::size_t, Byte>{1, 2}, {0, 1}, {2, 0}, {2, 4}}) {
    Bytes record = encode_snapshot(a_snapshot());
    record[at] = value;
    EXPECT_EQ(decode_snapshot(record).error().code(), Code::Unsupported) << at;
  }
}

TEST(snapshot, with_an_index_of_unknown_class_is_refused_before_anyone_allocates_for_it) {
  for (const std::uint8_t size_class : Bytes{0, 17, 19, 25, 64, 255}) {
    Snapshot snapshot = a_snapshot();
    snapshot.indexes[0].size_class = size_class;
    EXPECT_EQ(decode_snapshot(encode_snapshot(snapshot)).error().code(), Code::Corrupt);
  }
}

TEST(snapshot, with_a_listing_chunk_of_impossible_size_is_refused) {
  for (const std::uint32_t bytes : {0U, (4U << 20) + (64U << 10) + 1, 0xffffffffU}) {
    Snapshot snapshot = a_snapshot();
    snapshot.listing[1].plain_bytes = bytes;
    EXPECT_EQ(decode_snapshot(encode_snapshot(snapshot)).error().code(), Code::Corrupt);
  }
}

TEST(snapshot, that_claims_more_references_than_it_holds_is_refused) {
  Snapshot snapshot = a_snapshot();
  snapshot.listing.clear();
  snapshot.indexes.clear();
  Bytes record = encode_snapshot(snapshot);
  record.resize(record.size() - 2);
  BinaryWriter huge;
  huge.varint(std::uint64_t{1} << 60);
  append(record, huge.view());
  EXPECT_EQ(decode_snapshot(record).error().code(), Code::Corrupt);
}

TEST(snapshot, with_a_text_above_4096_bytes_is_refused) {
  Snapshot snapshot = a_snapshot();
  snapshot.source = std::string(4096, 's');
  EXPECT_TRUE(decode_snapshot(encode_snapshot(snapshot)).ok());
  snapshot.source += 's';
  EXPECT_FALSE(decode_snapshot(encode_snapshot(snapshot)).ok());
}

}  // namespace
}  // namespace exclave::format
