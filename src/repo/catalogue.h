// Catalogue: an agent's own copy of a dataset's last listing, in walk order, with what the kernel said about each file.
// A capture merges the walk with it, so that unchanged files are neither read nor stored again, and runs of unchanged
// entries not even listed again. Unsealed, local, replaceable. Hides: the file's blocks.
//
//   file   := header block* trailer
//   header := "EXCLCAT2" | realm (16) registry (16) era u32 | dataset text | snapshot name (32) | oldest period u32 |
//             root text | totals (5 x u64) | check (8)                               padded to 16 KiB
//   block  := records bytes u32 | entries u32 | end u8 | chunk id (32) | check (8) | records | facts * entries
//   facts  := ctime i64 | inode u64 | device u64
//   trailer:= u32 ffffffff | u64 entries in all
//
//   records: the plaintext of one listing chunk, and chunk id is its id. entries: those that start in it.
//   end: 1 = the chunk ended where the cutting rule says, 0 = with the listing.
//
// I1  Entries come in walk order; a reader refuses others.
// I2  It is replaced atomically, only after its snapshot is durable. A missing or damaged one costs a full read, never
//     data.
// I3  A block that stands alone (no entry shared with its neighbours, ended by the rule) is the same chunk again
//     wherever a chunk begins in a later listing and the same entries follow.
// I4  What cannot be written is told by commit() alone: a capture does not end for what only makes the next one cheaper. The
//     room that was taken is given back at once: a disk that is full has better uses for it.
// Threads: a reader or writer by one thread.
// Durability: after commit() returned.
// Errors: Corrupt (the caller goes on without), NotFound, Exhausted.
// Source: docs/formats/catalogue.md.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "env/file_system.h"
#include "format/listing.h"
#include "format/snapshot.h"

namespace exclave::repo {

// What the kernel said when the entry was captured.
struct LocalFacts {
  std::int64_t changed_ns = 0;  // ctime
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  friend bool operator==(const LocalFacts&, const LocalFacts&) = default;
};

struct CatalogueHeader {
  format::RealmId realm;
  format::RegistryId registry;
  format::EraNumber era;
  std::string dataset;
  format::ObjectName snapshot;
  format::PeriodNumber oldest_period;
  std::string root;  // the captured path
  format::SnapshotTotals totals;
};

struct CatalogueEntry {
  format::ListingEntry entry;
  LocalFacts facts;
};

enum class ChunkEnd : std::uint8_t { WithListing = 0, ByRule = 1 };

// One block as it stands in the file.
struct CatalogueBlock {
  Bytes bytes;
  format::ListingReference listing;  // the chunk that its records are
  std::uint32_t entries = 0;

  // Of a block that stands alone.
  Result<std::vector<CatalogueEntry>> decode() const;
};

class CatalogueWriter {
 public:
  // Builds beside the present catalogue; nothing is visible before commit().
  static CatalogueWriter create(env::FileSystem& files, std::string_view directory);
  // An entry whose records come next.
  void begin_entry(const LocalFacts& facts);
  // The listing chunk that holds the records of all entries begun since the last one.
  void end_chunk(const format::ChunkId& id, ByteView records, ChunkEnd end);
  // A block of an earlier catalogue. Precondition: no entry was begun since the last chunk.
  void keep(const CatalogueBlock& block);
  // DURABLE. Replaces DIRECTORY/<dataset>.catalogue. The first error of a write before, if there was one (I4).
  Status commit(const CatalogueHeader& header) &&;

 private:
  CatalogueWriter() = default;
  void write(ByteView block, std::uint32_t entries);

  std::unique_ptr<env::FileSystem::Draft> draft_;  // none after a failure
  std::optional<Error> failure_;
  format::BinaryWriter facts_;
  std::uint32_t begun_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t offset_ = 0;
};

std::string catalogue_file_name(std::string_view dataset);

class CatalogueReader {
 public:
  static Result<CatalogueReader> open(env::FileSystem& files, std::string_view directory, std::string_view dataset);
  const CatalogueHeader& header() const { return header_; }

  // Entry by entry: nullopt at the end.
  Result<std::optional<CatalogueEntry>> next();

  // Block by block, not mixed with next(). False at the end.
  Result<bool> read_block();
  // Entries that end in the block, whole. The caller may move out of them.
  std::span<CatalogueEntry> entries() { return std::span(entries_).first(count_); }
  // I3. Then take_block() gives it away, once.
  bool stands_alone() const { return stands_alone_; }
  CatalogueBlock take_block() { return std::move(block_); }

 private:
  CatalogueReader() = default;
  Status read_header();
  Status decode_block(std::uint32_t records_bytes, ChunkEnd end);
  Status add_entry(format::ListingEntry&& entry);
  Status read_exactly(MutableByteView out);

  std::unique_ptr<env::ReadableFile> file_;
  std::uint64_t size_ = 0;
  std::string path_;
  CatalogueHeader header_;
  CatalogueBlock block_;
  format::ListingDecoder decoder_;
  std::vector<CatalogueEntry> entries_;  // the first count_ are the block's; all keep their memory for the next
  std::size_t count_ = 0;
  std::deque<LocalFacts> facts_;  // of entries that have started and not ended
  bool stands_alone_ = false;
  std::size_t next_in_block_ = 0;
  std::string last_path_;
  bool any_ = false;
  bool at_end_ = false;
  std::uint64_t started_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace exclave::repo
