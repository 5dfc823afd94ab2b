#include "engine/restore.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <span>

#include "base/mutex.h"
#include "base/text.h"
#include "engine/target_tree.h"
#include "engine/tree_walker.h"
#include "env/workers.h"

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
constexpr std::size_t kPipelineDepth = 6;
constexpr std::string_view kMarkerSuffix = ".exclave-restore";

// A regular file on its way to disk. shared_ptr: owned by every piece of work that still writes to it.
struct FileTarget {
  std::shared_ptr<env::Directory> parent;
  std::string path;
  env::FileAttributes attributes;
  std::optional<format::HardLinkId> hard_link;
  bool created = false;                      // by the planner; else the only worker creates it
  std::atomic<std::uint64_t> bytes_left{0};  // neither written nor given up
  std::atomic<bool> is_left_out{false};

  std::string_view name() const { return env::base_name(path); }
};

// Part of a chunk that belongs at one place of one file.
struct Placement {
  std::shared_ptr<FileTarget> file;
  std::uint64_t file_offset = 0;
  std::uint32_t chunk_offset = 0;
  std::uint32_t length = 0;
};

struct ChunkTask {
  format::ChunkId id;
  repo::ChunkPlace place;
  std::vector<Placement> placements;
};

// Chunks that lie close together in one pack.
struct Run {
  std::vector<ChunkTask> chunks;
};

struct Nothing {};

// In every vault, as the reader has tried them all. One that merely does not answer is not damage.
bool is_damage(const Error& error) {
  return error.code() == Code::Corrupt || error.code() == Code::NotFound;
}

Status unless_missing(Error error) {
  return error.code() == Code::NotFound ? Status() : Status(std::move(error));
}

// All that can be under way at once, a batch for each piece of work in the pipeline, takes half of what may be open.
std::size_t directories_of_a_batch(env::FileSystem& files) {
  return std::clamp(files.open_limit() / (2 * (kPipelineDepth + 2)), kFewestBatchDirectories, kMostBatchDirectories);
}

// Shared by the planner and the workers.
class Restorer {
 public:
  Restorer(env::Env& env, const SnapshotContent& content, RestoreReport& report, StageTimes& times)
      : env_(env), content_(content), report_(report), times_(times) {
    const std::size_t workers = env.threads.cores();
    for (std::size_t i = 0; i < workers; ++i) tools_.push_back(std::make_unique<Tools>(content.record().dedup_key));
    pipeline_ = std::make_unique<env::OrderedPipeline<Run, Nothing>>(
        env.threads, workers, kPipelineDepth,
        [this](Run run, std::size_t worker) { return carry_out(std::move(run), worker); },
        [](Nothing) -> Status { return {}; });
  }

  Status submit(Run run) { return pipeline_->submit(std::move(run)); }
  Status finish() { return pipeline_->finish(); }

  void note_problem(std::string path, std::string why) {
    const MutexLock lock(mutex_);
    ++report_.problem_count;
    if (report_.problems.size() < kMaxListedProblems) report_.problems.push_back({std::move(path), std::move(why)});
  }

  // Sets attributes with `set`; without the right to change owners, everything but those, with the set-id bits off.
  // An extended attribute that is refused (some need root, some another file system) is reported and holds up none of
  // the others.
  template <typename Set>
  Status apply(const std::string& path, env::FileAttributes attributes, const Set& set) {
    Status done = apply_but_owner(attributes, set);
    if (done.ok() || !is_refusal(done.error()) || attributes.xattrs.empty()) return done;
    const std::vector<env::Xattr> xattrs = std::exchange(attributes.xattrs, {});
    TRY(apply_but_owner(attributes, set));
    for (const env::Xattr& xattr : xattrs) {
      Status one = set({attributes.mode, {}, {}, {xattr}});  // an ACL changes the mode
      if (!one.ok() && !is_refusal(one.error())) return one;
      if (!one.ok()) note_problem(path, one.error().message());
    }
    return {};
  }
  bool skipped_owner() const { return skip_owner_.load(std::memory_order_relaxed); }

  // Null if the name is taken: then the file is reported, not restored.
  Result<std::unique_ptr<env::WritableFile>> create(const FileTarget& file) {
    auto created = file.parent->create_file(file.name(), 0600);
    if (created.ok() || created.error().code() != Code::AlreadyExists) return created;
    note_taken(file.path, created.error());
    return std::unique_ptr<env::WritableFile>();
  }
  // Nothing of ours had the name: the target takes two names of the snapshot for one, or somebody writes there too.
  void note_taken(const std::string& path, const Error& error) {
    note_problem(path, "its name is taken in the target: " + error.message());
  }

  Status finish_file(FileTarget& file, env::WritableFile& handle) {
    Status applied = apply(file.path, std::move(file.attributes),
                           [&](const env::FileAttributes& wanted) { return handle.set_attributes(wanted); });
    if (applied.ok()) return applied;
    if (applied.error().code() == Code::Exhausted || applied.error().code() == Code::Unavailable) return applied;
    note_problem(file.path, applied.error().message());
    return {};
  }
  std::uint64_t written_bytes() const { return written_.load(std::memory_order_relaxed); }

  // The file needs bytes that no vault gives whole. It loses its name when the last piece of work on it has ended.
  void leave_out(FileTarget& file, const Error& error) {
    if (!file.is_left_out.exchange(true)) note_left_out(file.path, error.message());
  }
  void note_left_out(std::string path, std::string why) {
    const MutexLock lock(mutex_);
    ++left_out_.count;
    if (left_out_.files.size() < kMaxListedProblems) left_out_.files.push_back({std::move(path), std::move(why)});
  }
  // `length` bytes of a file were given up: those of a file that is left out.
  Status give_up(FileTarget& file, std::uint64_t length) {
    return file.bytes_left.fetch_sub(length) == length ? discard(file) : Status();
  }

  struct LeftOut {
    std::uint64_t count = 0;
    std::vector<CaptureProblem> files;    // the first kMaxListedProblems
    std::set<format::HardLinkId> linked;  // files that still have their names
  };
  // After finish().
  const LeftOut& left_out() {
    const MutexLock lock(mutex_);
    return left_out_;
  }

 private:
  struct Tools {
    explicit Tools(const crypto::Secret<32>& dedup) : decoder(dedup) {}
    repo::ChunkDecoder decoder;
  };

  static bool is_refusal(const Error& error) {
    return error.code() == Code::Denied || error.code() == Code::Unsupported || error.code() == Code::InvalidInput;
  }

  template <typename Set>
  Status apply_but_owner(env::FileAttributes& attributes, const Set& set) {
    if (skip_owner_.load(std::memory_order_relaxed)) drop_owner(attributes);
    Status done = set(attributes);
    if (done.ok() || done.error().code() != Code::Denied || !attributes.owner.has_value()) return done;
    env::FileAttributes ownerless = attributes;
    drop_owner(ownerless);
    Status without = set(ownerless);
    if (!without.ok()) return without;
    skip_owner_.store(true, std::memory_order_relaxed);
    attributes = std::move(ownerless);
    return {};
  }

  static void drop_owner(env::FileAttributes& attributes) {
    attributes.owner.reset();
    if (attributes.mode.has_value()) attributes.mode = *attributes.mode & 01777U;
  }

  Result<Nothing> carry_out(Run run, std::size_t worker) {
    TRY(write_out(run.chunks, *tools_[worker]));
    return Nothing{};
  }

  // Reads the chunks in one go; if that meets damage, by halves, down to the chunks that are damaged.
  Status write_out(std::span<ChunkTask> chunks, Tools& tools) {
    const repo::ChunkPlace& first = chunks.front().place;
    const auto stored = fetch(chunks, tools);
    if (!stored.ok()) {
      if (!is_damage(stored.error())) return stored.error();
      if (chunks.size() == 1 || stored.error().code() == Code::NotFound) {
        for (ChunkTask& chunk : chunks) TRY(leave_out(chunk, stored.error()));
        return {};
      }
      const std::size_t half = chunks.size() / 2;
      TRY(write_out(chunks.first(half), tools));
      return write_out(chunks.subspan(half), tools);
    }
    for (ChunkTask& chunk : chunks) {
      const auto plain =
          decode(chunk, stored.value().subspan(chunk.place.offset - first.offset, chunk.place.stored_bytes), tools);
      if (!plain.ok()) {
        if (!is_damage(plain.error())) return plain.error();
        TRY(leave_out(chunk, plain.error()));
        continue;
      }
      const StageTimer timer(times_, env_.clock, Stage::Write);
      for (Placement& placement : chunk.placements) TRY(place(placement, plain.value()));
    }
    return {};
  }
  Result<ByteView> fetch(std::span<const ChunkTask> chunks, Tools& tools) {
    const StageTimer timer(times_, env_.clock, Stage::Open);
    const repo::ChunkPlace& first = chunks.front().place;
    const repo::ChunkPlace& last = chunks.back().place;
    return content_.chunks().fetch(first.pack, first.offset, last.offset + last.stored_bytes - first.offset,
                                   tools.decoder);
  }
  Result<ByteView> decode(const ChunkTask& chunk, ByteView stored, Tools& tools) {
    const StageTimer timer(times_, env_.clock, Stage::Decompress);
    return content_.chunks().decode(chunk.id, chunk.place, stored, tools.decoder);
  }

  Status leave_out(ChunkTask& chunk, const Error& error) {
    for (Placement& placement : chunk.placements) {
      leave_out(*placement.file, error);
      TRY(give_up(*placement.file, placement.length));
      placement.file.reset();
    }
    return {};
  }

  // Names that are given meanwhile would follow a hard-linked file: it is removed when there are no more of them.
  Status discard(FileTarget& file) {
    if (file.hard_link.has_value()) {
      const MutexLock lock(mutex_);
      left_out_.linked.insert(*file.hard_link);
      return {};
    }
    if (!file.created) return {};
    Status removed = file.parent->remove(file.name());
    return removed.ok() ? removed : unless_missing(removed.take_error());
  }

  Status place(Placement& placement, ByteView plain) {
    FileTarget& file = *placement.file;
    if (placement.chunk_offset > plain.size() || placement.length > plain.size() - placement.chunk_offset) {
      return Error(Code::Corrupt, "file '" + printable(file.path) + "': slice lies outside its chunk");
    }
    if (file.is_left_out) {
      TRY(give_up(file, placement.length));
      placement.file.reset();
      return {};
    }
    const ByteView data = plain.subspan(placement.chunk_offset, placement.length);
    const auto named = [&] { return "file '" + printable(file.path) + "'"; };
    auto opened = file.created ? file.parent->open_for_write(file.name()) : create(file);
    const auto handle = TRY(std::move(opened).in(named));
    if (handle == nullptr) return {};
    TRY(handle->write_at(placement.file_offset, data).in(named));
    written_.fetch_add(data.size(), std::memory_order_relaxed);
    if (file.bytes_left.fetch_sub(data.size()) == data.size()) {
      TRY(file.is_left_out ? discard(file) : finish_file(file, *handle));
    }
    placement.file.reset();
    return {};
  }

  env::Env& env_;
  const SnapshotContent& content_;
  Mutex mutex_;
  RestoreReport& report_;  // problems under mutex_
  LeftOut left_out_;       // under mutex_
  StageTimes& times_;
  std::atomic<bool> skip_owner_{false};
  std::atomic<std::uint64_t> written_{0};
  std::vector<std::unique_ptr<Tools>> tools_;
  std::unique_ptr<env::OrderedPipeline<Run, Nothing>> pipeline_;  // last: its threads use the rest
};

// "" for the target itself.
std::string_view directory_of(std::string_view path) {
  return path.find('/') == std::string_view::npos ? std::string_view() : env::parent_path(path);
}

env::FileAttributes attributes_of(const format::ListingEntry& entry) {
  env::FileAttributes attributes;
  if (entry.type != format::EntryType::Symlink) attributes.mode = entry.mode;
  attributes.owner = {entry.owner.user, entry.owner.group};
  attributes.modified = env::Timestamp{entry.modified_ns};
  for (const format::ExtendedAttribute& xattr : entry.xattrs) attributes.xattrs.push_back({xattr.name, xattr.value});
  return attributes;
}

// Which entries the user asked for; parents of chosen ones come along as directories.
class Selection {
 public:
  static Result<Selection> parse(const std::vector<std::string>& paths) {
    Selection selection;
    for (std::string_view path : paths) {
      while (path.ends_with('/')) path.remove_suffix(1);
      while (path.starts_with("./")) path.remove_prefix(2);
      while (path.starts_with('/')) path.remove_prefix(1);
      if (path.empty() || path == ".") return Selection();  // the root: everything
      selection.exact_.push_back(std::string(path));
      selection.patterns_.push_back(
          TRY(PathPattern::parse(path.starts_with('/') ? std::string(path) : "/" + std::string(path))));
    }
    return selection;
  }
  bool is_everything() const { return exact_.empty(); }
  bool chooses(std::string_view path, bool is_directory) {
    if (is_everything()) return true;
    // Below a chosen directory: walk order makes one prefix enough.
    if (!below_.empty() && path.starts_with(below_)) return true;
    below_.clear();
    for (std::size_t i = 0; i < exact_.size(); ++i) {
      if (path == exact_[i] || patterns_[i].matches(path, is_directory)) {
        if (is_directory) below_ = std::string(path) + "/";
        return true;
      }
    }
    return false;
  }

 private:
  std::vector<std::string> exact_;
  std::vector<PathPattern> patterns_;
  std::string below_;
};

// Turns listing entries into names, links and work for the Restorer.
class Planner {
 public:
  Planner(env::Env& env, const SnapshotContent& content, Restorer& restorer, TargetTree& tree, Selection& selection,
          bool trust_present, RestoreReport& report)
      : content_(content),
        restorer_(restorer),
        tree_(tree),
        selection_(selection),
        trust_present_(trust_present),
        batch_directories_limit_(directories_of_a_batch(env.files)),
        report_(report) {}

  Status add(format::ListingEntry entry);
  Status flush();
  // After flush and the restorer's finish: the names of hard-linked files that were left out.
  Status remove_left_out_links();

 private:
  Status make_parents(const std::string& path);
  Status add_regular(format::ListingEntry& entry);
  Status add_other(format::ListingEntry& entry);
  Status link_to_first(const std::string& path, const std::string& first);
  Result<bool> is_finished(const TargetTree::Place& parent, const format::ListingEntry& entry);
  Status add_slices(const std::shared_ptr<FileTarget>& file, const format::ListingEntry& entry);
  Status add_placement(const format::ChunkId& id, Placement placement);

  const SnapshotContent& content_;
  Restorer& restorer_;
  TargetTree& tree_;
  Selection& selection_;
  const bool trust_present_;
  const std::size_t batch_directories_limit_;
  RestoreReport& report_;
  std::vector<std::string> open_parents_;  // directories on the way down that were not chosen themselves
  std::map<format::HardLinkId, std::string> first_names_;

  std::map<format::ChunkId, ChunkTask> batch_;
  std::uint64_t batch_bytes_ = 0;
  std::size_t batch_slices_ = 0;
  std::size_t batch_directories_ = 0;
  const env::Directory* last_parent_ = nullptr;
};

Status Planner::add(format::ListingEntry entry) {
  const bool is_directory = entry.type == format::EntryType::Directory;
  if (!selection_.chooses(entry.path, is_directory)) return {};
  if (!selection_.is_everything()) TRY(make_parents(entry.path));
  if (entry.problem == format::EntryProblem::Unreadable) {
    restorer_.note_problem(entry.path, "could not be read when it was captured");
    // A link without its target, a node nobody could look at: better absent than made up.
    if (!is_directory && entry.type != format::EntryType::Regular) return {};
  } else if (entry.problem == format::EntryProblem::ChangedWhileRead) {
    restorer_.note_problem(entry.path, "changed while it was captured: restored as it was read");
  }
  if (is_directory) {
    ++report_.totals.directories;
    if (entry.path.empty()) return {};
    return tree_.make_directory(entry.path).in([&] { return "directory '" + printable(entry.path) + "'"; });
  }
  if (entry.type == format::EntryType::Regular) return add_regular(entry);
  return add_other(entry);
}

// For a partial restore: directories above what was chosen, which were not chosen themselves.
Status Planner::make_parents(const std::string& path) {
  for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    const bool known =
        std::any_of(open_parents_.begin(), open_parents_.end(), [&](const std::string& p) { return p == parent; });
    if (known) continue;
    std::erase_if(open_parents_, [&](const std::string& p) { return !parent.starts_with(p + "/"); });
    TRY(tree_.make_directory(parent));
    open_parents_.push_back(parent);
  }
  return {};
}

// Also makes room for what is not. Costs nothing in a directory that this run made.
Result<bool> Planner::is_finished(const TargetTree::Place& parent, const format::ListingEntry& entry) {
  if (parent.is_new) return false;
  const auto present = parent.directory->stat(env::base_name(entry.path));
  if (!present.ok()) {
    if (present.error().code() == Code::NotFound) return false;
    return present.error();
  }
  const env::FileInfo& info = present.value();
  if (trust_present_ && entry.type == format::EntryType::Regular && info.type == env::FileType::Regular &&
      info.size == entry.size && info.modified.nanoseconds == entry.modified_ns) {
    return true;
  }
  TRY(parent.directory->remove(env::base_name(entry.path)));
  return false;
}

Status Planner::link_to_first(const std::string& path, const std::string& first) {
  const TargetTree::Place parent = TRY(tree_.parent_of(path));
  const auto source = TRY(tree_.reach(directory_of(first)));
  if (!parent.is_new) {
    Status removed = parent.directory->remove(env::base_name(path));
    if (!removed.ok() && removed.error().code() != Code::NotFound) return removed;
  }
  Status linked = parent.directory->create_link(env::base_name(path), *source, env::base_name(first)).in([&] {
    return "hard link '" + printable(path) + "'";
  });
  if (linked.ok() || linked.error().code() != Code::AlreadyExists) return linked;
  restorer_.note_taken(path, linked.error());
  return {};
}

Status Planner::add_regular(format::ListingEntry& entry) {
  ++report_.totals.files;
  report_.totals.bytes += entry.size;
  if (entry.hard_link.has_value()) {
    const auto first = first_names_.find(*entry.hard_link);
    if (first != first_names_.end()) return link_to_first(entry.path, first->second);
    // What could not be read under this name may have been read well under the next one, which must not follow it.
    if (entry.problem != format::EntryProblem::Unreadable) first_names_.emplace(*entry.hard_link, entry.path);
  }
  TargetTree::Place parent = TRY(tree_.parent_of(entry.path));
  if (TRY(is_finished(parent, entry))) {
    ++report_.kept_files;
    return {};
  }
  auto file = std::make_shared<FileTarget>();
  file->parent = std::move(parent.directory);
  file->path = entry.path;
  file->attributes = attributes_of(entry);
  file->hard_link = entry.hard_link;
  std::uint64_t data = 0;
  for (const format::Slice& slice : entry.slices) data += slice.length;
  file->bytes_left = data;
  // The name must exist now if others link to it, or if several pieces of work write to it; else a worker makes it.
  const bool at_once = entry.slices.size() != 1 || entry.sparse || entry.hard_link.has_value();
  if (at_once) {
    const auto handle = TRY(restorer_.create(*file).in([&] { return "file '" + printable(entry.path) + "'"; }));
    if (handle == nullptr) {
      if (entry.hard_link.has_value()) first_names_.erase(*entry.hard_link);  // the next name is the first that exists
      return {};
    }
    if (entry.sparse || entry.slices.size() > 1) TRY(handle->resize(entry.size));
    file->created = true;
    if (data == 0) return restorer_.finish_file(*file, *handle);
  }
  if (file->parent.get() != last_parent_) {
    last_parent_ = file->parent.get();
    ++batch_directories_;
  }
  return add_slices(file, entry);
}

Status Planner::add_slices(const std::shared_ptr<FileTarget>& file, const format::ListingEntry& entry) {
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

Status Planner::add_placement(const format::ChunkId& id, Placement placement) {
  auto found = batch_.find(id);
  if (found == batch_.end()) {
    const auto place = content_.chunks().locate(id);
    if (!place.ok()) {
      restorer_.leave_out(*placement.file, place.error());
      return restorer_.give_up(*placement.file, placement.length);
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

Status Planner::flush() {
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
  Run run;
  for (ChunkTask& task : tasks) {
    if (!run.chunks.empty()) {
      const repo::ChunkPlace& first = run.chunks.front().place;
      const repo::ChunkPlace& last = run.chunks.back().place;
      const bool near = task.place.pack == first.pack &&
                        task.place.offset - (last.offset + last.stored_bytes) <= kMaxGapBytes &&
                        task.place.offset + task.place.stored_bytes - first.offset <= kRunBytes;
      if (!near) TRY(restorer_.submit(std::exchange(run, {})));
    }
    run.chunks.push_back(std::move(task));
  }
  if (!run.chunks.empty()) TRY(restorer_.submit(std::move(run)));
  return {};
}

Status Planner::remove_left_out_links() {
  const std::set<format::HardLinkId>& linked = restorer_.left_out().linked;
  if (linked.empty()) return {};
  // By what the first name stands for: a name that was taken when its turn came belongs to somebody else's file.
  std::map<format::HardLinkId, env::FileInfo> ours;
  return content_.for_each_entry([&](const format::ListingEntry& entry) -> Status {
    if (!entry.hard_link.has_value() || !linked.contains(*entry.hard_link)) return {};
    const std::string& first = first_names_.at(*entry.hard_link);
    const bool is_first = entry.path == first;
    const auto our = ours.find(*entry.hard_link);
    if (!is_first && our == ours.end()) return {};
    const auto directory = tree_.reach(directory_of(entry.path));
    if (!directory.ok()) return unless_missing(directory.error());
    const std::string_view name = env::base_name(entry.path);
    const auto info = directory.value()->stat(name);
    if (!info.ok()) return unless_missing(info.error());
    if (is_first) {
      ours.emplace(*entry.hard_link, info.value());
    } else if (info.value().inode != our->second.inode || info.value().device != our->second.device) {
      return {};
    } else {
      restorer_.note_left_out(entry.path, "is another name of '" + printable(first) + "'");
    }
    return directory.value()->remove(name);
  });
}

Status Planner::add_other(format::ListingEntry& entry) {
  ++report_.totals.others;
  if (entry.hard_link.has_value()) {
    const auto [first, inserted] = first_names_.emplace(*entry.hard_link, entry.path);
    if (!inserted) return link_to_first(entry.path, first->second);
  }
  const TargetTree::Place place = TRY(tree_.parent_of(entry.path));
  const std::shared_ptr<env::Directory>& parent = place.directory;
  const std::string_view name = env::base_name(entry.path);
  TRY(is_finished(place, entry));
  Status created;
  switch (entry.type) {
    case format::EntryType::Symlink:
      created = parent->create_symlink(name, entry.link_target);
      break;
    case format::EntryType::Fifo:
      created = parent->create_node(name, env::FileType::Fifo, 0600, 0, 0);
      break;
    case format::EntryType::Socket:
      created = parent->create_node(name, env::FileType::Socket, 0600, 0, 0);
      break;
    case format::EntryType::CharDevice:
      created = parent->create_node(name, env::FileType::CharDevice, 0600, entry.device_major, entry.device_minor);
      break;
    case format::EntryType::BlockDevice:
      created = parent->create_node(name, env::FileType::BlockDevice, 0600, entry.device_major, entry.device_minor);
      break;
    case format::EntryType::Regular:
    case format::EntryType::Directory:
      return Error(Code::Bug, "add_other was given a file or directory");
  }
  if (created.ok()) {
    created = restorer_.apply(entry.path, attributes_of(entry),
                              [&](const env::FileAttributes& wanted) { return parent->set_attributes(name, wanted); });
  }
  if (created.ok()) return created;
  switch (created.error().code()) {
    case Code::AlreadyExists:
      restorer_.note_taken(entry.path, created.error());
      return {};
    case Code::Denied:
    case Code::Unsupported:
      restorer_.note_problem(entry.path, created.error().message());
      return {};
    default:
      return created;
  }
}

// Directory attributes, deepest first: setting a parent's time or mode early would be undone, or lock us out.
class DirectoryFinisher {
 public:
  DirectoryFinisher(Restorer& restorer, std::shared_ptr<env::Directory> root)
      : restorer_(restorer), root_(std::move(root)) {}

  Status add(const format::ListingEntry& entry) {
    TRY(leave_until(entry.path));
    waiting_.push_back({entry, nullptr});
    return {};
  }
  Status finish() {
    while (!waiting_.empty()) TRY(leave());
    return {};
  }

 private:
  struct Waiting {
    format::ListingEntry entry;
    std::shared_ptr<env::Directory> directory;  // null while closed
  };

  Status leave_until(std::string_view path) {
    while (!waiting_.empty()) {
      const std::string& open = waiting_.back().entry.path;
      if (open.empty() || (path.starts_with(open) && path.size() > open.size() && path[open.size()] == '/')) return {};
      TRY(leave());
    }
    return {};
  }

  // Opens the deepest directory, and those just above it for the next calls: one descent serves kOpenLevels of them.
  Status open_last() {
    std::shared_ptr<env::Directory> at = root_;
    std::string_view below;  // the path of `at`
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      Waiting& level = waiting_[i];
      if (level.directory == nullptr || i + kOpenLevels < waiting_.size()) {
        std::string_view rest = std::string_view(level.entry.path).substr(below.empty() ? 0 : below.size());
        for (const std::string_view step : split(rest, '/')) {
          if (!step.empty()) at = std::shared_ptr<env::Directory>(TRY(at->open_directory(step)));
        }
        if (i + kOpenLevels >= waiting_.size()) level.directory = at;
      } else {
        at = level.directory;
      }
      below = level.entry.path;
    }
    return {};
  }

  Status leave() {
    if (waiting_.back().directory == nullptr) TRY(open_last());
    const Waiting last = std::move(waiting_.back());
    waiting_.pop_back();
    Status applied =
        restorer_.apply(last.entry.path, attributes_of(last.entry),
                        [&](const env::FileAttributes& wanted) { return last.directory->set_own_attributes(wanted); });
    if (!applied.ok()) restorer_.note_problem(last.entry.path, applied.error().message());
    return {};
  }

  Restorer& restorer_;
  std::shared_ptr<env::Directory> root_;
  std::vector<Waiting> waiting_;
};

std::string boot_id(env::FileSystem& files) {
  const auto id = files.read_file("/proc/sys/kernel/random/boot_id", 4096);
  return id.ok() ? std::string(as_text(id.value()).substr(0, 36)) : std::string();
}

struct TargetState {
  bool is_empty = true;
  bool trust_present = true;  // finished files of an earlier run can be kept
};

// Target and marker: fresh, or an unfinished restore of the same snapshot.
Result<TargetState> prepare_target(env::FileSystem& files, const format::ObjectName& snapshot,
                                   const std::string& target, const std::string& marker) {
  const std::string boot = boot_id(files);
  const std::string wanted = snapshot.hex() + " " + boot + "\n";
  const auto present = files.stat(target);
  if (present.ok()) {
    if (present.value().type != env::FileType::Directory) {
      return Error(Code::Precondition, "target '" + printable(target) + "' is not a directory")
          .hint("name a directory that does not exist yet");
    }
    const bool empty = TRY(files.list(target)).empty();
    const auto mark = files.read_file(marker, 4096);
    if (!empty && !mark.ok()) {
      return Error(Code::Precondition, "target '" + printable(target) + "' is not empty")
          .hint("restore into a fresh directory");
    }
    if (!empty) {
      if (!as_text(mark.value()).starts_with(snapshot.hex())) {
        return Error(Code::Precondition,
                     "target '" + printable(target) + "' holds an unfinished restore of another snapshot")
            .hint("finish that one, or restore into a fresh directory");
      }
      const bool same_boot = !boot.empty() && as_text(mark.value()) == wanted;
      TRY(env::replace_file_durably(files, marker, as_bytes(wanted), 0600));
      return TargetState{false, same_boot};
    }
  } else {
    TRY(files.make_directories(target, 0700));
  }
  TRY(env::replace_file_durably(files, marker, as_bytes(wanted), 0600));
  return TargetState{};
}

// The end of a restore that could not be whole: what is missing, why, and what else was noted.
Error incomplete(const Restorer::LeftOut& left_out, const RestoreReport& report, const std::string& target) {
  const auto listed = [](const std::vector<CaptureProblem>& all, std::uint64_t count) {
    std::string lines;
    for (const CaptureProblem& each : all) {
      lines += "\n  " + (each.path.empty() ? "." : printable(each.path)) + ": " + each.why;
    }
    if (count > all.size()) lines += "\n  and " + std::to_string(count - all.size()) + " more";
    return lines;
  };
  std::string message = "target '" + printable(target) + "': all is restored but " + std::to_string(left_out.count) +
                        (left_out.count == 1 ? " file" : " files") + " whose bytes no vault gives whole" +
                        listed(left_out.files, left_out.count);
  if (report.problem_count > 0) {
    message += "\nand these have problems of another kind" + listed(report.problems, report.problem_count);
  }
  return Error(Code::Corrupt, std::move(message))
      .hint(
          "run it again with this target when more vaults answer, or take these files from an older snapshot: "
          "exclave snapshots");
}

}  // namespace

Result<RestoreReport> restore_snapshot(env::Env& env, const SnapshotContent& content,
                                       const format::ObjectName& snapshot, const RestoreOptions& options,
                                       StageTimes& times, const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = env.clock.monotonic();
  std::string target = options.target;
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  if (target.empty()) return Error(Code::InvalidInput, "no target directory was given");
  Selection selection = TRY(Selection::parse(options.paths));

  // 1. A fresh target, or one to go on with.
  const std::string marker = target + std::string(kMarkerSuffix);
  const TargetState found = TRY(prepare_target(env.files, snapshot, target, marker));
  TargetTree tree({std::shared_ptr<env::Directory>(TRY(env.files.open_directory(target))), found.is_empty});

  // 2. Names at once, contents through the pipeline.
  RestoreReport report;
  Restorer restorer(env, content, report, times);
  Planner planner(env, content, restorer, tree, selection, found.trust_present, report);
  CaptureProgress progress;
  progress.expected_files = content.record().totals.files;
  progress.expected_bytes = content.record().totals.bytes;
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    if (stop.stop_requested())
      return Error(Code::Cancelled, "restore into '" + printable(target) + "' was interrupted")
          .hint("run it again to go on");
    TRY(planner.add(std::move(entry)));
    progress.files = report.totals.files;
    progress.bytes = restorer.written_bytes();
    if (on_progress && report.totals.files % 256 == 0) on_progress(progress);
    return {};
  }));
  TRY(planner.flush());
  TRY(restorer.finish());
  TRY(planner.remove_left_out_links());
  if (!selection.is_everything() && report.totals.files + report.totals.directories + report.totals.others == 0) {
    return Error(Code::NotFound, "nothing in the snapshot matches '" + printable(options.paths.front()) + "'")
        .hint("look first: exclave ls");
  }

  // 3. Directories, deepest first; then durability, and the marker goes.
  Selection again = TRY(Selection::parse(options.paths));
  DirectoryFinisher finisher(restorer, tree.root());
  TRY(content.for_each_entry([&](format::ListingEntry entry) -> Status {
    const bool is_directory = entry.type == format::EntryType::Directory;
    if (!is_directory || !again.chooses(entry.path, true)) return {};
    return finisher.add(entry);
  }));
  TRY(finisher.finish());
  report.ownership_restored = !restorer.skipped_owner();
  report.written_bytes = restorer.written_bytes();
  const env::Instant before_sync = env.clock.monotonic();
  report.duration = before_sync - start;
  if (options.syncing == Syncing::Sync) {
    TRY(env.files.sync_all(target));
    report.sync_duration = env.clock.monotonic() - before_sync;
  }
  const Restorer::LeftOut& left_out = restorer.left_out();
  if (left_out.count > 0) return incomplete(left_out, report, target);  // and the marker stays: it can be gone on with
  ignore(env.files.remove_file(marker), "a left-over marker only allows to run the same restore again");
  return report;
}

}  // namespace exclave::engine
