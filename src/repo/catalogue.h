// Catalogue: an agent's own copy of a dataset's last listing, in walk order, with what the kernel said about each file.
// A capture merges the walk with it, so that unchanged files are neither read nor stored again. Unsealed, local,
// replaceable. Hides: the file's blocks.
//
//   file   := header block* trailer
//   header := "EXCLCAT1" | realm (16) registry (16) era u32 | dataset text | snapshot name (32) | oldest period u32 |
//   root text | totals (5 x u64)
//             (as one length-prefixed record: u32 length | bytes)
//   block  := u32 listing bytes | u32 entries | check (8) | listing records | (ctime i64, inode u64, device u64) *
//   entries trailer:= u32 ffffffff | u64 entries in all check  := first 8 bytes of SHA-256 of what follows in the block
//
// I1  Entries come in walk order; a reader refuses others.
// I2  It is replaced atomically, only after its snapshot is durable. A missing or damaged one costs a full read, never
// data. Threads: a reader or writer by one thread. Durability: after commit() returned. Errors: Corrupt (the caller
// goes on without), NotFound, Exhausted. Source: docs/formats/catalogue.md.
#pragma once

#include <memory>
#include <optional>
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

class CatalogueWriter {
 public:
  // Builds beside the present catalogue; nothing is visible before commit().
  static Result<CatalogueWriter> create(env::FileSystem& files, std::string_view directory);
  Status append(const format::ListingEntry& entry, const LocalFacts& facts);
  // DURABLE. Replaces DIRECTORY/<dataset>.catalogue.
  Status commit(const CatalogueHeader& header) &&;

 private:
  explicit CatalogueWriter(std::unique_ptr<env::FileSystem::Draft> draft);
  Status end_block();

  std::unique_ptr<env::FileSystem::Draft> draft_;
  format::ListingEncoder encoder_;
  format::BinaryWriter records_;
  format::BinaryWriter facts_;
  std::uint32_t in_block_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t offset_ = 0;
};

std::string catalogue_file_name(std::string_view dataset);

class CatalogueReader {
 public:
  static Result<CatalogueReader> open(env::FileSystem& files, std::string_view directory, std::string_view dataset);
  const CatalogueHeader& header() const { return header_; }
  // nullopt at the end.
  Result<std::optional<CatalogueEntry>> next();

 private:
  CatalogueReader() = default;
  Status read_header();
  Status read_block();
  Status read_exactly(MutableByteView out);

  std::unique_ptr<env::ReadableFile> file_;
  std::string path_;
  CatalogueHeader header_;
  std::vector<CatalogueEntry> block_;
  std::size_t next_in_block_ = 0;
  std::string last_path_;
  bool any_ = false;
  bool at_end_ = false;
  std::uint64_t entries_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace exclave::repo
