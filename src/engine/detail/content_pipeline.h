// ContentPipeline: the part of a capture behind the reader. Chunks go in, in order, with the entries they belong to;
// packs, listing and catalogue come out.
// Hides: worker threads, deduplication, the order in which ids become known, listing chunks.
//
//   reader --(chunk | entries)--> workers: identify, look up, compress --in order--> packer: pack, list, catalogue
//
//   A chunk has a sequence number; an entry names its chunks by those until the ids are known.
//   A block of unchanged entries is the listing chunk that it was, if a chunk begins just there; else its entries are
//   listed one by one, until the cutting rule finds the old ends again.
//
// I1  Entries reach listing and catalogue in the order of add_entry and add_block.
// I2  A chunk is stored once per era: known to the index, or claimed by this capture, means skipped before compression.
// Threads: one caller; workers inside.
// Errors: those of packs, index, catalogue.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "chunk/record_cutter.h"
#include "compress/compress.h"
#include "engine/capture.h"
#include "env/workers.h"
#include "format/listing.h"
#include "repo/catalogue.h"

namespace exclave::engine {

// An entry on its way to the listing. Either its slices are known (reused), or `sequence` runs parallel to them and the
// chunk ids are filled in later.
struct PendingEntry {
  format::ListingEntry entry;
  repo::LocalFacts facts;
  std::vector<std::uint64_t> sequence;        // chunk numbers, parallel to entry.slices; empty if known
  std::optional<std::uint32_t> group_member;  // for small files: which member of the group it is
};

class ContentPipeline {
 public:
  ContentPipeline(const CaptureContext& context, repo::DedupIndex& index, repo::PackWriter& packs,
                  repo::CatalogueWriter* catalogue, format::PeriodNumber period, StageTimes& times);
  ~ContentPipeline();

  // Numbers are given out before the chunk is submitted, so that entries can name a group that is still open.
  std::uint64_t next_sequence() { return next_sequence_++; }

  struct Chunk {
    std::uint64_t sequence = 0;
    format::ChunkKind kind = format::ChunkKind::Content;
    std::shared_ptr<const Bytes> buffer;  // shared by all chunks cut from one slab
    std::size_t begin = 0;
    std::size_t size = 0;                       // plaintext, for a group with its trailer
    std::vector<std::uint32_t> member_lengths;  // of a group
    std::uint32_t uses = 0;                     // slices that will name it
  };
  Status add_chunk(Chunk chunk);
  Status add_entry(PendingEntry entry);
  // Entries that are all as they were. Precondition: the block stands alone.
  Status add_block(repo::CatalogueBlock block);

  struct Outcome {
    std::vector<format::ListingReference> listing;
    format::PeriodNumber oldest_period;  // of what this capture referred to, reused catalogue slices aside
  };
  // Drains everything; ends the listing. Packs still hold what is not full.
  Result<Outcome> finish();

  // Makes claimed chunks of a pack that the index knows now forgettable. Called by the pack writer.
  void forget_claims(const repo::PackRecord& pack);

 private:
  using Pending = std::variant<PendingEntry, repo::CatalogueBlock>;
  struct Work {
    std::optional<Chunk> chunk;
    std::vector<Pending> entries;
  };
  struct Done {
    std::optional<Chunk> chunk;
    format::ChunkId id;
    std::vector<format::ContentId> members;
    bool is_new = false;
    std::optional<format::PeriodNumber> known_period;
    format::ChunkCodec codec = format::ChunkCodec::Raw;
    Bytes compressed;
    std::vector<Pending> entries;
  };
  struct Resolved {
    format::ChunkId id;
    std::vector<format::ContentId> members;
    std::uint32_t uses_left = 0;
  };
  struct Tools;  // per worker

  Status flush_entries();
  Result<Done> work(Work item, std::size_t worker);
  Status sink(Done done);
  bool is_ready(const Pending& pending) const;
  Status emit(PendingEntry entry);
  Status emit(const repo::CatalogueBlock& block);
  Status end_listing_chunk(repo::ChunkEnd end);
  // True if this capture must store the chunk; sets the period if the era holds it already.
  Result<bool> claim(const format::ChunkId& id, std::optional<format::PeriodNumber>& known);

  const CaptureContext& context_;
  repo::DedupIndex& index_;
  repo::PackWriter& packs_;
  repo::CatalogueWriter* catalogue_;
  StageTimes& times_;
  std::uint64_t next_sequence_ = 0;
  std::vector<Pending> batch_;

  Mutex claims_mutex_;
  std::unordered_set<format::ChunkId> claims_ GUARDED_BY(claims_mutex_);

  // The ordered side: one thread at a time.
  std::unordered_map<std::uint64_t, Resolved> resolved_;
  std::deque<Pending> waiting_;
  format::ListingEncoder encoder_;
  format::BinaryWriter listing_bytes_;
  chunk::RecordCutter cutter_;
  Outcome outcome_;
  std::unique_ptr<Tools> listing_tools_;

  std::vector<std::unique_ptr<Tools>> tools_;
  std::unique_ptr<env::OrderedPipeline<Work, Done>> pipeline_;  // last: its threads use the rest
};

}  // namespace exclave::engine
