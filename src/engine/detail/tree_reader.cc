#include "engine/detail/tree_reader.h"

#include <algorithm>

namespace exclave::engine {
namespace {

constexpr std::size_t kGroupBufferBytes = chunk::kMaxGroupBytes + (256U << 10);
constexpr std::size_t kGroupBuffers = 10;
// Entries of a group wait for it: it ends at the latest after so many, and before its trailer outgrows its buffer.
constexpr std::size_t kMaxGroupMembers = 16384;
constexpr std::uint64_t kMaxBytesBesideGroup = 64U << 20;

// What lies between two looks at a file that was read.
bool has_changed(const env::FileInfo& before, const env::FileInfo& after) {
  return before.size != after.size || before.modified != after.modified || before.changed != after.changed;
}

}  // namespace

bool count_entry(const ScannedEntry& scanned, CaptureReport& report) {
  if (scanned.problem.has_value()) {
    ++report.totals.unreadable;
    if (report.problems.size() < kMaxListedProblems) report.problems.push_back({scanned.entry.path, *scanned.problem});
    if (!scanned.is_new_entry) return false;
  }
  add_to(report.totals, scanned.entry);
  if (scanned.entry.type != format::EntryType::Regular) return true;
  if (scanned.action == ScannedEntry::Action::Reuse) ++report.unchanged_files;
  if (scanned.action == ScannedEntry::Action::Read) report.read_bytes += scanned.entry.size;
  return true;
}

void count_block(const ScannedBlock& scanned, CaptureReport& report) {
  report.totals.files += scanned.totals.files;
  report.totals.directories += scanned.totals.directories;
  report.totals.others += scanned.totals.others;
  report.totals.bytes += scanned.totals.bytes;
  report.unchanged_files += scanned.totals.files;
}

TreeReader::TreeReader(const CaptureContext& context, ContentPipeline& pipeline, CaptureReport& report,
                       StageTimes& times, GoOn go_on)
    : context_(context),
      pipeline_(pipeline),
      report_(report),
      times_(times),
      go_on_(std::move(go_on)),
      slabs_(context.env.threads, kSlabs),
      groups_(context.env.threads, kGroupBuffers),
      identifier_(context.keys.dedup) {}

void TreeReader::note_problem(format::ListingEntry& entry, format::EntryProblem problem, std::string why) {
  if (entry.problem == format::EntryProblem::None) ++report_.totals.unreadable;
  entry.problem = problem;
  if (report_.problems.size() < kMaxListedProblems) report_.problems.push_back({entry.path, std::move(why)});
}

// A file that ended earlier than it was said to: it counts as what was read of it.
void TreeReader::set_size(format::ListingEntry& entry, std::uint64_t size) {
  CHECK(size <= entry.size);
  report_.totals.bytes -= entry.size - size;
  report_.read_bytes -= entry.size - size;
  entry.size = size;
}

void TreeReader::check_unchanged(ScannedEntry& scanned) {
  const auto after = scanned.file->info();
  if (after.ok() && !has_changed(scanned.info, after.value())) return;
  if (scanned.entry.problem != format::EntryProblem::None) return;
  note_problem(scanned.entry, format::EntryProblem::ChangedWhileRead, "changed while it was read");
}

Status TreeReader::add(ScannedEntry scanned) {
  if (!count_entry(scanned, report_)) return {};
  if (group_ != nullptr && ++entries_beside_group_ > kMaxGroupMembers) TRY(end_group());
  switch (scanned.action) {
    case ScannedEntry::Action::Reuse:
      reused_any_ = reused_any_ || !scanned.entry.slices.empty();
      return pipeline_.add_entry(pending_of(scanned));
    case ScannedEntry::Action::Plain:
      return pipeline_.add_entry(pending_of(scanned));
    case ScannedEntry::Action::Read:
      if (scanned.info.size < chunk::kSmallFileBytes) return read_small(scanned);
      return read_large(scanned);
  }
  return {};
}

Status TreeReader::add(ScannedBlock scanned) {
  count_block(scanned, report_);
  reused_any_ = reused_any_ || scanned.totals.bytes > 0;
  if (group_ != nullptr) {
    entries_beside_group_ += scanned.block.block.entries;
    if (entries_beside_group_ > kMaxGroupMembers) TRY(end_group());
  }
  return pipeline_.add_block(std::move(scanned.block));
}

Status TreeReader::read_small(ScannedEntry& scanned) {
  if (group_ == nullptr) {
    group_ = groups_.acquire(kGroupBufferBytes);
    group_size_ = 0;
    group_number_ = pipeline_.next_group();
    bytes_beside_group_ = 0;
    entries_beside_group_ = 0;
  }
  const MutableByteView room =
      MutableByteView(*group_).subspan(group_size_, static_cast<std::size_t>(scanned.info.size));
  std::size_t got = 0;
  {
    const StageTimer timer(times_, context_.env.clock, Stage::Read);
    while (got < room.size()) {
      auto read = scanned.file->read_at(got, room.subspan(got));
      if (!read.ok()) {
        note_problem(scanned.entry, format::EntryProblem::Unreadable, read.error().message());
        return pipeline_.add_entry(pending_of(scanned));
      }
      if (read.value() == 0) break;
      got += read.value();
    }
    check_unchanged(scanned);
  }
  set_size(scanned.entry, got);
  if (got == 0) return pipeline_.add_entry(pending_of(scanned));
  // New metadata, same content at the same path: the old slice stays, or a fresh checkout would be stored again.
  if (scanned.previous != nullptr && scanned.previous->entry.content.has_value() &&
      scanned.previous->entry.size == got) {
    const StageTimer timer(times_, context_.env.clock, Stage::Hash);
    if (format::content_id_of(identifier_.file_hash(room.first(got))) == *scanned.previous->entry.content) {
      scanned.entry.content = scanned.previous->entry.content;
      scanned.entry.slices = std::move(scanned.previous->entry.slices);
      reused_any_ = true;
      return pipeline_.add_entry(pending_of(scanned));
    }
  }
  PendingEntry pending = pending_of(scanned);
  pending.entry.slices.push_back({{}, static_cast<std::uint32_t>(group_size_), static_cast<std::uint32_t>(got)});
  pending.place = GroupPlace{group_number_, static_cast<std::uint32_t>(group_lengths_.size())};
  group_size_ += got;
  group_lengths_.push_back(static_cast<std::uint32_t>(got));
  const bool ends = group_rule_.ends_after(env::base_name(pending.entry.path), got);
  TRY(pipeline_.add_entry(std::move(pending)));
  if (ends || group_lengths_.size() >= kMaxGroupMembers) return end_group();
  return {};
}

Status TreeReader::end_group() {
  group_rule_.reset();
  if (group_ == nullptr) return {};
  if (group_lengths_.empty()) {
    group_.reset();
    return {};
  }
  ContentPipeline::Chunk chunk;
  chunk.group = group_number_;
  chunk.kind = format::ChunkKind::Group;
  Bytes trailer;
  format::append_group_trailer(trailer, group_lengths_);
  CHECK(group_size_ + trailer.size() <= group_->size());
  std::copy(trailer.begin(), trailer.end(), group_->begin() + static_cast<std::ptrdiff_t>(group_size_));
  chunk.size = group_size_ + trailer.size();
  chunk.member_lengths = std::exchange(group_lengths_, {});
  chunk.buffer = std::move(group_);
  group_.reset();
  return pipeline_.add_chunk(std::move(chunk));
}

// One extent for a plain file; for a sparse one, where its data lie.
Result<std::vector<format::DataExtent>> TreeReader::find_extents(ScannedEntry& scanned) {
  const std::uint64_t size = scanned.info.size;
  std::vector<format::DataExtent> extents;
  if (scanned.info.allocated_bytes >= size) return std::vector<format::DataExtent>{{0, size}};
  std::uint64_t at = 0;
  while (at < size) {
    const auto extent = TRY(scanned.file->next_data(at));
    if (!extent.has_value() || extent->begin >= size) break;
    extents.push_back({extent->begin, std::min(extent->end, size) - extent->begin});
    at = extent->end;
  }
  if (extents.size() == 1 && extents[0].offset == 0 && extents[0].length == size) return extents;
  scanned.entry.sparse = true;
  return extents;
}

Status TreeReader::read_large(ScannedEntry& scanned) {
  auto found = find_extents(scanned);
  if (!found.ok()) {
    note_problem(scanned.entry, format::EntryProblem::Unreadable, found.error().message());
    return pipeline_.add_entry(pending_of(scanned));
  }
  std::vector<format::DataExtent> extents = found.take();
  SlabCutter cutter(pipeline_, slabs_, context_.env.clock, times_);
  std::optional<Error> failure;
  bool ended_early = false;
  std::uint64_t unread = scanned.entry.size;
  for (format::DataExtent& extent : extents) {
    std::uint64_t done = 0;
    while (done < extent.length && !failure.has_value() && !ended_early) {
      TRY(go_on_(unread));
      const MutableByteView room = TRY(cutter.room());
      const StageTimer timer(times_, context_.env.clock, Stage::Read);
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), extent.length - done));
      auto got = scanned.file->read_at(extent.offset + done, room.first(want));
      if (!got.ok()) {
        failure = got.take_error();
        continue;
      }
      ended_early = got.value() == 0;
      cutter.filled(got.value());
      done += got.value();
      unread -= std::min<std::uint64_t>(unread, got.value());
    }
    extent.length = done;
  }
  TRY(cutter.finish());
  check_unchanged(scanned);
  format::ListingEntry& entry = scanned.entry;
  if (failure.has_value()) {  // half a file is no file: the chunks stay for the next try
    note_problem(entry, format::EntryProblem::Unreadable, failure->message());
    entry.sparse = false;
  } else {
    std::erase_if(extents, [](const format::DataExtent& extent) { return extent.length == 0; });
    if (ended_early) set_size(entry, extents.empty() ? 0 : extents.back().offset + extents.back().length);
    if (entry.sparse) entry.extents = std::move(extents);
  }
  bytes_beside_group_ += entry.size;
  PendingEntry pending = pending_of(scanned);
  if (!failure.has_value()) pending.content = cutter.take_content();
  TRY(pipeline_.add_entry(std::move(pending)));
  if (group_ != nullptr && bytes_beside_group_ > kMaxBytesBesideGroup) return end_group();
  return {};
}

}  // namespace exclave::engine
