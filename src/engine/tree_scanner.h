// TreeScanner: the front of a tree capture. Walks, merges with the catalogue, opens what must be read, ahead of the
// reader. Hides: the prefetching thread, the catalogue merge, which attributes can be reused.
//
//   walk item + catalogue entry of the same path ->  Reuse (unchanged: slices as they were)
//                                                    Read  (regular file, opened, kernel told to fetch it)
//                                                    Plain (directory, link, device, empty file, unreadable)
//
// Window: kWindowFiles open files ahead of the reader, in batches.
// I1  Items come in walk order, one per entry.
// I2  Reuse only if type, size, mtime, ctime and inode are those of the catalogue and the entry had no problem. An
// entry
//     whose ctime was less than 100 ms ago when it was scanned enters the catalogue as one that is never reused.
// Threads: one caller; one thread inside, named "scan". Errors: those of the root and of the catalogue (Corrupt).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/capture.h"
#include "engine/content_pipeline.h"
#include "engine/owner_names.h"
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
  std::unique_ptr<env::ReadableFile> file;       // for Read
  std::optional<repo::CatalogueEntry> previous;  // for Read: the same path, as it was
  std::optional<std::string> problem;            // why it could not be captured whole
  bool is_new_entry = true;                      // false: only a problem about an entry delivered before
};

class TreeScanner {
 public:
  // `catalogue` may be null. Starts the scanning thread.
  TreeScanner(env::Env& env, TreeWalker walker, std::optional<repo::CatalogueReader> catalogue, Rereading rereading,
              StageTimes& times);
  ~TreeScanner();  // stops and joins

  // nullopt at the end.
  Result<std::optional<ScannedEntry>> next();
  std::uint64_t excluded() const { return excluded_; }  // after the end

 private:
  using Batch = Result<std::vector<ScannedEntry>>;
  void run();
  Result<std::optional<ScannedEntry>> scan_one();
  Result<std::optional<repo::CatalogueEntry>> previous_of(const std::string& path);
  ScannedEntry describe(WalkItem& item, std::optional<repo::CatalogueEntry> previous);
  static Status keep_xattrs(std::vector<env::Xattr> xattrs, format::ListingEntry& entry);
  void read_attributes(WalkItem& item, ScannedEntry& scanned);

  env::Env& env_;
  TreeWalker walker_;
  std::optional<repo::CatalogueReader> catalogue_;
  std::optional<repo::CatalogueEntry> upcoming_;  // the catalogue's next entry
  bool catalogue_ended_ = false;
  const Rereading rereading_;
  StageTimes& times_;
  OwnerNames names_;
  std::uint64_t excluded_ = 0;

  env::Queue<Batch> queue_;
  std::vector<ScannedEntry> current_;
  std::size_t next_in_current_ = 0;
  bool ended_ = false;
  std::unique_ptr<env::Thread> thread_;  // last: uses the rest
};

}  // namespace exclave::engine
