// Records: the vault's table, typed. One row type per kind of key; all numbers big-endian, so keys sort by number.
// Hides: key prefixes and field order.
//
//   "s" stream            the signed stream descriptor, as its document
//   "r" registry stream   nothing: finds a registry's streams, by id
//   "h" stream            next u64 | chain (32) | held u64 | durable-at i64                       the head
//   "e" stream index      object (32) | chain (32) | snapshot u32, ffffffff = none | signature (64)
//   "o" object            registry (16) | era u32 | period u32 | bytes u64 | retain-until i64
//   "q" registry          used u64 | streams u64
//   "n"                   objects u64                                                             of the whole vault
//   "f" stream            two entries, as documents, that cannot both be true: the writer forked its stream
//   "p" vault             objects u64 | bytes u64 | last-at i64               what another vault has read here, ever
//   "w" vault object      the signed reading by which it announced that, the newest one
//   "c"                   object (32) | begun-at i64 | finished u8            the newest scrub, and how far it has come
//   "d" object stream     as "h": the stream's head when the object was found damaged; stream 0: no entry names it
//   "j" stream index      class u8 | registry (16) | era u32 | period u32     a journal's segment that is open (journals.h)
//   "m" stream index      its mark, as a document (format/mark.h); goes with the row above
//   "a" ...               acts, see act_book.h                                "vault" above: its receipt key
//
// I1  A row that does not decode, or whose key has another length, is Corrupt, naming its kind.
// Threads: from any thread, as Table.
// Durability: as Table.
// See: table/table.h.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "format/journal.h"
#include "format/mark.h"
#include "format/stream.h"
#include "table/table.h"

namespace exclave::vault {

// Entries 0..next-1 are held without a gap; chain is that of entry next-1, or the stream's start.
struct HeadRow {
  format::EntryIndex next;
  format::ChainHash chain;
  std::uint64_t held = 0;               // entries, contiguous or not
  std::int64_t durable_at_seconds = 0;  // when the head came to where it is
};

struct EntryRow {
  format::ObjectName object;
  format::ChainHash chain;
  std::optional<format::PeriodNumber> snapshot_oldest;
  crypto::Ed25519Signature signature;
};
EntryRow row_of(const format::SignedEntry& entry);
format::SignedEntry entry_of(const format::StreamId& stream, format::EntryIndex index, const EntryRow& row);

struct ObjectRow {
  format::KeyId key;
  std::uint64_t bytes = 0;
  std::int64_t retain_until_seconds = 0;
};

// An open segment: its whole class counts against the quota of the registry.
struct SegmentRow {
  std::uint8_t size_class = 0;
  format::KeyId key;
  std::uint64_t bytes() const { return format::object_bytes(size_class); }
};

struct RegistryRow {
  std::uint64_t used_bytes = 0;
  std::uint64_t streams = 0;
};

struct ReaderRow {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::int64_t last_at_seconds = 0;  // by this vault's clock
};

struct ScrubRow {
  format::ObjectName next;            // the first name that was not looked at yet
  std::int64_t begun_at_seconds = 0;  // by this vault's clock
  bool is_finished = false;
};

struct ForkEvidence {
  std::string first;  // documents of two signed entries
  std::string second;
};

// Corrupt unless the key of a `row` ("row of an entry") has so many bytes: before it is taken apart.
Status expect_key_size(ByteView key, std::size_t size, std::string_view row);

class Records {
 public:
  // `table` outlives the records.
  explicit Records(table::Table& table) : table_(table) {}

  Result<std::optional<format::SignedStream>> stream(const format::StreamId& id) const;
  Result<std::optional<HeadRow>> head(const format::StreamId& id) const;
  Result<std::optional<EntryRow>> entry(const format::StreamId& stream, format::EntryIndex index) const;
  Result<std::optional<ObjectRow>> object(const format::ObjectName& name) const;
  Result<std::optional<SegmentRow>> segment(const format::SegmentPlace& place) const;
  Result<std::optional<format::SignedMark>> mark(const format::SegmentPlace& place) const;
  Result<RegistryRow> registry(const format::RegistryId& id) const;  // zeros if there is none yet
  Result<std::uint64_t> object_count() const;
  Result<std::optional<ForkEvidence>> fork(const format::StreamId& id) const;

  Result<std::optional<ReaderRow>> reader(const crypto::Ed25519PublicKey& vault) const;
  Result<std::optional<format::SignedReading>> reading(const crypto::Ed25519PublicKey& vault,
                                                       const format::ObjectName& object) const;
  Result<std::optional<ScrubRow>> scrub() const;

  using ReaderVisitor =
      std::function<Result<table::Visit>(const crypto::Ed25519PublicKey& vault, const ReaderRow& row)>;
  Status scan_readers(const ReaderVisitor& visit) const;
  using DamageVisitor = std::function<Result<table::Visit>(const format::ObjectName& object,
                                                           const format::StreamId& stream, const HeadRow& head)>;
  Status scan_damages(const DamageVisitor& visit) const;
  using ObjectVisitor = std::function<Result<table::Visit>(const format::ObjectName& name, const ObjectRow& row)>;
  // Objects from `from` on, by name.
  Status scan_objects(const format::ObjectName& from, const ObjectVisitor& visit) const;
  using EntryVisitor = std::function<Result<table::Visit>(format::EntryIndex index, const EntryRow& row)>;
  // Held entries from `from` on, by index.
  Status scan_entries(const format::StreamId& stream, format::EntryIndex from, const EntryVisitor& visit) const;
  using StreamVisitor = std::function<Result<table::Visit>(const format::StreamId& id)>;
  // The registry's streams from `from` on, by id.
  Status scan_streams(const format::RegistryId& registry, const format::StreamId& from,
                      const StreamVisitor& visit) const;

  using SegmentVisitor = std::function<Result<table::Visit>(const format::SegmentPlace& place, const SegmentRow& row)>;
  // By stream and index.
  Status scan_segments(const SegmentVisitor& visit) const;

  // Changes that happen together. To be begun before the rows are read that it is made of: should the table be opened anew
  // meanwhile, the commit is refused with Unavailable.
  class Change {
   public:
    explicit Change(const Records& records) { batch_.made_of(records.table_.generation()); }
    void put_stream(const format::SignedStream& stream);
    void put_head(const format::StreamId& id, const HeadRow& row);
    void put_entry(const format::SignedEntry& entry);
    void put_object(const format::ObjectName& name, const ObjectRow& row);
    void put_segment(const format::SegmentPlace& place, const SegmentRow& row);
    void put_mark(const format::SignedMark& mark);
    void erase_segment(const format::SegmentPlace& place);  // and its mark
    void put_registry(const format::RegistryId& id, const RegistryRow& row);
    void put_object_count(std::uint64_t count);
    void put_fork(const format::StreamId& id, const ForkEvidence& evidence);
    void put_reader(const crypto::Ed25519PublicKey& vault, const ReaderRow& row);
    void put_reading(const format::SignedReading& reading);
    void put_scrub(const ScrubRow& row);
    void put_damage(const format::ObjectName& object, const format::StreamId& stream, const HeadRow& head);
    void erase_damage(const format::ObjectName& object, const format::StreamId& stream);

   private:
    friend class Records;
    table::Batch batch_;
  };
  Status commit(const Change& change);  // DURABLE

 private:
  table::Table& table_;
};

}  // namespace exclave::vault
