#include "repo/relied_entries.h"

#include "format/binary.h"

namespace exclave::repo {
namespace {

constexpr std::string_view kRowKind = "e";

Bytes key_of(const format::StreamId& stream) {
  Bytes key = to_bytes(kRowKind);
  append(key, stream.view());
  return key;
}

Result<std::uint64_t> decode_entries(ByteView value) {
  format::BinaryReader reader(value, "agent state: row of relied entries");
  const std::uint64_t entries = TRY(reader.u64());
  TRY(reader.end());
  return entries;
}

}  // namespace

Status rely_on(table::Table& table, const format::StreamId& stream, std::uint64_t entries) {
  const Bytes key = key_of(stream);
  if (const auto kept = TRY(table.get(key)); kept.has_value() && TRY(decode_entries(*kept)) >= entries) return {};
  format::BinaryWriter value;
  value.u64(entries);
  table::Batch batch;
  batch.put(key, value.view());
  return table.write(batch, table::Durability::Buffered);
}

Result<ReliedEntries> relied_in(const table::Table& table) {
  ReliedEntries relied;
  TRY(table.scan(table::KeyRange::prefix(as_bytes(kRowKind)),
                 [&](ByteView key, ByteView value) -> Result<table::Visit> {
                   format::BinaryReader reader(key.subspan(kRowKind.size()), "agent state: key of relied entries");
                   const auto stream = TRY(reader.id<format::StreamId>());
                   TRY(reader.end());
                   relied[stream] = TRY(decode_entries(value));
                   return table::Visit::Continue;
                 }));
  return relied;
}

}  // namespace exclave::repo
