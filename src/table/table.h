// Table: an ordered, durable map from short keys to values, changed by atomic batches.
// Hides: which engine keeps it: RocksDB in the program, a log with a map in simulations (ADR-0012).
//
//   table := (key -> value)*           keys ordered bytewise, as unsigned bytes, a prefix before its extensions
//   batch := (put | erase)*            applied in order: the last operation on a key decides
//
// Units/limits: bytes; keys 1..1,024, values 0..4 MiB, a batch at most 64 MiB.
// I1  A batch happens whole or not at all, for readers and after a crash alike.
// I2  After a crash the table is what some first n batches, in the order of their write calls, made of it. n reaches
//     at least to the last Synced batch whose write returned ok. A Buffered batch survives the end of the process but
//     perhaps not a power loss, and never survives without all batches before it. A batch whose write failed may be
//     there or not, but not in part; later batches do not depend on it.
// I3  A scan sees the table as it was when the scan began, whatever is written meanwhile, even by its own visitor.
// I4  Bytes that failed a checksum are never returned. Damage to what is durable is reported as Corrupt. But damage to
//     the end of the write-ahead log cannot always be told from a torn write, and then reads as an older state: in
//     the twin, without what was written since the last but one sync; in RocksDB, without what was not yet flushed
//     from the log to a table file. Closing a table flushes it. Whoever makes promises on a table looks at opening
//     whether it is older than what they are about (vault/vault.h I4).
// Threads: all calls from any thread.
// Durability: see I2; an empty Synced batch makes everything before it durable.
// Errors: Corrupt (restore or rebuild the table from what it was made of), Exhausted (no space), Unavailable,
//         InvalidInput (limits). After a failed write it is not known whether the batch will be there after reopening;
//         until then further writes may be refused with Unavailable. Refused too: a batch that is made of another
//         generation than the table's, and of those that do not say, the first that finds the table opened anew.
// See: ADR-0012, tests/conformance/table_conformance.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace exclave::table {

inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxValueBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxBatchBytes = std::size_t{64} << 20;

enum class Durability { Buffered, Synced };
enum class Visit { Continue, Stop };

// Operations to be applied together. A value; may be cleared and reused.
class Batch {
 public:
  enum class Kind : std::uint8_t { Put, Erase };
  struct Operation {
    Kind kind = Kind::Put;
    ByteView key;    // into the batch
    ByteView value;  // empty for Erase
  };

  void put(ByteView key, ByteView value) { add(Kind::Put, key, value); }
  void erase(ByteView key) { add(Kind::Erase, key, {}); }
  // What it puts was worked out from rows that were read since the table was in that generation.
  void made_of(std::uint64_t generation) { generation_ = generation; }
  std::optional<std::uint64_t> generation() const { return generation_; }
  void clear();

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::size_t bytes() const { return bytes_.size(); }  // of all keys and values
  Operation operation(std::size_t index) const;        // valid until the batch changes

  // InvalidInput for a key, a value or a sum beyond the limits. Every Table calls it first.
  Status check_limits() const;

 private:
  struct Entry {
    Kind kind = Kind::Put;
    std::size_t begin = 0;
    std::size_t key_size = 0;
    std::size_t value_size = 0;
  };
  void add(Kind kind, ByteView key, ByteView value);

  Bytes bytes_;
  std::vector<Entry> entries_;
  std::optional<std::uint64_t> generation_;
};

// Keys k with from <= k and, if there is an end, k < end.
struct KeyRange {
  Bytes from;
  std::optional<Bytes> end;

  static KeyRange all() { return {}; }
  static KeyRange between(ByteView from, ByteView end) { return {to_bytes(from), to_bytes(end)}; }
  static KeyRange starting_at(ByteView from) { return {to_bytes(from), std::nullopt}; }
  static KeyRange prefix(ByteView prefix);
};

class Table {
 public:
  virtual ~Table() = default;

  // nullopt: no such key.
  virtual Result<std::optional<Bytes>> get(ByteView key) const = 0;
  virtual Status write(const Batch& batch, Durability durability) = 0;

  // Grows whenever the table was opened anew after a failed write: what was read before may be another state than this one.
  virtual std::uint64_t generation() const = 0;

  // Why what is read now may not survive power loss, although it was written Synced: a write failed, and none has succeeded
  // since. Whoever promises something on what it reads asks first.
  virtual Status settled() const = 0;

  // DURABLE, as an empty Synced batch, and from then on damage to the write-ahead log can take nothing of it back.
  virtual Status flush() = 0;

  // Called with views that are valid during the call only. An error ends the scan and becomes its result.
  using Visitor = std::function<Result<Visit>(ByteView key, ByteView value)>;
  // Visits the range in ascending order until the visitor says Stop. The visitor may use the table.
  virtual Status scan(const KeyRange& range, const Visitor& visitor) const = 0;
};

}  // namespace exclave::table
