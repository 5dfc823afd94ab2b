// Pack plaintexts: what stands inside a sealed object. Three kinds, told apart by the footer only.
// Hides: where directory and footer stand; how chunks are described.
//
//   pack      := chunk* zeros directory footer
//   directory := entry*
//   entry     := chunk id (32) | offset u32 | stored u32 | plain u32 | kind u8 | codec u8 | 0 u16
//   index     := section* zeros footer
//   section   := pack name (32) | class u8 | period u32 | entries u32 | entry*
//   snapshot  := record zeros footer                                        the record: format/snapshot.h
//   footer    := type u8 | version u8 = 1 | 0 u16 | payload bytes u32 | entries u32 | 0 u32       the last 16 bytes
//
//   payload bytes: of the directory in a pack; of what stands at offset 0 in the others.
//   kind: 1 = content, 2 = group of small files, 3 = listing          codec: 0 = raw, 1 = zstd frame
//   group chunk plaintext := file bytes* | length u32 * n | n u32
//
// Units/limits: offsets and sizes in plaintext bytes; a chunk is at most 4 MiB + 64 KiB plain, never empty.
// I1  Chunks do not overlap and stand in directory order without gaps, from offset 0.
// I2  Everything between payload and footer (or chunks and directory) is zero; a reader checks it.
// Errors: Corrupt.
// Threads: pure.
// Source: docs/formats/pack.md.
#pragma once

#include <vector>

#include "crypto/hash.h"
#include "format/ids.h"

namespace exclave::format {

inline constexpr std::size_t kFooterBytes = 16;
inline constexpr std::size_t kDirectoryEntryBytes = 48;
inline constexpr std::size_t kIndexSectionHeaderBytes = 41;
inline constexpr std::uint32_t kMaxChunkPlainBytes = (4U << 20) + (64U << 10);

enum class PlaintextType : std::uint8_t {
  Pack = 1,
  Index = 2,
  Snapshot = 3
};  // 4..15 reserved: journal, tombstones, ...
enum class ChunkKind : std::uint8_t { Content = 1, Group = 2, Listing = 3 };
enum class ChunkCodec : std::uint8_t { Raw = 0, Zstd = 1 };

struct ChunkEntry {
  ChunkId id;
  std::uint32_t offset = 0;
  std::uint32_t stored_bytes = 0;
  std::uint32_t plain_bytes = 0;
  ChunkKind kind = ChunkKind::Content;
  ChunkCodec codec = ChunkCodec::Raw;
  friend bool operator==(const ChunkEntry&, const ChunkEntry&) = default;
};

struct Footer {
  PlaintextType type = PlaintextType::Pack;
  std::uint32_t payload_bytes = 0;
  std::uint32_t entries = 0;
};

void append_entry(Bytes& target, const ChunkEntry& entry);
void write_footer(MutableByteView at, const Footer& footer);  // 16 bytes
Result<Footer> read_footer(ByteView plain);

// Directory of an opened pack plaintext, fully checked (I1, I2).
Result<std::vector<ChunkEntry>> read_pack_directory(ByteView plain);
// Payload of an index or snapshot plaintext, zeros checked.
Result<ByteView> read_payload(ByteView plain, PlaintextType expected);

struct IndexSection {
  ObjectName pack;
  std::uint8_t size_class = 0;
  PeriodNumber period;
  std::vector<ChunkEntry> entries;
};
void append_index_section(Bytes& target, const ObjectName& pack, std::uint8_t size_class, PeriodNumber period,
                          ByteView directory);
Result<std::vector<IndexSection>> read_index(ByteView plain);

// --- chunk identity ---
// content, listing: HMAC-SHA-256(D, kind u8 || plaintext)
// group:            HMAC-SHA-256(D, 02 || (file hash (32) || length u32)*)
// file hash:        HMAC-SHA-256(D, 04 || file bytes); its first 16 bytes are a small file's content id
class ChunkIdentifier {
 public:
  explicit ChunkIdentifier(const crypto::Secret<32>& dedup_key) : hmac_(dedup_key.view()) {}
  ChunkId of_bytes(ChunkKind kind, ByteView plain);  // Content or Listing
  crypto::Hash256 file_hash(ByteView file);
  struct GroupMember {
    crypto::Hash256 hash;
    std::uint32_t length = 0;
  };
  ChunkId of_group(const std::vector<GroupMember>& members);
  // Recomputes the id of a chunk that was read back; Corrupt if it is another.
  Status verify(ChunkKind kind, ByteView plain, const ChunkId& expected);

 private:
  crypto::HmacSha256 hmac_;
};
ContentId content_id_of(const crypto::Hash256& file_hash);

// Lengths of a group's members; the members themselves are the bytes before the trailer.
Result<std::vector<std::uint32_t>> read_group_lengths(ByteView plain);
void append_group_trailer(Bytes& target, const std::vector<std::uint32_t>& lengths);

}  // namespace exclave::format
