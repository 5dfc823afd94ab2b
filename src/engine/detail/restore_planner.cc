#include "engine/detail/restore_planner.h"

#include <algorithm>

#include "base/text.h"
#include "engine/detail/tree_walker.h"

namespace exclave::engine {
namespace {

constexpr std::uint64_t kBatchBytes = 48U << 20;
constexpr std::size_t kBatchSlices = 16384;
// Directories of a batch stay open until its files are written. A small batch reads the chunks at its ends once more
// than a large one would.
constexpr std::size_t kFewestBatchDirectories = 16;
constexpr std::size_t kMostBatchDirectories = 1024;
constexpr std::size_t kRunBytes = 4U << 20;      // stored bytes fetched in one read
constexpr std::size_t kMaxGapBytes = 64U << 10;  // unwanted bytes between chunks that are read along

// All that can be under way at once, a batch for each piece of work in the pipeline, takes half of what may be open.
std::size_t directories_of_a_batch(env::FileSystem& files) {
  return std::clamp(files.open_limit() / (2 * (ChunkWriter::kPipelineDepth + 2)), kFewestBatchDirectories,
                    kMostBatchDirectories);
}

bool is_device(format::EntryType type) {
  return type == format::EntryType::CharDevice || type == format::EntryType::BlockDevice;
}

}  // namespace

RestorePlanner::RestorePlanner(env::FileSystem& files, const Parts& parts, Found found, RestoreReport& report)
    : parts_(parts),
      found_(found),
      own_user_(files.own_user()),
      batch_directories_limit_(directories_of_a_batch(files)),
      report_(report) {}

Status RestorePlanner::add(format::ListingEntry entry) {
  Status added = parts_.selection.pass(
      std::move(entry), [this](const format::ListingEntry& above) { return make_directory(above.path); },
      [this](format::ListingEntry chosen) { return add_chosen(std::move(chosen)); });
  return parts_.writer.has_ended() ? added : parts_.findings.of_target(std::move(added));
}

Status RestorePlanner::make_directory(const std::string& path) {
  if (path.empty()) return {};
  Status made = parts_.tree.make_directory(path);
  if (made.ok() || made.error().code() != Code::InvalidInput) {
    return std::move(made).in([&] { return "directory '" + printable(path) + "'"; });
  }
  parts_.findings.note_refused(path, made.error());
  refused_ = path;
  refused_directories_.insert(path);
  return {};
}

bool RestorePlanner::is_below_refused(std::string_view path) const {
  return refused_.has_value() && path.size() > refused_->size() && path.starts_with(*refused_) &&
         path[refused_->size()] == '/';
}

Status RestorePlanner::add_chosen(format::ListingEntry entry) {
  const bool is_directory = entry.type == format::EntryType::Directory;
  if (entry.path.empty() && !is_directory) return Error(Code::Corrupt, "listing: its root is not a directory");
  if (is_below_refused(entry.path)) {
    parts_.findings.note_content_problem(entry.path, "is not there, as the directory above it could not be made");
    if (is_directory) refused_directories_.insert(entry.path);
    return {};
  }
  if (entry.problem == format::EntryProblem::Unreadable) {
    parts_.findings.note_content_problem(entry.path, "could not be read when it was captured");
    // A link without its target, a node nobody could look at: better absent than made up.
    if (!is_directory && entry.type != format::EntryType::Regular) return {};
  } else if (entry.problem == format::EntryProblem::ChangedWhileRead) {
    parts_.findings.note_content_problem(entry.path, "changed while it was captured: restored as it was read");
  }
  if (is_directory) {
    TRY(make_directory(entry.path));
    if (!is_refused(entry.path)) ++report_.totals.directories;
    return {};
  }
  if (entry.type == format::EntryType::Regular) return add_regular(entry);
  return add_other(entry);
}

// Size and time say that it is finished; the rest, that an earlier run made it. Whoever owns a directory of the target
// could put a file of theirs there, or a second name of somebody else's.
bool RestorePlanner::is_finished(const env::FileInfo& found, const format::ListingEntry& entry,
                                 const env::FileAttributes& wanted) const {
  if (found_ != Found::Finished || found.type != env::FileType::Regular) return false;
  if (found.size != entry.size || found.modified.nanoseconds != entry.modified_ns) return false;
  const bool is_ours = found.user == own_user_ || (wanted.owner.has_value() && found.user == wanted.owner->first);
  return is_ours && (found.link_count == 1 || entry.hard_link.has_value());
}

// Of what was looked at, and of nothing that gets its name meanwhile. Costs nothing in a directory that this run made.
Result<bool> RestorePlanner::keep(const TargetTree::Place& parent, const format::ListingEntry& entry,
                                  const env::FileAttributes& wanted) {
  if (parent.is_new) return false;
  const auto present = parent.directory->pin(env::base_name(entry.path));
  if (!present.ok()) {
    if (present.error().code() == Code::NotFound) return false;
    return present.error();
  }
  if (!is_finished(TRY(present.value()->info()), entry, wanted)) {
    TRY(make_room(parent, entry.path));
    return false;
  }
  ++report_.kept_files;
  TRY(parts_.attributes.apply_or_note(entry.path, wanted, [&](const env::FileAttributes& attributes) {
    return present.value()->set_attributes(attributes);
  }));
  return true;
}

Status RestorePlanner::make_room(const TargetTree::Place& parent, const std::string& path) {
  if (parent.is_new) return {};
  Status removed = parent.directory->remove(env::base_name(path));
  return removed.ok() ? removed : unless_missing(removed.take_error());
}

LinkedNames::Name RestorePlanner::add_name(const format::ListingEntry& entry) {
  LinkedNames::Name name = parts_.links.add(entry);
  if (name.unlike.has_value()) {
    parts_.findings.note_problem(entry.path,
                                 "shared an inode with '" + printable(*name.unlike) +
                                     "' when it was captured, but not its content and time: it is restored " +
                                     "as a file of its own");
  }
  return name;
}

Result<RestorePlanner::Linked> RestorePlanner::link_to_first(const std::string& path, const std::string& first) {
  const TargetTree::Place parent = TRY(parts_.tree.parent_of(path));
  const auto source = TRY(parts_.tree.reach(directory_of(first)));
  TRY(make_room(parent, path));
  Status linked = parent.directory->create_link(env::base_name(path), *source, env::base_name(first)).in([&] {
    return "hard link '" + printable(path) + "'";
  });
  if (linked.ok()) return Linked::Yes;
  switch (linked.error().code()) {
    case Code::AlreadyExists:
      parts_.findings.note_taken(path, linked.error());
      return Linked::Taken;
    case Code::InvalidInput:
    case Code::Denied:
    case Code::Unsupported:  // its file system knows no hard links, or no more of this file
      parts_.findings.note_problem(path, "is a file of its own here: " + linked.error().message());
      return Linked::No;
    default:
      return linked.take_error();
  }
}

Status RestorePlanner::add_regular(format::ListingEntry& entry) {
  ++report_.totals.files;
  report_.totals.bytes += entry.size;
  std::optional<LinkedNames::Name> linked;
  if (entry.hard_link.has_value()) {
    linked = add_name(entry);
    if (linked->first.has_value()) {
      const Linked made = TRY(link_to_first(entry.path, *linked->first));
      if (made == Linked::Taken) parts_.findings.note_absent_file(entry.size);
      if (made != Linked::No) return {};
      linked.reset();
    }
  }
  TargetTree::Place parent = TRY(parts_.tree.parent_of(entry.path));
  env::FileAttributes attributes = parts_.attributes.attributes_for(entry);
  if (TRY(keep(parent, entry, attributes))) return {};
  auto file = std::make_shared<FileTarget>();
  file->parent = std::move(parent.directory);
  file->path = entry.path;
  file->size = entry.size;
  file->attributes = std::move(attributes);
  if (linked.has_value()) file->linked = linked->file;
  for (const format::Slice& slice : entry.slices) file->bytes_left += slice.length;
  // The name must exist now if others link to it, or if several pieces of work write to it; else a worker makes it.
  const bool at_once = entry.slices.size() != 1 || entry.sparse || entry.hard_link.has_value();
  if (at_once && TRY(make_name(*file, entry)) == Made::AllThereIsToDo) return {};
  if (file->parent.get() != last_parent_) {
    last_parent_ = file->parent.get();
    ++batch_directories_;
  }
  return add_slices(file, entry);
}

Result<RestorePlanner::Made> RestorePlanner::make_name(FileTarget& file, const format::ListingEntry& entry) {
  const std::uint64_t data = file.bytes_left;
  const auto handle = TRY(parts_.writer.create(file).in([&] { return "file '" + printable(entry.path) + "'"; }));
  if (handle == nullptr) {
    if (file.linked.has_value()) parts_.links.forget(*file.linked);
    return Made::AllThereIsToDo;
  }
  file.created = true;
  if (entry.sparse || entry.slices.size() > 1) {
    Status sized = handle->resize(entry.size);
    if (!sized.ok() && sized.error().code() == Code::InvalidInput) {
      if (file.linked.has_value()) parts_.links.forget(*file.linked);
      file.linked.reset();
      TRY(parts_.writer.refuse(file, data, sized.error()));
      return Made::AllThereIsToDo;
    }
    TRY(std::move(sized));
  }
  if (data > 0) return Made::Name;
  TRY(parts_.writer.finish_file(file, *handle));
  return Made::AllThereIsToDo;
}

Status RestorePlanner::add_slices(const std::shared_ptr<FileTarget>& file, const format::ListingEntry& entry) {
  std::vector<format::DataExtent> extents = entry.extents;
  if (!entry.sparse) extents = {{0, entry.size}};
  std::size_t extent = 0;
  std::uint64_t in_extent = 0;
  for (const format::Slice& slice : entry.slices) {
    std::uint32_t done = 0;
    while (done < slice.length) {
      if (extent == extents.size())
        return Error(Code::Corrupt, "listing: slices of '" + printable(entry.path) + "' go beyond its data");
      const std::uint64_t room = extents[extent].length - in_extent;
      const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, slice.length - done));
      TRY(add_placement(slice.chunk, {file, extents[extent].offset + in_extent, slice.offset + done, length}));
      done += length;
      in_extent += length;
      if (in_extent == extents[extent].length) {
        ++extent;
        in_extent = 0;
      }
    }
  }
  return {};
}

Status RestorePlanner::add_placement(const format::ChunkId& id, Placement placement) {
  auto found = batch_.find(id);
  if (found == batch_.end()) {
    const auto place = parts_.content.chunks().locate(id);
    if (!place.ok()) {
      parts_.writer.leave_out(*placement.file, place.error());
      return parts_.writer.give_up(*placement.file, placement.length);
    }
    found = batch_.emplace(id, ChunkTask{id, place.value(), {}}).first;
    batch_bytes_ += place.value().plain_bytes;
  }
  found->second.placements.push_back(std::move(placement));
  ++batch_slices_;
  if (batch_bytes_ >= kBatchBytes || batch_slices_ >= kBatchSlices || batch_directories_ >= batch_directories_limit_)
    return flush();
  return {};
}

Status RestorePlanner::flush() {
  std::vector<ChunkTask> tasks;
  tasks.reserve(batch_.size());
  for (auto& [id, task] : batch_) tasks.push_back(std::move(task));
  batch_.clear();
  batch_bytes_ = 0;
  batch_slices_ = 0;
  batch_directories_ = 0;
  last_parent_ = nullptr;
  std::sort(tasks.begin(), tasks.end(), [](const ChunkTask& a, const ChunkTask& b) {
    return std::pair(a.place.pack, a.place.offset) < std::pair(b.place.pack, b.place.offset);
  });
  ChunkRun run;
  for (ChunkTask& task : tasks) {
    if (!run.chunks.empty()) {
      const repo::ChunkPlace& first = run.chunks.front().place;
      const repo::ChunkPlace& last = run.chunks.back().place;
      const bool near = task.place.pack == first.pack &&
                        task.place.offset - (last.offset + last.stored_bytes) <= kMaxGapBytes &&
                        task.place.offset + task.place.stored_bytes - first.offset <= kRunBytes;
      if (!near) TRY(parts_.writer.submit(std::exchange(run, {})));
    }
    run.chunks.push_back(std::move(task));
  }
  if (!run.chunks.empty()) TRY(parts_.writer.submit(std::move(run)));
  return {};
}

Status RestorePlanner::add_other(format::ListingEntry& entry) {
  // It opens the device itself to whoever it belongs to.
  if (is_device(entry.type) && parts_.attributes.gives_away()) {
    parts_.findings.note_problem(entry.path, "is a device node, and not made, as it would be given to another owner");
    return {};
  }
  std::optional<LinkedFile> first_of;
  if (entry.hard_link.has_value()) {
    const LinkedNames::Name name = add_name(entry);
    if (name.first.has_value()) {
      const Linked linked = TRY(link_to_first(entry.path, *name.first));
      if (linked == Linked::Yes) ++report_.totals.others;
      if (linked != Linked::No) return {};
    } else {
      first_of = name.file;
    }
  }
  const TargetTree::Place place = TRY(parts_.tree.parent_of(entry.path));
  TRY(make_room(place, entry.path));
  Status created = create_other(*place.directory, entry);
  if (created.ok()) {
    ++report_.totals.others;
    return finish_other(*place.directory, entry);
  }
  switch (created.error().code()) {
    case Code::AlreadyExists:
      parts_.findings.note_taken(entry.path, created.error());
      break;
    case Code::InvalidInput:
      parts_.findings.note_refused(entry.path, created.error());
      break;
    case Code::Denied:
    case Code::Unsupported:
      parts_.findings.note_content_problem(entry.path, created.error().message());
      break;
    default:
      return created;
  }
  if (first_of.has_value()) parts_.links.forget(*first_of);
  return {};
}

Status RestorePlanner::finish_other(env::Directory& parent, const format::ListingEntry& entry) {
  const auto made = parent.pin(env::base_name(entry.path));
  const auto set = [&](const env::FileAttributes& wanted) -> Status {
    if (!made.ok()) return made.error();
    const env::FileInfo info = TRY(made.value()->info());
    const bool is_it = info.type != env::FileType::Regular && info.type != env::FileType::Directory;
    if (!is_it || info.link_count != 1)
      return Error(Code::Precondition, "something else has its name now: no attributes were set");
    return made.value()->set_attributes(wanted);
  };
  return parts_.attributes.apply_or_note(entry.path, parts_.attributes.attributes_for(entry), set);
}

Status RestorePlanner::create_other(env::Directory& parent, const format::ListingEntry& entry) {
  const std::string_view name = env::base_name(entry.path);
  switch (entry.type) {
    case format::EntryType::Symlink:
      return parent.create_symlink(name, entry.link_target);
    case format::EntryType::Fifo:
      return parent.create_node(name, env::FileType::Fifo, env::kPrivateFile, 0, 0);
    case format::EntryType::Socket:
      return parent.create_node(name, env::FileType::Socket, env::kPrivateFile, 0, 0);
    case format::EntryType::CharDevice:
      return parent.create_node(name, env::FileType::CharDevice, env::kPrivateFile, entry.device_major,
                                entry.device_minor);
    case format::EntryType::BlockDevice:
      return parent.create_node(name, env::FileType::BlockDevice, env::kPrivateFile, entry.device_major,
                                entry.device_minor);
    case format::EntryType::Regular:
    case format::EntryType::Directory:
      break;
  }
  return Error(Code::Bug, "add_other was given a file or directory");
}

}  // namespace exclave::engine
