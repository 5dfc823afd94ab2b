// Damages: objects of which this vault holds no whole copy, as far as it knows, and what it still vouches for beside them.
// Hides: rows, and which streams a damaged object stands in.
//
//   scrub or repair finds it, nobody gives a good copy -> note -> [damaged] -> a good copy has come -> clear
//
//   stream   0 1 2 3 4 . . .     head when 2 was found damaged: 5, and it stays vouched for as it was
//                                entries that come later are taken, but no receipt reaches beyond 5 until 2 is back
//
// I1  A damaged object counts as not held: a put has to bring its bytes.
// I2  note() changes nothing about what was noted before: the first head counts.
// Units/limits: all of it is in memory too, 150 bytes for each object and stream.
// Threads: from any thread.
// Durability: note and clear are durable when they return ok.
// Errors: those of the table.
// See: docs/threat-model.md (L6).
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "vault/records.h"

namespace exclave::vault {

class Damages {
 public:
  using Object = std::pair<format::ObjectName, format::RegistryId>;

  // `records` outlives it.
  static Result<std::unique_ptr<Damages>> open(Records& records);

  std::uint64_t count() const;
  bool has(const format::ObjectName& object) const;
  // The first `limit` of them, by name.
  std::vector<format::ObjectName> some(std::size_t limit) const;
  // What may be signed of a stream with this head.
  HeadRow vouched(const format::StreamId& stream, const HeadRow& head) const;
  // Reads every entry of these objects' registries.
  Status note(const std::vector<Object>& objects);
  Status clear(const format::ObjectName& object);

 private:
  using Heads = std::map<format::StreamId, HeadRow>;

  explicit Damages(Records& records) : records_(records) {}
  // The streams of the registry that name them, with their heads.
  Status find_streams(const format::RegistryId& registry, std::map<format::ObjectName, Heads>& objects) const;

  Records& records_;
  mutable Mutex mutex_;
  std::map<format::ObjectName, Heads> damaged_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
