// DedupIndex: what an agent knows about one era of one registry: which chunks the vaults hold, which packs still want
// to be named by an index object, which index objects and snapshots there are, and the newest receipts. Hides: the
// table's keys.
//
//   "c" chunk id          -> period u32                     known chunks (dedup scope: this registry and era)
//   "p" number u64        -> class u8 period u32 name (32) directory       packs no index object names yet
//   "i" number u64        -> name (32) class u8 period u32   index objects of the era
//   "s" number u64        -> snapshot summary (below)
//   "r" vault name 00 stream id -> receipt document
//   "n"                   -> next number u64
//   "t"                   -> agent clock of the newest stream, u64 ns
//   "e" stream id         -> entries u64, of repo/relied_entries.h
//
// I1  A chunk is known only if its pack has k receipts (PackWriter I2).
// I2  After finish_snapshot returned, the snapshot, its index objects and all packs they name survive power loss here.
// I3  take_start never gives a time twice, nor an earlier one, while this table lasts: streams are ordered by it.
// I4  Losing this table loses no record: the agent then opens the next era (agent recover).
// Threads: knows() from any thread; everything else by one thread at a time.
// Errors: Corrupt (the table; hint names `exclave agent recover`), Exhausted, Unavailable.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/pack.h"
#include "format/snapshot.h"
#include "format/stream.h"
#include "table/table.h"

namespace exclave::repo {

struct PackRecord {
  format::ObjectName name;
  std::uint8_t size_class = 0;
  format::PeriodNumber period;
  Bytes directory;  // entries as in the pack
};

// What `exclave snapshots` shows at home, where snapshots cannot be opened.
struct SnapshotSummary {
  format::ObjectName name;
  std::string dataset;
  format::DatasetKind kind = format::DatasetKind::Tree;
  std::uint64_t number = 0;
  std::int64_t started_ns = 0;
  std::int64_t finished_ns = 0;
  std::string source;
  format::SnapshotTotals totals;
  std::uint64_t stored_bytes = 0;  // new object bytes of this capture
  format::PeriodNumber oldest_period;
  format::PeriodNumber period;
};

// The newest receipt of a vault for a stream.
struct KeptReceipt {
  std::string vault;
  format::SignedReceipt receipt;
};

// As the table has them: for whoever only looks. Snapshots: oldest first.
Result<std::vector<SnapshotSummary>> snapshots_in(const table::Table& table);
Result<std::vector<KeptReceipt>> receipts_in(const table::Table& table);

class DedupIndex {
 public:
  static Result<DedupIndex> open(table::Table& table);  // `table` outlives it

  // The period that the chunk's pack was sealed in; nullopt if the chunk is not known.
  Result<std::optional<format::PeriodNumber>> find(const format::ChunkId& id) const;
  Status add_durable_pack(const PackRecord& pack);

  // Packs that no index object names yet, in the order in which they became known: from number `from` on as many as make
  // `limit` bytes of index sections, at least one. An ingest leaves one for each 16 MiB, with all its chunks' ids.
  struct UnindexedPacks {
    std::vector<PackRecord> packs;
    std::uint64_t next = 0;  // where to go on; there are no more if `packs` is empty
  };
  Result<UnindexedPacks> unindexed_packs(std::uint64_t from, std::size_t limit) const;
  Result<std::vector<PackRecord>> unindexed_packs() const;  // all of them: for those who look at small tables
  Result<std::vector<format::ObjectReference>> index_objects() const;
  Result<std::vector<SnapshotSummary>> snapshots() const;
  Result<std::uint64_t> last_number_of(std::string_view dataset) const;  // 0 if there is none
  // One synced batch: the index objects are known, the packs they name are indexed, the snapshot is listed.
  Status finish_snapshot(const SnapshotSummary& summary, const std::vector<format::ObjectReference>& new_indexes);

  // The time, in ns since 1970, from which a new stream counts: `now_ns`, or just after the newest stream if that is
  // later. Durable with the next finish_snapshot.
  Result<std::uint64_t> take_start(std::uint64_t now_ns);

  Status keep_receipt(std::string_view vault, const format::SignedReceipt& receipt);
  Result<std::vector<KeptReceipt>> receipts() const { return receipts_in(*table_); }

 private:
  explicit DedupIndex(table::Table& table) : table_(&table) {}
  std::uint64_t take_number(table::Batch& batch);

  table::Table* table_;
  std::uint64_t next_number_ = 1;
};

}  // namespace exclave::repo
