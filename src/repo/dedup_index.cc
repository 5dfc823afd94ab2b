#include "repo/dedup_index.h"

#include <algorithm>
#include <limits>

#include "format/binary.h"

namespace exclave::repo {
namespace {

Bytes key_of(char kind, ByteView rest) {
  Bytes key;
  key.reserve(1 + rest.size());
  key.push_back(static_cast<Byte>(kind));
  append(key, rest);
  return key;
}

Bytes numbered_key(char kind, std::uint64_t number) {
  std::array<Byte, 8> bytes{};
  store_u64(bytes, number);
  return key_of(kind, bytes);
}

Bytes encode_pack(const PackRecord& pack) {
  format::BinaryWriter writer;
  writer.u8(pack.size_class);
  writer.u32(pack.period.value());
  writer.id(pack.name);
  writer.raw(pack.directory);
  return writer.take();
}

Result<PackRecord> decode_pack(ByteView value) {
  format::BinaryReader reader(value, "agent state: pack row");
  PackRecord pack;
  pack.size_class = TRY(reader.u8());
  pack.period = format::PeriodNumber(TRY(reader.u32()));
  pack.name = TRY(reader.id<format::ObjectName>());
  pack.directory = to_bytes(TRY(reader.raw(reader.remaining())));
  return pack;
}

Bytes encode_reference(const format::ObjectReference& reference) {
  format::BinaryWriter writer;
  writer.id(reference.name);
  writer.u8(reference.size_class);
  writer.u32(reference.period.value());
  return writer.take();
}

Result<format::ObjectReference> decode_reference(ByteView value) {
  format::BinaryReader reader(value, "agent state: index row");
  format::ObjectReference reference;
  reference.name = TRY(reader.id<format::ObjectName>());
  reference.size_class = TRY(reader.u8());
  reference.period = format::PeriodNumber(TRY(reader.u32()));
  TRY(reader.end());
  return reference;
}

Bytes encode_summary(const SnapshotSummary& summary) {
  format::BinaryWriter writer;
  writer.id(summary.name);
  writer.text(summary.dataset);
  writer.u8(static_cast<std::uint8_t>(summary.kind));
  writer.u64(summary.number);
  writer.i64(summary.started_ns);
  writer.i64(summary.finished_ns);
  writer.text(summary.source);
  format::write_totals(writer, summary.totals);
  writer.u64(summary.stored_bytes);
  writer.u32(summary.oldest_period.value());
  writer.u32(summary.period.value());
  return writer.take();
}

Result<SnapshotSummary> decode_summary(ByteView value) {
  format::BinaryReader reader(value, "agent state: snapshot row");
  SnapshotSummary summary;
  summary.name = TRY(reader.id<format::ObjectName>());
  summary.dataset = TRY(reader.text(256));
  const auto kind = TRY(reader.u8());
  if (kind < 1 || kind > static_cast<std::uint8_t>(format::DatasetKind::Database))
    return Error(Code::Corrupt, "agent state: snapshot row: is of kind " + std::to_string(kind));
  summary.kind = static_cast<format::DatasetKind>(kind);
  summary.number = TRY(reader.u64());
  summary.started_ns = TRY(reader.i64());
  summary.finished_ns = TRY(reader.i64());
  summary.source = TRY(reader.text(1U << 16));
  summary.totals = TRY(format::read_totals(reader));
  summary.stored_bytes = TRY(reader.u64());
  summary.oldest_period = format::PeriodNumber(TRY(reader.u32()));
  summary.period = format::PeriodNumber(TRY(reader.u32()));
  TRY(reader.end());
  return summary;
}

// Collects all rows of one kind, in key order.
template <typename T, typename Decode>
Result<std::vector<T>> collect(const table::Table& table, char kind, Decode&& decode) {
  std::vector<T> rows;
  TRY(table.scan(table::KeyRange::prefix(key_of(kind, {})), [&](ByteView key, ByteView value) -> Result<table::Visit> {
    rows.push_back(TRY(decode(key, value)));
    return table::Visit::Continue;
  }));
  return rows;
}

}  // namespace

Result<DedupIndex> DedupIndex::open(table::Table& table) {
  DedupIndex index(table);
  const auto next = TRY(table.get(as_bytes("n")));
  if (next.has_value()) {
    if (next->size() != 8) return Error(Code::Corrupt, "agent state: counter row has a wrong size");
    index.next_number_ = load_u64(*next);
  }
  return index;
}

std::uint64_t DedupIndex::take_number(table::Batch& batch) {
  const std::uint64_t number = next_number_++;
  std::array<Byte, 8> value{};
  store_u64(value, next_number_);
  batch.put(as_bytes("n"), value);
  return number;
}

Result<std::optional<format::PeriodNumber>> DedupIndex::find(const format::ChunkId& id) const {
  const auto value = TRY(table_->get(key_of('c', id.view())));
  if (!value.has_value()) return std::optional<format::PeriodNumber>();
  if (value->size() != 4) return Error(Code::Corrupt, "agent state: chunk row has a wrong size");
  return std::optional(format::PeriodNumber(load_u32(*value)));
}

Status DedupIndex::add_durable_pack(const PackRecord& pack) {
  table::Batch batch;
  std::array<Byte, 4> period{};
  store_u32(period, pack.period.value());
  for (std::size_t at = 0; at + format::kDirectoryEntryBytes <= pack.directory.size();
       at += format::kDirectoryEntryBytes) {
    batch.put(key_of('c', ByteView(pack.directory).subspan(at, format::ChunkId::kSize)), period);
  }
  batch.put(numbered_key('p', take_number(batch)), encode_pack(pack));
  return table_->write(batch, table::Durability::Buffered);
}

Result<DedupIndex::UnindexedPacks> DedupIndex::unindexed_packs(std::uint64_t from, std::size_t limit) const {
  UnindexedPacks found;
  found.next = from;
  std::size_t bytes = 0;
  const auto visit = [&](ByteView key, ByteView value) -> Result<table::Visit> {
    if (key.size() != 9) return Error(Code::Corrupt, "agent state: key of a pack row has a wrong size");
    PackRecord pack = TRY(decode_pack(value));
    bytes += format::kIndexSectionHeaderBytes + pack.directory.size();
    if (bytes > limit && !found.packs.empty()) return table::Visit::Stop;
    found.packs.push_back(std::move(pack));
    found.next = load_u64(key.subspan(1)) + 1;
    return table::Visit::Continue;
  };
  table::KeyRange range = table::KeyRange::prefix(key_of('p', {}));
  range.from = numbered_key('p', from);
  TRY(table_->scan(range, visit));
  return found;
}

Result<std::vector<PackRecord>> DedupIndex::unindexed_packs() const {
  return TRY(unindexed_packs(0, std::numeric_limits<std::size_t>::max())).packs;
}

Result<std::vector<format::ObjectReference>> DedupIndex::index_objects() const {
  return collect<format::ObjectReference>(*table_, 'i',
                                          [](ByteView, ByteView value) { return decode_reference(value); });
}

Result<std::vector<SnapshotSummary>> snapshots_in(const table::Table& table) {
  return collect<SnapshotSummary>(table, 's', [](ByteView, ByteView value) { return decode_summary(value); });
}

Result<std::vector<SnapshotSummary>> DedupIndex::snapshots() const {
  return snapshots_in(*table_);
}

Result<std::uint64_t> DedupIndex::last_number_of(std::string_view dataset) const {
  std::uint64_t last = 0;
  for (const SnapshotSummary& summary : TRY(snapshots())) {
    if (summary.dataset == dataset) last = std::max(last, summary.number);
  }
  return last;
}

Status DedupIndex::finish_snapshot(const SnapshotSummary& summary,
                                   const std::vector<format::ObjectReference>& new_indexes) {
  table::Batch batch;
  if (!new_indexes.empty()) {
    TRY(table_->scan(table::KeyRange::prefix(as_bytes("p")), [&](ByteView key, ByteView) -> Result<table::Visit> {
      batch.erase(key);
      return table::Visit::Continue;
    }));
  }
  for (const format::ObjectReference& reference : new_indexes) {
    batch.put(numbered_key('i', take_number(batch)), encode_reference(reference));
  }
  batch.put(numbered_key('s', take_number(batch)), encode_summary(summary));
  return table_->write(batch, table::Durability::Synced);
}

Result<std::uint64_t> DedupIndex::take_start(std::uint64_t now_ns) {
  const Bytes key = key_of('t', {});
  std::uint64_t start = now_ns;
  if (const auto kept = TRY(table_->get(key)); kept.has_value()) {
    format::BinaryReader reader(*kept, "agent state: newest stream");
    const std::uint64_t newest = TRY(reader.u64());
    TRY(reader.end());
    if (newest == std::numeric_limits<std::uint64_t>::max()) return Error(Code::Corrupt, "agent state: newest stream");
    start = std::max(now_ns, newest + 1);
  }
  format::BinaryWriter value;
  value.u64(start);
  table::Batch batch;
  batch.put(key, value.view());
  TRY(table_->write(batch, table::Durability::Buffered));
  return start;
}

Status DedupIndex::keep_receipt(std::string_view vault, const format::SignedReceipt& receipt) {
  Bytes rest = to_bytes(vault);
  rest.push_back(0);
  append(rest, receipt.receipt.stream.view());
  table::Batch batch;
  batch.put(key_of('r', rest), as_bytes(receipt.document()));
  return table_->write(batch, table::Durability::Buffered);
}

Result<std::vector<KeptReceipt>> receipts_in(const table::Table& table) {
  return collect<KeptReceipt>(table, 'r', [](ByteView key, ByteView value) -> Result<KeptReceipt> {
    const std::string_view text = as_text(key.subspan(1));
    KeptReceipt kept;
    kept.vault = std::string(text.substr(0, text.find('\0')));
    kept.receipt = TRY(format::SignedReceipt::parse(value, "kept receipt of vault " + kept.vault));
    return kept;
  });
}

}  // namespace exclave::repo
