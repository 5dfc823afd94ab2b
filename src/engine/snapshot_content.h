// SnapshotContent: an opened snapshot: its record, where its chunks are, and its listing, entry by entry.
// Hides: index objects, and rebuilding them from packs when they are lost.
//
// Threads: open and for_each_entry by one thread; chunks() from any.
// Errors: Denied (a period was not released), Corrupt, NotFound, Unavailable.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/snapshot_finder.h"
#include "format/listing.h"
#include "repo/chunk_source.h"

namespace exclave::engine {

class SnapshotContent {
 public:
  // `objects`: everything the vaults hold of the registry; used only if an index object cannot be read, then the own
  // directory of every pack of the era is read instead. `notes` says so, and names what could not be read: a pack that
  // cannot be had costs only what lies in it, if any vault answers. `opener` outlives it.
  static Result<std::unique_ptr<SnapshotContent>> open(repo::ObjectOpener& opener,
                                                       const format::ObjectReference& snapshot,
                                                       const std::vector<FoundObject>& objects);

  const format::Snapshot& record() const { return record_; }
  const repo::ChunkSource& chunks() const { return chunks_; }
  const std::vector<std::string>& notes() const { return notes_; }

  // Every entry in walk order; checks that the order is strict. Stops at the first error of `sink`.
  using Sink = std::function<Status(format::ListingEntry)>;
  Status for_each_entry(const Sink& sink) const;

 private:
  explicit SnapshotContent(repo::ObjectOpener& opener) : chunks_(opener) {}
  Status rebuild_index(const std::vector<FoundObject>& objects, const format::ObjectName& snapshot);

  format::Snapshot record_;
  repo::ChunkSource chunks_;
  std::vector<std::string> notes_;
};

}  // namespace exclave::engine
