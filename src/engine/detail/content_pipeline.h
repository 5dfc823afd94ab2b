// ContentPipeline: the part of a capture behind the reader. Chunks go in, in order, with the entries they belong to;
// packs, listing and catalogue come out.
// Hides: worker threads, deduplication, the order in which ids become known, listing chunks.
//
//   reader --(chunk | entries)--> workers: identify, look up, compress --in order--> packer: pack, list, catalogue
//
//   An entry gets its slices when its chunks have ids: a small file's is a member of a group, which has a number until
//   then; a large one's gather in its CutContent.
//   A block of unchanged entries is the listing chunk that it was, if a chunk begins just there; else its entries are
//   listed one by one, until the cutting rule finds the old ends again.
//
// I1  Entries reach listing and catalogue in the order of add_entry and add_block.
// I2  No entry reaches the listing that a reader would refuse, nor one out of walk order: it is left out, and so is
//     what lies in it, and Outcome names it. Who calls sees to it that there are none; one that slipped through would
//     make the whole snapshot unreadable.
// I3  A chunk is stored once per era: known to the index, or claimed by this capture, means skipped before compression.
// Threads: one caller; workers inside.
// Errors: those of packs and index; the catalogue's come with its commit.
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

// Content that is cut piece by piece: its slices, in order. Filled and taken on the ordered side alone. It is all that is
// kept of a chunk until the file or stream ends: 40 bytes.
using CutContent = std::deque<format::Slice>;

// Counts an entry by its type.
void add_to(format::SnapshotTotals& totals, const format::ListingEntry& entry);

struct GroupPlace {
  std::uint64_t group = 0;   // ContentPipeline::next_group
  std::uint32_t member = 0;  // which file of it
};

// An entry on its way to the listing.
struct PendingEntry {
  format::ListingEntry entry;  // with its slices, if they are known; of a small file without the chunk's id
  repo::LocalFacts facts;
  std::optional<GroupPlace> place;  // of a small file
  // Of a large one. shared_ptr: owned by whoever cuts it, then the entry, and by the chunks on their way.
  std::shared_ptr<CutContent> content;
};

// Unchanged entries of a catalogue that are all of a block's, and the paths of its ends.
struct PendingBlock {
  repo::CatalogueBlock block;
  std::string first;
  std::string last;
};

class ContentPipeline {
 public:
  ContentPipeline(const CaptureContext& context, repo::DedupIndex& index, repo::PackWriter& packs,
                  repo::CatalogueWriter* catalogue, format::PeriodNumber period, StageTimes& times);
  ~ContentPipeline();

  // Numbers are given out before the chunk is submitted, so that entries can name a group that is still open.
  std::uint64_t next_group() { return next_group_++; }

  struct Chunk {
    format::ChunkKind kind = format::ChunkKind::Content;
    std::shared_ptr<const Bytes> buffer;  // shared by all chunks cut from one slab
    std::size_t begin = 0;
    std::size_t size = 0;                 // plaintext, for a group with its trailer
    std::shared_ptr<CutContent> content;  // whose next slice it is; null for a group
    std::uint64_t group = 0;              // of a group: its number, and its files, each of which names it
    std::vector<std::uint32_t> member_lengths;
  };
  Status add_chunk(Chunk chunk);
  Status add_entry(PendingEntry entry);
  // Entries that are all as they were. Precondition: the block stands alone.
  Status add_block(PendingBlock block);

  struct Outcome {
    std::vector<format::ListingReference> listing;
    format::PeriodNumber oldest_period;      // of what this capture referred to, reused catalogue slices aside
    std::vector<CaptureProblem> left_out;    // I2; the first kMaxListedProblems
    format::SnapshotTotals left_out_totals;  // of all; `unreadable`: how many of them had no problem before
  };
  // Drains everything; ends the listing. Packs still hold what is not full.
  Result<Outcome> finish();

  // Makes claimed chunks of a pack that the index knows now forgettable. Called by the pack writer.
  void forget_claims(const repo::PackRecord& pack);

 private:
  using Pending = std::variant<PendingEntry, PendingBlock>;
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
  struct ResolvedGroup {
    format::ChunkId id;
    std::vector<format::ContentId> members;
    std::size_t uses_left = 0;
  };
  struct Tools;  // per worker

  Status flush_entries();
  Result<Done> work(Work item, std::size_t worker);
  Status sink(Done done);
  bool is_ready(const Pending& pending) const;
  Status emit(PendingEntry entry);
  Status emit(const PendingBlock& pending);
  // I2: why no entry of this path may come now, or nullopt.
  std::optional<std::string_view> misplaced(std::string_view path) const;
  void leave_out(const format::ListingEntry& entry, std::string_view why);
  Status end_listing_chunk(repo::ChunkEnd end);
  // True if this capture must store the chunk; sets the period if the era holds it already.
  Result<bool> claim(const format::ChunkId& id, std::optional<format::PeriodNumber>& known);

  const CaptureContext& context_;
  repo::DedupIndex& index_;
  repo::PackWriter& packs_;
  repo::CatalogueWriter* catalogue_;
  StageTimes& times_;
  std::uint64_t next_group_ = 0;
  std::vector<Pending> batch_;

  Mutex claims_mutex_;
  std::unordered_set<format::ChunkId> claims_ GUARDED_BY(claims_mutex_);

  // The ordered side: one thread at a time.
  std::unordered_map<std::uint64_t, ResolvedGroup> resolved_;  // groups that entries still wait for
  std::deque<Pending> waiting_;
  std::optional<std::string> last_path_;           // of what is listed
  std::optional<std::string> left_out_directory_;  // the last one
  format::ListingEncoder encoder_;
  format::BinaryWriter listing_bytes_;
  chunk::RecordCutter cutter_;
  Outcome outcome_;
  std::unique_ptr<Tools> listing_tools_;

  std::vector<std::unique_ptr<Tools>> tools_;
  std::unique_ptr<env::OrderedPipeline<Work, Done>> pipeline_;  // last: its threads use the rest
};

}  // namespace exclave::engine
