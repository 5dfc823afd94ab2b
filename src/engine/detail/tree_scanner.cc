#include "engine/detail/tree_scanner.h"

#include <algorithm>
#include <array>
#include <limits>

namespace exclave::engine {
namespace {

constexpr std::size_t kEntriesPerScanBatch = 128;
constexpr std::size_t kFilesPerBatch = 32;
constexpr std::size_t kBatchesAhead = kWindowFiles / kFilesPerBatch - 2;
// A second change within the tick of the first leaves all times as they are, so what was changed this lately is not
// trusted to be unchanged next time. The tick is the file system's: 1 to 10 ms where the kernel's clock is kept as it
// is, a whole second on ext4 with inodes of 128 bytes and on some NFS servers, whose clock may also be a little behind
// this one, and two seconds on FAT.
constexpr std::chrono::seconds kTooYoung(3);
// A change time that no file has.
constexpr std::int64_t kNotToBeTrusted = std::numeric_limits<std::int64_t>::min();

// A listing holds no link without a target; a restore leaves unreadable ones out and says so.
constexpr std::string_view kUnknownTarget = "unreadable";

format::EntryType entry_type(env::FileType type) {
  switch (type) {
    case env::FileType::Regular:
      return format::EntryType::Regular;
    case env::FileType::Directory:
      return format::EntryType::Directory;
    case env::FileType::Symlink:
      return format::EntryType::Symlink;
    case env::FileType::Fifo:
      return format::EntryType::Fifo;
    case env::FileType::Socket:
      return format::EntryType::Socket;
    case env::FileType::CharDevice:
      return format::EntryType::CharDevice;
    case env::FileType::BlockDevice:
      return format::EntryType::BlockDevice;
  }
  return format::EntryType::Regular;
}

bool is_unchanged(const env::FileInfo& info, const repo::CatalogueEntry& previous) {
  return previous.entry.problem == format::EntryProblem::None && previous.entry.type == entry_type(info.type) &&
         previous.entry.modified_ns == info.modified.nanoseconds && previous.facts.changed_ns != kNotToBeTrusted &&
         previous.facts.changed_ns == info.changed.nanoseconds && previous.facts.inode == info.inode &&
         previous.facts.device == info.device &&
         (info.type != env::FileType::Regular || previous.entry.size == info.size);
}

// Whatever changes an inode moves its change time; the size tells more within one tick of the kernel's clock.
bool is_same_look(const env::FileInfo& a, const env::FileInfo& b) {
  return env::is_same_file(a, b) && a.changed == b.changed && a.size == b.size;
}

std::vector<format::ExtendedAttribute> to_format(std::vector<env::Xattr> xattrs) {
  std::vector<format::ExtendedAttribute> converted;
  converted.reserve(xattrs.size());
  for (env::Xattr& xattr : xattrs) converted.push_back({std::move(xattr.name), std::move(xattr.value)});
  return converted;
}

// Files of /proc and /sys: the kernel says 0 bytes and gives some.
bool holds_data_all_the_same(env::ReadableFile& file) {
  std::array<Byte, 1> byte{};
  const auto got = file.read_at(0, byte);
  const auto info = file.info();
  return got.ok() && got.value() > 0 && info.ok() && info.value().size == 0;
}

void note_problem(ScannedEntry& scanned, std::string_view why) {
  scanned.entry.problem = format::EntryProblem::Unreadable;
  scanned.problem = why;
}

// What could not be had of an entry that is there. NotFound goes on: the entry is gone.
Status fail(ScannedEntry& scanned, Error error) {
  if (error.code() == Code::NotFound) return error;
  note_problem(scanned, error.message());
  return {};
}

ScannedEntry no_entry(const std::string& path, std::string why) {
  ScannedEntry scanned;
  scanned.entry.path = path;
  scanned.problem = std::move(why);
  scanned.is_new_entry = false;
  return scanned;
}

// A Timestamp holds no others: the furthest one stands for what lies beyond.
bool has_exact_time(const env::FileInfo& info) {
  return info.modified.nanoseconds != std::numeric_limits<std::int64_t>::min() &&
         info.modified.nanoseconds != std::numeric_limits<std::int64_t>::max();
}

}  // namespace

void TreeScanner::Batch::add(Scanned scanned) {
  if (const auto* entry = std::get_if<ScannedEntry>(&scanned)) {
    if (entry->file != nullptr) ++open_files;
  } else {
    has_block = true;
  }
  items.push_back(std::move(scanned));
}

// A block is as large as many entries: it is the last of its batch.
bool TreeScanner::Batch::is_full() const {
  return items.size() >= kEntriesPerScanBatch || open_files >= kFilesPerBatch || has_block;
}

TreeScanner::TreeScanner(env::Env& env, TreeWalker walker, std::optional<repo::CatalogueReader> catalogue,
                         Rereading rereading, StageTimes& times)
    : env_(env),
      walker_(std::move(walker)),
      catalogue_(std::move(catalogue)),
      rereading_(rereading),
      times_(times),
      names_(OwnerNames::load(env.files)),
      queue_(env.threads, kBatchesAhead) {
  auto thread = env.threads.start("scan", [this] { run(); });
  if (thread.ok()) {
    thread_ = thread.take();
  } else {
    queue_.push(thread.take_error());
    queue_.close();
  }
}

TreeScanner::~TreeScanner() {
  queue_.close();
  if (thread_ != nullptr) thread_->join();
}

bool TreeScanner::next_block() {
  if (!catalogue_.has_value()) return false;
  const auto more = catalogue_->read_block();
  if (!more.ok()) {
    // A damaged catalogue costs reading, not data: go on without it.
    env_.log.write(env::LogLevel::Warning, more.error().message() + "; the rest of the tree is read in full");
  }
  if (!more.ok() || !more.value()) {
    catalogue_.reset();
    block_ = {};
    upcoming_ = 0;
    return false;
  }
  block_ = catalogue_->entries();
  upcoming_ = 0;
  held_ = 0;
  block_is_intact_ = catalogue_->stands_alone();
  return true;
}

repo::CatalogueEntry* TreeScanner::previous_of(const std::string& path, Batch& batch) {
  while (true) {
    if (upcoming_ == block_.size()) {
      if (!next_block()) return nullptr;
      continue;
    }
    repo::CatalogueEntry& entry = block_[upcoming_];
    if (entry.entry.path == path) {
      ++upcoming_;
      return &entry;
    }
    if (format::compare_in_walk_order(entry.entry.path, path) > 0) return nullptr;
    release_held(batch);  // it is gone
    block_is_intact_ = false;
    ++upcoming_;
  }
}

bool TreeScanner::is_reusable(const WalkItem& item, const repo::CatalogueEntry* previous) const {
  if (previous == nullptr || item.problem.has_value() || !is_unchanged(item.info, *previous)) return false;
  return rereading_ == Rereading::ChangedOnly || item.info.type != env::FileType::Regular;
}

void TreeScanner::reuse(repo::CatalogueEntry& previous, Batch& batch) {
  if (block_is_intact_) {
    if (++held_ < block_.size()) return;
    ScannedBlock whole;
    for (const repo::CatalogueEntry& held : block_) add_to(whole.totals, held.entry);
    whole.block = {catalogue_->take_block(), block_.front().entry.path, block_.back().entry.path};
    batch.add(std::move(whole));
    held_ = 0;
    block_is_intact_ = false;
    return;
  }
  ScannedEntry scanned;
  scanned.action = ScannedEntry::Action::Reuse;
  scanned.facts = previous.facts;
  scanned.entry = std::move(previous.entry);
  batch.add(std::move(scanned));
}

// The block will not go on as one: what was held back goes now.
void TreeScanner::release_held(Batch& batch) {
  if (held_ == 0) return;
  block_is_intact_ = false;
  for (repo::CatalogueEntry& entry : block_.first(std::exchange(held_, 0))) reuse(entry, batch);
}

Status TreeScanner::keep_xattrs(std::vector<env::Xattr> xattrs, format::ListingEntry& entry) {
  std::size_t bytes = 0;
  for (const env::Xattr& xattr : xattrs) bytes += xattr.name.size() + xattr.value.size();
  if (bytes > format::kMaxXattrBytes || xattrs.size() > format::kMaxXattrs)
    return Error(Code::Exhausted, "more than 4,096 extended attributes, or more than 1 MiB of them, are not captured");
  entry.xattrs = to_format(std::move(xattrs));
  return {};
}

// What a look at the entry tells; of a file that was opened, the look that opening it took.
void TreeScanner::keep_info(const env::FileInfo& info, ScannedEntry& scanned) {
  scanned.info = info;
  const bool is_too_young = info.changed + kTooYoung > env_.clock.now();
  scanned.facts = {is_too_young ? kNotToBeTrusted : info.changed.nanoseconds, info.inode, info.device};
  format::ListingEntry& entry = scanned.entry;
  entry.type = entry_type(info.type);
  entry.mode = info.mode;
  entry.owner = {info.user, info.group, names_.user(info.user), names_.group(info.group)};
  entry.modified_ns = info.modified.nanoseconds;
  if (entry.type == format::EntryType::Regular) entry.size = info.size;
  if (entry.type == format::EntryType::CharDevice || entry.type == format::EntryType::BlockDevice) {
    entry.device_major = info.device_major;
    entry.device_minor = info.device_minor;
  }
  entry.hard_link.reset();
  if (info.link_count > 1 && entry.type != format::EntryType::Directory) {
    entry.hard_link = format::HardLinkId{info.device, info.inode};
  }
}

// Everything that costs a system call beyond stat. NotFound: the entry is gone since.
Status TreeScanner::read_attributes(WalkItem& item, ScannedEntry& scanned) {
  if (item.info.type != env::FileType::Regular) return read_attributes_by_name(item, scanned);
  auto opened = item.parent->open_file(item.name());
  if (!opened.ok()) return fail(scanned, opened.take_error());
  scanned.file = opened.take();
  // Another file may have taken the name since the walk looked at it: what is kept is the one that is read.
  auto info = scanned.file->info();
  if (!info.ok()) return fail(scanned, info.take_error());
  if (!is_same_look(info.value(), item.info)) keep_info(info.value(), scanned);
  auto xattrs = scanned.file->xattrs();
  // Its content is worth more than its attributes: it is read all the same.
  Status kept = xattrs.ok() ? keep_xattrs(xattrs.take(), scanned.entry) : Status(xattrs.take_error());
  if (!kept.ok()) TRY(fail(scanned, kept.take_error().in("its extended attributes")));
  if (scanned.info.size == 0 && holds_data_all_the_same(*scanned.file)) {
    return fail(scanned,
                Error(Code::Unsupported, "the kernel makes its content up and tells no size (as in /proc and /sys)"));
  }
  if (scanned.info.size > 0) {
    scanned.file->will_need();
    scanned.action = ScannedEntry::Action::Read;
  }
  return {};
}

Status TreeScanner::read_attributes_by_name(WalkItem& item, ScannedEntry& scanned) {
  format::ListingEntry& entry = scanned.entry;
  if (item.info.type == env::FileType::Symlink) {
    auto target = item.parent->read_link(item.name());
    const bool is_known = target.ok() && !target.value().empty();
    entry.link_target = is_known ? target.value() : std::string(kUnknownTarget);
    if (!target.ok()) return fail(scanned, target.take_error());
    if (!is_known) return fail(scanned, Error(Code::Unsupported, "the link has an empty target"));
  }
  if (item.self == nullptr && item.parent == nullptr) return {};
  auto xattrs = item.self != nullptr ? item.self->own_xattrs() : item.parent->xattrs(item.name());
  // They are read through /proc, the only way to those of a name that is not to be opened. Without it all of these
  // names would seem to be gone.
  if (!xattrs.ok() && xattrs.error().code() == Code::NotFound && item.self == nullptr &&
      item.parent->stat(item.name()).ok()) {
    return fail(scanned, Error(Code::Precondition, "its extended attributes cannot be reached: is /proc mounted?"));
  }
  if (!xattrs.ok()) return fail(scanned, xattrs.take_error());
  Status kept = keep_xattrs(xattrs.take(), entry);
  return kept.ok() ? Status() : fail(scanned, kept.take_error());
}

std::optional<ScannedEntry> TreeScanner::describe(WalkItem& item, repo::CatalogueEntry* previous) {
  ScannedEntry scanned;
  format::ListingEntry& entry = scanned.entry;
  entry.path = item.path;
  keep_info(item.info, scanned);
  if (item.problem.has_value()) {
    entry.problem = format::EntryProblem::Unreadable;
    scanned.problem = item.problem->message();
    if (entry.type == format::EntryType::Symlink) entry.link_target = kUnknownTarget;
    return scanned;
  }
  if (!read_attributes(item, scanned).ok()) return std::nullopt;
  if (!scanned.problem.has_value() && !has_exact_time(scanned.info)) {
    // Nothing else is wrong with it, so it is not marked in the listing; it is looked at, and told of, each time.
    scanned.problem = "its time lies outside the years 1678 to 2262, and is kept as the nearest one inside";
    scanned.facts.changed_ns = kNotToBeTrusted;
  }
  if (const auto flaw = format::attributes_flaw(entry)) {
    entry.xattrs.clear();
    note_problem(scanned, *flaw);
    if (format::attributes_flaw(entry).has_value()) return no_entry(item.path, "is left out: " + std::string(*flaw));
  }
  if (previous != nullptr) scanned.previous = std::make_unique<repo::CatalogueEntry>(std::move(*previous));
  return scanned;
}

Result<bool> TreeScanner::scan_one(Batch& batch) {
  auto item = TRY(walker_.next());
  if (!item.has_value()) {
    release_held(batch);
    return false;
  }
  if (!item->is_entry) {
    release_held(batch);
    batch.add(no_entry(item->path, item->problem->message()));
    return true;
  }
  repo::CatalogueEntry* const previous = previous_of(item->path, batch);
  if (is_reusable(*item, previous)) {
    reuse(*previous, batch);
    return true;
  }
  release_held(batch);
  if (previous != nullptr) block_is_intact_ = false;
  // Gone since the walk looked at it: as if it had never been there.
  if (auto scanned = describe(*item, previous)) batch.add(std::move(*scanned));
  return true;
}

void TreeScanner::run() {
  bool more = true;
  while (more) {
    Batch batch;
    {
      const StageTimer timer(times_, env_.clock, Stage::Walk);
      while (more && !batch.is_full()) {
        auto scanned = scan_one(batch);
        if (!scanned.ok()) {
          queue_.push(scanned.take_error());
          queue_.close();
          return;
        }
        more = scanned.value();
      }
    }
    if (!more) excluded_ = walker_.excluded();
    if (!batch.items.empty() && !queue_.push(std::move(batch))) return;
  }
  queue_.close();
}

Result<std::optional<Scanned>> TreeScanner::next() {
  while (next_in_current_ == current_.size()) {
    if (ended_) return std::optional<Scanned>();
    auto batch = queue_.pop();
    if (!batch.has_value()) {
      ended_ = true;
      continue;
    }
    current_ = TRY(std::move(*batch)).items;
    next_in_current_ = 0;
  }
  return std::optional(std::move(current_[next_in_current_++]));
}

}  // namespace exclave::engine
