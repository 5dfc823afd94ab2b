// LinkedNames: which names of a snapshot are one file in the target, and what becomes of them when that is left out.
// Hides: that an inode's number may have been used again while the tree was captured: names are one file only if what
// was captured under them is the same too.
//
//   add("a", inode 7, X) -> first     add("b", inode 7, X) -> link to "a"     add("c", inode 7, Y) -> first, unlike "a"
//
// I1  A name is linked to an earlier one of the same type, size, time and content (slices and extents, or target).
// I2  An unreadable name is never a first one: the names after it have the content that it lacks. It is itself linked to
//     an earlier name of its type, size and time.
// Memory: one path and 64 bytes per hard-linked file.
// Threads: note_left_out from any; the rest by one.
// Errors: remove_left_out: those of the target's file system.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "crypto/hash.h"
#include "engine/detail/restore_findings.h"
#include "engine/detail/target_tree.h"
#include "engine/snapshot_content.h"

namespace exclave::engine {

// A file with several names: the inode it was, and what was captured of it.
struct LinkedFile {
  format::HardLinkId inode;
  format::EntryType type = format::EntryType::Regular;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  crypto::Hash256 content;
  friend auto operator<=>(const LinkedFile&, const LinkedFile&) = default;
};

class LinkedNames {
 public:
  struct Name {
    LinkedFile file;
    std::optional<std::string> first;   // the name to link to; none: this is the first one, to be made
    std::optional<std::string> unlike;  // the first name of another file that had the inode
  };
  // In walk order. Precondition: the entry has a hard link id and is no directory.
  Name add(const format::ListingEntry& entry);
  // The first name could not be made: the next one is the first.
  void forget(const LinkedFile& file) { firsts_.erase(file); }

  // A file that is left out still has its names in the target.
  void note_left_out(const LinkedFile& file);
  // Takes them away and notes them, when nothing is made any more.
  Status remove_left_out(const SnapshotContent& content, const TargetTree& tree, RestoreFindings& findings);

 private:
  std::map<LinkedFile, std::string>::const_iterator find(const format::ListingEntry& entry,
                                                         const LinkedFile& file) const;

  std::map<LinkedFile, std::string> firsts_;
  Mutex mutex_;
  std::set<LinkedFile> left_out_ GUARDED_BY(mutex_);
};

// A missing name is as good as a removed one.
Status unless_missing(Error error);

}  // namespace exclave::engine
