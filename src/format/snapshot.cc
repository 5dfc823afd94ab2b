#include "format/snapshot.h"

#include <algorithm>

#include "format/binary.h"
#include "format/object.h"
#include "format/pack.h"

namespace exclave::format {
namespace {

constexpr std::uint16_t kRecordVersion = 1;
constexpr std::size_t kMaxText = 4096;

void write_base(BinaryWriter& writer, const BaseBackupFacts& base) {
  write_log_source(writer, base.source);
  writer.u32(base.timeline.value());
  writer.u64(base.start.value());
  writer.u64(base.end.value());
}

Result<BaseBackupFacts> read_base(BinaryReader& reader) {
  BaseBackupFacts base;
  base.source = TRY(read_log_source(reader));
  base.timeline = LogTimeline(TRY(reader.u32()));
  base.start = LogPosition(TRY(reader.u64()));
  base.end = LogPosition(TRY(reader.u64()));
  if (base.end < base.start) return reader.corrupt("base backup ends before it starts");
  return base;
}

}  // namespace

void write_totals(BinaryWriter& writer, const SnapshotTotals& totals) {
  writer.u64(totals.files);
  writer.u64(totals.directories);
  writer.u64(totals.others);
  writer.u64(totals.bytes);
  writer.u64(totals.unreadable);
}

Result<SnapshotTotals> read_totals(BinaryReader& reader) {
  SnapshotTotals totals;
  totals.files = TRY(reader.u64());
  totals.directories = TRY(reader.u64());
  totals.others = TRY(reader.u64());
  totals.bytes = TRY(reader.u64());
  totals.unreadable = TRY(reader.u64());
  return totals;
}

Bytes encode_snapshot(const Snapshot& snapshot) {
  constexpr std::size_t kFixed = 512;  // numbers, ids, the key, lengths
  const std::size_t room = kFixed + snapshot.dataset.size() + snapshot.host.size() + snapshot.source.size() +
                           snapshot.program.size() + snapshot.listing.size() * (ChunkId::kSize + 4) +
                           snapshot.indexes.size() * (ObjectName::kSize + 5);
  BinaryWriter writer;
  writer.reserve(room);
  writer.u16(kRecordVersion);
  writer.u8(static_cast<std::uint8_t>(snapshot.kind));
  writer.text(snapshot.dataset);
  writer.u64(snapshot.number);
  writer.i64(snapshot.started_ns);
  writer.i64(snapshot.finished_ns);
  writer.text(snapshot.host);
  writer.text(snapshot.source);
  writer.text(snapshot.program);
  write_totals(writer, snapshot.totals);
  writer.u32(snapshot.oldest_period.value());
  writer.u8(snapshot.previous.has_value() ? 1 : 0);
  if (snapshot.previous.has_value()) writer.id(*snapshot.previous);
  writer.raw(snapshot.dedup_key.view());
  writer.varint(snapshot.listing.size());
  for (const ListingReference& reference : snapshot.listing) {
    writer.id(reference.id);
    writer.u32(reference.plain_bytes);
  }
  writer.varint(snapshot.indexes.size());
  for (const ObjectReference& reference : snapshot.indexes) {
    writer.id(reference.name);
    writer.u8(reference.size_class);
    writer.u32(reference.period.value());
  }
  CHECK(snapshot.base.has_value() == (snapshot.kind == DatasetKind::Database));
  if (snapshot.base.has_value()) write_base(writer, *snapshot.base);
  CHECK(writer.size() <= room);
  return writer.take();
}

Result<Snapshot> decode_snapshot(ByteView record) {
  BinaryReader reader(record, "snapshot");
  const std::uint16_t version = TRY(reader.u16());
  if (version != kRecordVersion)
    return Error(Code::Unsupported, "snapshot: unknown record version " + std::to_string(version));
  Snapshot snapshot;
  const std::uint8_t kind = TRY(reader.u8());
  if (kind < 1 || kind > 3) return Error(Code::Unsupported, "snapshot: unknown dataset kind " + std::to_string(kind));
  snapshot.kind = static_cast<DatasetKind>(kind);
  snapshot.dataset = TRY(reader.text(kMaxText));
  snapshot.number = TRY(reader.u64());
  snapshot.started_ns = TRY(reader.i64());
  snapshot.finished_ns = TRY(reader.i64());
  snapshot.host = TRY(reader.text(kMaxText));
  snapshot.source = TRY(reader.text(kMaxText));
  snapshot.program = TRY(reader.text(kMaxText));
  snapshot.totals = TRY(read_totals(reader));
  snapshot.oldest_period = PeriodNumber(TRY(reader.u32()));
  const std::uint8_t has_previous = TRY(reader.u8());
  if (has_previous > 1) return reader.corrupt("flag is neither 0 nor 1");
  if (has_previous == 1) snapshot.previous = TRY(reader.id<ObjectName>());
  snapshot.dedup_key = crypto::Secret<32>::from_view(TRY(reader.raw(32)));
  const std::size_t listings = TRY(reader.count(ChunkId::kSize + 4));
  snapshot.listing.reserve(listings);
  for (std::size_t i = 0; i < listings; ++i) {
    ListingReference reference;
    reference.id = TRY(reader.id<ChunkId>());
    reference.plain_bytes = TRY(reader.u32());
    if (reference.plain_bytes == 0 || reference.plain_bytes > kMaxChunkPlainBytes)
      return reader.corrupt("listing chunk size out of range");
    snapshot.listing.push_back(reference);
  }
  const std::size_t indexes = TRY(reader.count(ObjectName::kSize + 5));
  snapshot.indexes.reserve(indexes);
  for (std::size_t i = 0; i < indexes; ++i) {
    ObjectReference reference;
    reference.name = TRY(reader.id<ObjectName>());
    reference.size_class = TRY(reader.u8());
    if (std::find(kSizeClasses.begin(), kSizeClasses.end(), reference.size_class) == kSizeClasses.end())
      return reader.corrupt("unknown size class");
    reference.period = PeriodNumber(TRY(reader.u32()));
    snapshot.indexes.push_back(reference);
  }
  if (snapshot.kind == DatasetKind::Database) snapshot.base = TRY(read_base(reader));
  TRY(reader.end());
  return snapshot;
}

}  // namespace exclave::format
