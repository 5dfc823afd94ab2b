// RestorePlanner: turns listing entries into directories, names and links at once, and contents into runs of chunks for
// the ChunkWriter.
// Hides: batches: chunks of many files are gathered and sorted by where they lie, so that each is read once.
//
// I1  Every file is counted once in the report: restored, kept from an earlier run, or told in the findings. Those that
//     are not there are counted among the findings' absent ones as well.
// I2  What an earlier run finished is not written again; its attributes are set again, since that run may not have been
//     allowed to, or may have been killed before. They are set on the very file that was looked at: whoever may write into
//     the target, or owns part of it, gets no file changed by giving it a name there.
// Memory: a batch (48 MiB of plain chunks at most).
// Threads: one.
// Errors: of the target's file system; Corrupt (the listing contradicts itself).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/detail/chunk_writer.h"
#include "engine/detail/linked_names.h"
#include "engine/detail/restore_marker.h"
#include "engine/detail/restore_selection.h"
#include "engine/detail/target_tree.h"
#include "engine/restore.h"

namespace exclave::engine {

class RestorePlanner {
 public:
  using Found = RestoreMarker::Found;
  // Of this restore; all outlive the planner.
  struct Parts {
    const SnapshotContent& content;
    ChunkWriter& writer;
    AttributeSetter& attributes;
    RestoreFindings& findings;
    TargetTree& tree;
    RestoreSelection& selection;
    LinkedNames& links;
  };

  RestorePlanner(env::FileSystem& files, const Parts& parts, Found found, RestoreReport& report);

  Status add(format::ListingEntry entry);
  Status flush();
  // The target's file system could not make this directory, or one above it.
  bool is_refused(const std::string& directory) const { return refused_directories_.contains(directory); }

 private:
  Status add_chosen(format::ListingEntry entry);
  Status make_directory(const std::string& path);
  bool is_below_refused(std::string_view path) const;
  Status add_regular(format::ListingEntry& entry);
  Status add_other(format::ListingEntry& entry);
  Status create_other(env::Directory& parent, const format::ListingEntry& entry);
  Status finish_other(env::Directory& parent, const format::ListingEntry& entry);
  LinkedNames::Name add_name(const format::ListingEntry& entry);
  enum class Linked {
    Yes,
    Taken,  // something has the name; it was noted
    No,     // the target refuses the link: it is to be a file of its own; it was noted
  };
  Result<Linked> link_to_first(const std::string& path, const std::string& first);
  enum class Made { Name, AllThereIsToDo };
  Result<Made> make_name(FileTarget& file, const format::ListingEntry& entry);
  bool is_finished(const env::FileInfo& found, const format::ListingEntry& entry,
                   const env::FileAttributes& wanted) const;
  // False: it is not finished, and its name is free.
  Result<bool> keep(const TargetTree::Place& parent, const format::ListingEntry& entry,
                    const env::FileAttributes& wanted);
  Status make_room(const TargetTree::Place& parent, const std::string& path);
  Status add_slices(const std::shared_ptr<FileTarget>& file, const format::ListingEntry& entry);
  Status add_placement(const format::ChunkId& id, Placement placement);

  Parts parts_;
  const Found found_;
  const std::uint32_t own_user_;
  const std::size_t batch_directories_limit_;
  RestoreReport& report_;
  std::optional<std::string> refused_;  // the last directory that could not be made
  std::set<std::string> refused_directories_;

  std::map<format::ChunkId, ChunkTask> batch_;
  std::uint64_t batch_bytes_ = 0;
  std::size_t batch_slices_ = 0;
  std::size_t batch_directories_ = 0;
  const env::Directory* last_parent_ = nullptr;
};

}  // namespace exclave::engine
