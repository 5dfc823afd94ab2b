#include "format/pack.h"

#include <algorithm>
#include <array>

#include "format/binary.h"
#include "format/object.h"

namespace exclave::format {
namespace {

constexpr Byte kFileTag = 4;

Error corrupt_pack(std::string_view why) {
  return Error(Code::Corrupt, "pack: " + std::string(why));
}

Result<ChunkEntry> read_entry(BinaryReader& reader) {
  ChunkEntry entry;
  entry.id = TRY(reader.id<ChunkId>());
  entry.offset = TRY(reader.u32());
  entry.stored_bytes = TRY(reader.u32());
  entry.plain_bytes = TRY(reader.u32());
  const std::uint8_t kind = TRY(reader.u8());
  const std::uint8_t codec = TRY(reader.u8());
  const std::uint16_t zero = TRY(reader.u16());
  if (kind < 1 || kind > 3) return reader.corrupt("unknown chunk kind");
  if (codec > 1) return reader.corrupt("unknown codec");
  if (zero != 0) return reader.corrupt("reserved field is not zero");
  entry.kind = static_cast<ChunkKind>(kind);
  entry.codec = static_cast<ChunkCodec>(codec);
  if (entry.plain_bytes == 0 || entry.plain_bytes > kMaxChunkPlainBytes)
    return reader.corrupt("chunk size out of range");
  if (entry.codec == ChunkCodec::Raw ? entry.stored_bytes != entry.plain_bytes
                                     : entry.stored_bytes >= entry.plain_bytes) {
    return reader.corrupt("stored size does not fit the codec");
  }
  if (entry.stored_bytes == 0) return reader.corrupt("chunk is empty");
  return entry;
}

// Entries of one directory: contiguous from offset 0, ending at or before `limit`.
Result<std::vector<ChunkEntry>> read_entries(BinaryReader& reader, std::uint32_t count, std::uint64_t limit,
                                             std::uint64_t& end) {
  if (count > reader.remaining() / kDirectoryEntryBytes) return reader.corrupt("claims more entries than it holds");
  std::vector<ChunkEntry> entries;
  entries.reserve(count);
  end = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    entries.push_back(TRY(read_entry(reader)));
    if (entries.back().offset != end) return reader.corrupt("chunks overlap or leave gaps");
    end += entries.back().stored_bytes;
    if (end > limit) return reader.corrupt("chunk lies outside the pack");
  }
  return entries;
}

}  // namespace

void append_entry(Bytes& target, const ChunkEntry& entry) {
  std::array<Byte, kDirectoryEntryBytes> bytes{};
  const MutableByteView view(bytes);
  std::copy(entry.id.view().begin(), entry.id.view().end(), bytes.begin());
  store_u32(view.subspan(32), entry.offset);
  store_u32(view.subspan(36), entry.stored_bytes);
  store_u32(view.subspan(40), entry.plain_bytes);
  bytes[44] = static_cast<Byte>(entry.kind);
  bytes[45] = static_cast<Byte>(entry.codec);
  append(target, bytes);
}

void write_footer(MutableByteView at, const Footer& footer) {
  CHECK(at.size() == kFooterBytes);
  std::fill(at.begin(), at.end(), Byte{0});
  at[0] = static_cast<Byte>(footer.type);
  at[1] = 1;
  store_u32(at.subspan(4), footer.payload_bytes);
  store_u32(at.subspan(8), footer.entries);
}

Result<Footer> read_footer(ByteView plain) {
  if (plain.size() < kFooterBytes) return corrupt_pack("is shorter than its footer");
  const ByteView at = plain.last(kFooterBytes);
  if (at[0] < 1 || at[0] > 3) return Error(Code::Unsupported, "pack: unknown plaintext type " + std::to_string(at[0]));
  if (at[1] != 1) return Error(Code::Unsupported, "pack: unknown plaintext version " + std::to_string(at[1]));
  if (load_u16(at.subspan(2)) != 0 || load_u32(at.subspan(12)) != 0)
    return corrupt_pack("footer has a reserved field that is not zero");
  Footer footer;
  footer.type = static_cast<PlaintextType>(at[0]);
  footer.payload_bytes = load_u32(at.subspan(4));
  footer.entries = load_u32(at.subspan(8));
  if (footer.payload_bytes > plain.size() - kFooterBytes) return corrupt_pack("payload is larger than the pack");
  return footer;
}

Result<std::vector<ChunkEntry>> read_pack_directory(ByteView plain) {
  const Footer footer = TRY(read_footer(plain));
  if (footer.type != PlaintextType::Pack) return corrupt_pack("holds something else than chunks");
  if (footer.payload_bytes != std::uint64_t{footer.entries} * kDirectoryEntryBytes)
    return corrupt_pack("directory size does not fit its entries");
  const std::size_t directory_at = plain.size() - kFooterBytes - footer.payload_bytes;
  BinaryReader reader(plain.subspan(directory_at, footer.payload_bytes), "pack directory");
  std::uint64_t end = 0;
  auto entries = TRY(read_entries(reader, footer.entries, directory_at, end));
  if (!is_all_zero(plain.subspan(static_cast<std::size_t>(end), directory_at - static_cast<std::size_t>(end)))) {
    return corrupt_pack("padding is not zero");
  }
  return entries;
}

Result<ByteView> read_payload(ByteView plain, PlaintextType expected) {
  const Footer footer = TRY(read_footer(plain));
  if (footer.type != expected) return corrupt_pack("holds another type than expected");
  const ByteView padding = plain.subspan(footer.payload_bytes, plain.size() - kFooterBytes - footer.payload_bytes);
  if (!is_all_zero(padding)) return corrupt_pack("padding is not zero");
  return plain.first(footer.payload_bytes);
}

void append_index_section(Bytes& target, const ObjectName& pack, std::uint8_t size_class, PeriodNumber period,
                          ByteView directory) {
  CHECK(directory.size() % kDirectoryEntryBytes == 0);
  BinaryWriter writer;
  writer.id(pack);
  writer.u8(size_class);
  writer.u32(period.value());
  writer.u32(static_cast<std::uint32_t>(directory.size() / kDirectoryEntryBytes));
  append(target, writer.view());
  append(target, directory);
}

Result<std::vector<IndexSection>> read_index(ByteView plain) {
  BinaryReader reader(TRY(read_payload(plain, PlaintextType::Index)), "index");
  const Footer footer = TRY(read_footer(plain));
  std::vector<IndexSection> sections;
  while (reader.remaining() > 0) {
    IndexSection section;
    section.pack = TRY(reader.id<ObjectName>());
    section.size_class = TRY(reader.u8());
    if (std::find(kSizeClasses.begin(), kSizeClasses.end(), section.size_class) == kSizeClasses.end()) {
      return reader.corrupt("unknown size class");
    }
    section.period = PeriodNumber(TRY(reader.u32()));
    const std::uint32_t count = TRY(reader.u32());
    std::uint64_t end = 0;
    section.entries = TRY(read_entries(reader, count, plain_capacity(section.size_class), end));
    sections.push_back(std::move(section));
  }
  if (sections.size() != footer.entries)
    return corrupt_pack("index has another number of sections than its footer says");
  return sections;
}

ChunkId ChunkIdentifier::of_bytes(ChunkKind kind, ByteView plain) {
  CHECK(kind != ChunkKind::Group);
  const std::array<Byte, 1> tag = {static_cast<Byte>(kind)};
  hmac_.update(tag);
  return ChunkId::from_view(hmac_.of(plain).view());
}

crypto::Hash256 ChunkIdentifier::file_hash(ByteView file) {
  const std::array<Byte, 1> tag = {kFileTag};
  hmac_.update(tag);
  return hmac_.of(file);
}

ChunkId ChunkIdentifier::of_group(const std::vector<GroupMember>& members) {
  Bytes message;
  message.reserve(1 + members.size() * 36);
  message.push_back(static_cast<Byte>(ChunkKind::Group));
  for (const GroupMember& member : members) {
    append(message, member.hash.view());
    std::array<Byte, 4> length{};
    store_u32(length, member.length);
    append(message, length);
  }
  return ChunkId::from_view(hmac_.of(message).view());
}

Status ChunkIdentifier::verify(ChunkKind kind, ByteView plain, const ChunkId& expected) {
  ChunkId found;
  if (kind == ChunkKind::Group) {
    const auto lengths = TRY(read_group_lengths(plain));
    std::vector<GroupMember> members;
    members.reserve(lengths.size());
    std::size_t at = 0;
    for (const std::uint32_t length : lengths) {
      members.push_back({file_hash(plain.subspan(at, length)), length});
      at += length;
    }
    found = of_group(members);
  } else {
    found = of_bytes(kind, plain);
  }
  if (found != expected)
    return Error(Code::Corrupt, "chunk " + expected.hex().substr(0, 16) + ": its bytes have another id");
  return {};
}

ContentId content_id_of(const crypto::Hash256& file_hash) {
  return ContentId::from_view(file_hash.view().first(16));
}

Result<std::vector<std::uint32_t>> read_group_lengths(ByteView plain) {
  if (plain.size() < 4) return corrupt_pack("group is shorter than its trailer");
  const std::uint64_t count = load_u32(plain.last(4));
  if (count == 0 || count > (plain.size() - 4) / 4) return corrupt_pack("group claims more members than it holds");
  const std::size_t trailer = static_cast<std::size_t>(count) * 4 + 4;
  const ByteView table = plain.last(trailer);
  std::vector<std::uint32_t> lengths(static_cast<std::size_t>(count));
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    lengths[i] = load_u32(table.subspan(i * 4));
    total += lengths[i];
  }
  if (total != plain.size() - trailer) return corrupt_pack("group lengths do not add up");
  return lengths;
}

void append_group_trailer(Bytes& target, const std::vector<std::uint32_t>& lengths) {
  BinaryWriter writer;
  for (const std::uint32_t length : lengths) writer.u32(length);
  writer.u32(static_cast<std::uint32_t>(lengths.size()));
  append(target, writer.view());
}

}  // namespace exclave::format
