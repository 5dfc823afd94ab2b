// TreeReader: what a capture does with each entry that the scanner delivers: counts it, reads what must be read, groups
// small files and cuts large ones. Internal to engine.
// Hides: groups, which entries wait for one, what a file that changes meanwhile is worth.
//
//   entry -> Reuse, Plain -------------------------------> pipeline
//            Read, small  -> into the open group, which ends by chunk/group_rule.h
//            Read, large  -> detail/slab_cutter.h
//
// Memory: kSlabs slabs and 10 groups.
// Threads: one.
// Errors: those of the pipeline. What cannot be read is no error: it is in the report, and in the listing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chunk/group_rule.h"
#include "engine/detail/slab_cutter.h"
#include "engine/detail/tree_scanner.h"

namespace exclave::engine {

// What every walk counts of an entry, dry or not. False if there is no entry to list, only a problem.
bool count_entry(const ScannedEntry& scanned, CaptureReport& report);
void count_block(const ScannedBlock& scanned, CaptureReport& report);

class TreeReader {
 public:
  // Called between the slabs of a large file, with how many of its bytes are counted and not read yet. An error ends it.
  using GoOn = std::function<Status(std::uint64_t unread_bytes)>;

  TreeReader(const CaptureContext& context, ContentPipeline& pipeline, CaptureReport& report, StageTimes& times,
             GoOn go_on);

  Status add(ScannedEntry scanned);
  Status add(ScannedBlock scanned);
  Status finish() { return end_group(); }
  // Whether any slice of the catalogue's entries went on into this listing.
  bool reused_any() const { return reused_any_; }

 private:
  Status read_small(ScannedEntry& scanned);
  Status read_large(ScannedEntry& scanned);
  Result<std::vector<format::DataExtent>> find_extents(ScannedEntry& scanned);
  Status end_group();
  void note_problem(format::ListingEntry& entry, format::EntryProblem problem, std::string why);
  void check_unchanged(ScannedEntry& scanned);
  void set_size(format::ListingEntry& entry, std::uint64_t size);
  PendingEntry pending_of(ScannedEntry& scanned) const { return {std::move(scanned.entry), scanned.facts, {}, {}}; }

  const CaptureContext& context_;
  ContentPipeline& pipeline_;
  CaptureReport& report_;
  StageTimes& times_;
  GoOn go_on_;
  repo::BufferPool slabs_;
  repo::BufferPool groups_;
  format::ChunkIdentifier identifier_;
  bool reused_any_ = false;

  // The open group of small files.
  std::shared_ptr<Bytes> group_;
  std::size_t group_size_ = 0;
  std::vector<std::uint32_t> group_lengths_;
  std::uint64_t group_number_ = 0;
  std::uint64_t bytes_beside_group_ = 0;
  std::size_t entries_beside_group_ = 0;
  chunk::GroupRule group_rule_;
};

}  // namespace exclave::engine
