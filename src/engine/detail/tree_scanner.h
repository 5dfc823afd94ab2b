// TreeScanner: the front of a tree capture. Walks, merges with the catalogue, opens what must be read, ahead of the
// reader. Hides: the prefetching thread, the catalogue merge, which attributes can be reused.
//
//   walk item + catalogue entry of the same path ->  Reuse (unchanged: slices as they were)
//                                                    Read  (regular file, opened, kernel told to fetch it)
//                                                    Plain (directory, link, device, empty file, unreadable)
//   walk items that are all of a catalogue block's entries, unchanged -> the block, as one item
//
// Window: kWindowFiles open files ahead of the reader, in batches.
// I1  Items come in walk order; each entry is one item, or in one block.
// I2  Reuse only if type, size, mtime, ctime and inode are those of the catalogue and the entry had no problem. An
//     entry whose ctime was less than 3 seconds ago when it was scanned enters the catalogue as one never to be reused.
// I3  Attributes and content of a regular file are those of one file: the one that was opened. What is gone before it
//     could be opened is no entry.
// I4  What no listing can hold (format::attributes_flaw) is a problem and no entry.
// Threads: one caller; one thread inside, named "scan".
// Errors: those of the root and of the catalogue (Corrupt).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "engine/capture.h"
#include "engine/detail/content_pipeline.h"
#include "engine/detail/owner_names.h"
#include "engine/detail/tree_walker.h"
#include "env/queue.h"
#include "repo/catalogue.h"

namespace exclave::engine {

inline constexpr std::size_t kWindowFiles = 256;

struct ScannedEntry {
  enum class Action { Reuse, Read, Plain };
  Action action = Action::Plain;
  format::ListingEntry entry;  // attributes; slices too for Reuse
  repo::LocalFacts facts;
  env::FileInfo info;
  std::unique_ptr<env::ReadableFile> file;         // for Read
  std::unique_ptr<repo::CatalogueEntry> previous;  // for Read: the same path, as it was; or null
  std::optional<std::string> problem;              // why it could not be captured whole
  bool is_new_entry = true;                        // false: only a problem, of what is or stays no entry of its own
};

// Unchanged entries that fill a block of the catalogue: all Reuse.
struct ScannedBlock {
  PendingBlock block;
  format::SnapshotTotals totals;  // of its entries
};

using Scanned = std::variant<ScannedEntry, ScannedBlock>;

class TreeScanner {
 public:
  // `catalogue` may be null. Starts the scanning thread.
  TreeScanner(env::Env& env, TreeWalker walker, std::optional<repo::CatalogueReader> catalogue, Rereading rereading,
              StageTimes& times);
  ~TreeScanner();  // stops and joins

  // nullopt at the end.
  Result<std::optional<Scanned>> next();
  std::uint64_t excluded() const { return excluded_; }  // after the end

 private:
  struct Batch {
    std::vector<Scanned> items;
    std::size_t open_files = 0;
    bool has_block = false;

    void add(Scanned scanned);
    bool is_full() const;
  };
  void run();
  // False at the end of the walk.
  Result<bool> scan_one(Batch& batch);
  // The catalogue's entry of that path, or null. Good until the next call.
  repo::CatalogueEntry* previous_of(const std::string& path, Batch& batch);
  bool next_block();
  bool is_reusable(const WalkItem& item, const repo::CatalogueEntry* previous) const;
  void reuse(repo::CatalogueEntry& previous, Batch& batch);
  void release_held(Batch& batch);
  // nullopt if the entry is gone.
  std::optional<ScannedEntry> describe(WalkItem& item, repo::CatalogueEntry* previous);
  void keep_info(const env::FileInfo& info, ScannedEntry& scanned);
  static Status keep_xattrs(std::vector<env::Xattr> xattrs, format::ListingEntry& entry);
  Status read_attributes(WalkItem& item, ScannedEntry& scanned);
  static Status read_attributes_by_name(WalkItem& item, ScannedEntry& scanned);

  env::Env& env_;
  TreeWalker walker_;
  // The catalogue, and its block that the walk is in. Entries [0, held_) were found unchanged and wait for the rest of
  // the block: when all are, the block goes on as one item; when something differs, they go on one by one.
  std::optional<repo::CatalogueReader> catalogue_;
  std::span<repo::CatalogueEntry> block_;
  std::size_t upcoming_ = 0;  // in block_
  std::size_t held_ = 0;
  bool block_is_intact_ = false;
  const Rereading rereading_;
  StageTimes& times_;
  OwnerNames names_;
  std::uint64_t excluded_ = 0;

  env::Queue<Result<Batch>> queue_;
  std::vector<Scanned> current_;
  std::size_t next_in_current_ = 0;
  bool ended_ = false;
  std::unique_ptr<env::Thread> thread_;  // last: uses the rest; null if it could not be started
};

}  // namespace exclave::engine
