// Snapshot record: one dataset at one instant. Names the listing's chunks and the index objects that find every chunk.
// Hides: field order.
//
//   record := fields in the order of Snapshot below; texts and lists with varint lengths (format/binary.h)
//
// I1  References only point backwards and stay within the era.
// I2  oldest_period <= the period of the snapshot's own object; no object older than it is needed.
// Errors: Corrupt, Unsupported. Source: docs/formats/snapshot.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/secret.h"
#include "format/binary.h"
#include "format/database_journal.h"
#include "format/ids.h"

namespace exclave::format {

enum class DatasetKind : std::uint8_t { Tree = 1, ByteStream = 2, Database = 3 };

// In the listing of a base backup: the folder that holds its tablespaces, each by its OID. In the server's own order they
// stand behind links in pg_tblspc, which a listing cannot say.
inline constexpr std::string_view kTablespacesFolder = "exclave_tablespaces";

// Of a base backup: whose it is, and which part of the log makes it consistent.
struct BaseBackupFacts {
  LogSource source;
  LogTimeline timeline;
  LogPosition start;  // replay begins here
  LogPosition end;    // and is consistent from here on: a base is of no use without the log up to it
  friend bool operator==(const BaseBackupFacts&, const BaseBackupFacts&) = default;
};

struct SnapshotTotals {
  std::uint64_t files = 0;  // regular files (hard links counted each)
  std::uint64_t directories = 0;
  std::uint64_t others = 0;      // symlinks, devices, fifos, sockets
  std::uint64_t bytes = 0;       // logical sizes of regular files
  std::uint64_t unreadable = 0;  // entries that could not be captured whole; each is listed in the listing as such
  friend bool operator==(const SnapshotTotals&, const SnapshotTotals&) = default;
};

// The five counts as u64 in the order above: 40 bytes, wherever a record holds totals.
void write_totals(BinaryWriter& writer, const SnapshotTotals& totals);
Result<SnapshotTotals> read_totals(BinaryReader& reader);

struct ObjectReference {
  ObjectName name;
  std::uint8_t size_class = 0;
  PeriodNumber period;
  friend bool operator==(const ObjectReference&, const ObjectReference&) = default;
};

struct ListingReference {
  ChunkId id;
  std::uint32_t plain_bytes = 0;
  friend bool operator==(const ListingReference&, const ListingReference&) = default;
};

struct Snapshot {
  DatasetKind kind = DatasetKind::Tree;
  std::string dataset;          // name inside the registry
  std::uint64_t number = 0;     // of this dataset's captures in this era, from 1
  std::int64_t started_ns = 0;  // by the agent's clock
  std::int64_t finished_ns = 0;
  std::string host;
  std::string source;   // path, or what wrote the stream: never a command's arguments
  std::string program;  // "exclave 0.1.0"
  SnapshotTotals totals;
  PeriodNumber oldest_period;
  std::optional<ObjectName> previous;
  crypto::Secret<32> dedup_key;  // D of the era: lets a restorer recompute every chunk id
  std::vector<ListingReference> listing;
  std::vector<ObjectReference> indexes;
  std::optional<BaseBackupFacts> base;  // of a Database, and only then
};

Bytes encode_snapshot(const Snapshot& snapshot);
Result<Snapshot> decode_snapshot(ByteView record);

}  // namespace exclave::format
