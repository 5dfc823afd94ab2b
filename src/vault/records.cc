#include "vault/records.h"

#include <algorithm>

#include "format/binary.h"

namespace exclave::vault {
namespace {

using format::BinaryReader;
using format::BinaryWriter;

constexpr std::uint32_t kNoSnapshot = 0xffffffff;
constexpr std::size_t kMaxDocumentBytes = 4096;  // of a signed entry or stream

template <typename... Ids>
Bytes key_of(char kind, const Ids&... ids) {
  Bytes key{static_cast<Byte>(kind)};
  (append(key, ids.view()), ...);
  return key;
}

Bytes indexed_key(char kind, const format::StreamId& stream, format::EntryIndex index) {
  Bytes key = key_of(kind, stream);
  key.resize(key.size() + 8);
  store_u64(MutableByteView(key).last(8), index.value());
  return key;
}

Bytes entry_key(const format::StreamId& stream, format::EntryIndex index) {
  return indexed_key('e', stream, index);
}
Bytes segment_key(const format::SegmentPlace& place) {
  return indexed_key('j', place.stream, place.index);
}

Bytes mark_key(const format::SegmentPlace& place) {
  return indexed_key('m', place.stream, place.index);
}

Bytes encode_head(const HeadRow& row) {
  BinaryWriter writer;
  writer.u64(row.next.value());
  writer.id(row.chain);
  writer.u64(row.held);
  writer.i64(row.durable_at_seconds);
  return writer.take();
}

Result<HeadRow> decode_head(ByteView bytes) {
  BinaryReader reader(bytes, "row of a head");
  HeadRow row;
  row.next = format::EntryIndex(TRY(reader.u64()));
  row.chain = TRY(reader.id<format::ChainHash>());
  row.held = TRY(reader.u64());
  row.durable_at_seconds = TRY(reader.i64());
  TRY(reader.end());
  return row;
}

Result<EntryRow> decode_entry(ByteView bytes) {
  BinaryReader reader(bytes, "row of an entry");
  EntryRow row;
  row.object = TRY(reader.id<format::ObjectName>());
  row.chain = TRY(reader.id<format::ChainHash>());
  const std::uint32_t snapshot = TRY(reader.u32());
  if (snapshot != kNoSnapshot) row.snapshot_oldest = format::PeriodNumber(snapshot);
  row.signature = TRY(reader.id<crypto::Ed25519Signature>());
  TRY(reader.end());
  return row;
}

// A row that is a signed document.
template <typename Signed>
Result<Signed> decode_document(ByteView bytes, std::string row) {
  auto document = Signed::parse(bytes, std::move(row));
  if (!document.ok()) return Error(Code::Corrupt, document.error().message());
  return document;
}

Result<ReaderRow> decode_reader(ByteView bytes) {
  BinaryReader reader(bytes, "row of a reading vault");
  ReaderRow row;
  row.objects = TRY(reader.u64());
  row.bytes = TRY(reader.u64());
  row.last_at_seconds = TRY(reader.i64());
  TRY(reader.end());
  return row;
}

Result<ObjectRow> decode_object(ByteView bytes) {
  BinaryReader reader(bytes, "row of an object");
  ObjectRow row;
  row.key.registry = TRY(reader.id<format::RegistryId>());
  row.key.era = format::EraNumber(TRY(reader.u32()));
  row.key.period = format::PeriodNumber(TRY(reader.u32()));
  row.bytes = TRY(reader.u64());
  row.retain_until_seconds = TRY(reader.i64());
  TRY(reader.end());
  return row;
}

Result<SegmentRow> decode_segment(ByteView bytes) {
  BinaryReader reader(bytes, "row of a segment");
  SegmentRow row;
  row.size_class = TRY(reader.u8());
  if (std::count(format::kSizeClasses.begin(), format::kSizeClasses.end(), row.size_class) == 0) {
    return reader.corrupt("no such size class");
  }
  row.key.registry = TRY(reader.id<format::RegistryId>());
  row.key.era = format::EraNumber(TRY(reader.u32()));
  row.key.period = format::PeriodNumber(TRY(reader.u32()));
  TRY(reader.end());
  return row;
}

Result<RegistryRow> decode_registry(ByteView bytes) {
  BinaryReader reader(bytes, "row of a registry");
  RegistryRow row;
  row.used_bytes = TRY(reader.u64());
  row.streams = TRY(reader.u64());
  TRY(reader.end());
  return row;
}

Result<std::uint64_t> decode_count(ByteView bytes) {
  BinaryReader reader(bytes, "row of the object count");
  const std::uint64_t count = TRY(reader.u64());
  TRY(reader.end());
  return count;
}

Result<ForkEvidence> decode_fork(ByteView bytes) {
  BinaryReader reader(bytes, "row of fork evidence");
  ForkEvidence evidence;
  evidence.first = TRY(reader.text(kMaxDocumentBytes));
  evidence.second = TRY(reader.text(kMaxDocumentBytes));
  TRY(reader.end());
  return evidence;
}

// The row under `key`, decoded; nullopt if there is none.
template <typename Decode>
auto load(const table::Table& table, ByteView key, Decode decode)
    -> Result<std::optional<std::remove_cvref_t<decltype(decode(key).value())>>> {
  using Row = std::remove_cvref_t<decltype(decode(key).value())>;
  const std::optional<Bytes> bytes = TRY(table.get(key));
  if (!bytes.has_value()) return std::optional<Row>();
  return std::optional<Row>(TRY(decode(*bytes)));
}

}  // namespace

Status expect_key_size(ByteView key, std::size_t size, std::string_view row) {
  if (key.size() == size) return {};
  return Error(Code::Corrupt, std::string(row) + ": its key has another length");
}

EntryRow row_of(const format::SignedEntry& entry) {
  return {entry.entry.object, entry.entry.chain, entry.entry.snapshot_oldest, entry.signature};
}

format::SignedEntry entry_of(const format::StreamId& stream, format::EntryIndex index, const EntryRow& row) {
  return {{stream, index, row.object, row.chain, row.snapshot_oldest}, row.signature};
}

Result<std::optional<format::SignedStream>> Records::stream(const format::StreamId& id) const {
  return load(table_, key_of('s', id),
              [](ByteView bytes) { return decode_document<format::SignedStream>(bytes, "row of a stream"); });
}

Result<std::optional<HeadRow>> Records::head(const format::StreamId& id) const {
  return load(table_, key_of('h', id), decode_head);
}

Result<std::optional<EntryRow>> Records::entry(const format::StreamId& stream, format::EntryIndex index) const {
  return load(table_, entry_key(stream, index), decode_entry);
}

Result<std::optional<ObjectRow>> Records::object(const format::ObjectName& name) const {
  return load(table_, key_of('o', name), decode_object);
}

Result<std::optional<SegmentRow>> Records::segment(const format::SegmentPlace& place) const {
  return load(table_, segment_key(place), decode_segment);
}

Result<std::optional<format::SignedMark>> Records::mark(const format::SegmentPlace& place) const {
  return load(table_, mark_key(place), [&](ByteView bytes) -> Result<format::SignedMark> {
    auto mark = TRY(decode_document<format::SignedMark>(bytes, "row of a mark"));
    if (mark.mark.place != place) return Error(Code::Corrupt, "row of a mark: it is of another segment");
    return mark;
  });
}

Status Records::scan_segments(const SegmentVisitor& visit) const {
  return table_.scan(table::KeyRange::prefix(key_of('j')), [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(expect_key_size(key, 1 + format::StreamId::kSize + 8, "row of a segment"));
    return visit({format::StreamId::from_view(key.subspan(1, format::StreamId::kSize)),
                  format::EntryIndex(load_u64(key.last(8)))},
                 TRY(decode_segment(value)));
  });
}

Result<RegistryRow> Records::registry(const format::RegistryId& id) const {
  return TRY(load(table_, key_of('q', id), decode_registry)).value_or(RegistryRow{});
}

Result<std::uint64_t> Records::object_count() const {
  return TRY(load(table_, key_of('n'), decode_count)).value_or(0);
}

Result<std::optional<ForkEvidence>> Records::fork(const format::StreamId& id) const {
  return load(table_, key_of('f', id), decode_fork);
}

Result<std::optional<ReaderRow>> Records::reader(const crypto::Ed25519PublicKey& vault) const {
  return load(table_, key_of('p', vault), decode_reader);
}

Result<std::optional<format::SignedReading>> Records::reading(const crypto::Ed25519PublicKey& vault,
                                                              const format::ObjectName& object) const {
  return load(table_, key_of('w', vault, object),
              [](ByteView bytes) { return decode_document<format::SignedReading>(bytes, "row of a reading"); });
}

Result<std::optional<ScrubRow>> Records::scrub() const {
  return load(table_, key_of('c'), [](ByteView bytes) -> Result<ScrubRow> {
    BinaryReader reader(bytes, "row of the scrub");
    ScrubRow row;
    row.next = TRY(reader.id<format::ObjectName>());
    row.begun_at_seconds = TRY(reader.i64());
    const std::uint8_t finished = TRY(reader.u8());
    if (finished > 1) return reader.corrupt("flag is neither 0 nor 1");
    row.is_finished = finished == 1;
    TRY(reader.end());
    return row;
  });
}

Status Records::scan_readers(const ReaderVisitor& visit) const {
  return table_.scan(table::KeyRange::prefix(key_of('p')), [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(expect_key_size(key, 1 + crypto::Ed25519PublicKey::kSize, "row of a reading vault"));
    return visit(crypto::Ed25519PublicKey::from_view(key.subspan(1)), TRY(decode_reader(value)));
  });
}

Status Records::scan_damages(const DamageVisitor& visit) const {
  return table_.scan(table::KeyRange::prefix(key_of('d')), [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(expect_key_size(key, 1 + format::ObjectName::kSize + format::StreamId::kSize, "row of a damaged object"));
    return visit(format::ObjectName::from_view(key.subspan(1, format::ObjectName::kSize)),
                 format::StreamId::from_view(key.last(format::StreamId::kSize)), TRY(decode_head(value)));
  });
}

Status Records::scan_objects(const format::ObjectName& from, const ObjectVisitor& visit) const {
  table::KeyRange range = table::KeyRange::prefix(key_of('o'));
  range.from = key_of('o', from);
  return table_.scan(range, [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(expect_key_size(key, range.from.size(), "row of an object"));
    return visit(format::ObjectName::from_view(key.subspan(1)), TRY(decode_object(value)));
  });
}

Status Records::scan_entries(const format::StreamId& stream, format::EntryIndex from, const EntryVisitor& visit) const {
  table::KeyRange range = table::KeyRange::prefix(key_of('e', stream));
  range.from = entry_key(stream, from);
  return table_.scan(range, [&](ByteView key, ByteView value) -> Result<table::Visit> {
    TRY(expect_key_size(key, range.from.size(), "row of an entry"));
    return visit(format::EntryIndex(load_u64(key.last(8))), TRY(decode_entry(value)));
  });
}

Status Records::scan_streams(const format::RegistryId& registry, const format::StreamId& from,
                             const StreamVisitor& visit) const {
  table::KeyRange range = table::KeyRange::prefix(key_of('r', registry));
  range.from = key_of('r', registry, from);
  return table_.scan(range, [&](ByteView key, ByteView) -> Result<table::Visit> {
    TRY(expect_key_size(key, range.from.size(), "row of a stream"));
    return visit(format::StreamId::from_view(key.last(format::StreamId::kSize)));
  });
}

void Records::Change::put_stream(const format::SignedStream& stream) {
  const format::StreamId id = stream.descriptor.id();
  batch_.put(key_of('s', id), as_bytes(stream.document()));
  batch_.put(key_of('r', stream.descriptor.registry, id), {});
}

void Records::Change::put_head(const format::StreamId& id, const HeadRow& row) {
  batch_.put(key_of('h', id), encode_head(row));
}

void Records::Change::put_damage(const format::ObjectName& object, const format::StreamId& stream,
                                 const HeadRow& head) {
  batch_.put(key_of('d', object, stream), encode_head(head));
}

void Records::Change::erase_damage(const format::ObjectName& object, const format::StreamId& stream) {
  batch_.erase(key_of('d', object, stream));
}

void Records::Change::put_entry(const format::SignedEntry& entry) {
  BinaryWriter writer;
  writer.id(entry.entry.object);
  writer.id(entry.entry.chain);
  writer.u32(entry.entry.snapshot_oldest.has_value() ? entry.entry.snapshot_oldest->value() : kNoSnapshot);
  writer.id(entry.signature);
  batch_.put(entry_key(entry.entry.stream, entry.entry.index), writer.view());
}

void Records::Change::put_object(const format::ObjectName& name, const ObjectRow& row) {
  BinaryWriter writer;
  writer.id(row.key.registry);
  writer.u32(row.key.era.value());
  writer.u32(row.key.period.value());
  writer.u64(row.bytes);
  writer.i64(row.retain_until_seconds);
  batch_.put(key_of('o', name), writer.view());
}

void Records::Change::put_segment(const format::SegmentPlace& place, const SegmentRow& row) {
  BinaryWriter writer;
  writer.u8(row.size_class);
  writer.id(row.key.registry);
  writer.u32(row.key.era.value());
  writer.u32(row.key.period.value());
  batch_.put(segment_key(place), writer.view());
}

void Records::Change::put_mark(const format::SignedMark& mark) {
  batch_.put(mark_key(mark.mark.place), as_bytes(mark.document()));
}

void Records::Change::erase_segment(const format::SegmentPlace& place) {
  batch_.erase(segment_key(place));
  batch_.erase(mark_key(place));
}

void Records::Change::put_registry(const format::RegistryId& id, const RegistryRow& row) {
  BinaryWriter writer;
  writer.u64(row.used_bytes);
  writer.u64(row.streams);
  batch_.put(key_of('q', id), writer.view());
}

void Records::Change::put_object_count(std::uint64_t count) {
  BinaryWriter writer;
  writer.u64(count);
  batch_.put(key_of('n'), writer.view());
}

void Records::Change::put_fork(const format::StreamId& id, const ForkEvidence& evidence) {
  BinaryWriter writer;
  writer.text(evidence.first);
  writer.text(evidence.second);
  batch_.put(key_of('f', id), writer.view());
}

void Records::Change::put_reader(const crypto::Ed25519PublicKey& vault, const ReaderRow& row) {
  BinaryWriter writer;
  writer.u64(row.objects);
  writer.u64(row.bytes);
  writer.i64(row.last_at_seconds);
  batch_.put(key_of('p', vault), writer.view());
}

void Records::Change::put_reading(const format::SignedReading& reading) {
  batch_.put(key_of('w', reading.reading.reader, reading.reading.object), as_bytes(reading.document()));
}

void Records::Change::put_scrub(const ScrubRow& row) {
  BinaryWriter writer;
  writer.id(row.next);
  writer.i64(row.begun_at_seconds);
  writer.u8(row.is_finished ? 1 : 0);
  batch_.put(key_of('c'), writer.view());
}

Status Records::commit(const Change& change) {
  return table_.write(change.batch_, table::Durability::Synced);
}

}  // namespace exclave::vault
