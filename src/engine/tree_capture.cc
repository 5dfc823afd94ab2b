#include <algorithm>

#include "base/text.h"
#include "chunk/chunker.h"
#include "chunk/group_rule.h"
#include "engine/capture.h"
#include "engine/detail/capture_session.h"
#include "engine/detail/tree_scanner.h"

namespace exclave::engine {
namespace {

// A slab holds several chunks of a large file; they share it until the last one has been compressed.
constexpr std::size_t kSlabBytes = 8U << 20;
constexpr std::size_t kSlabs = 4;
constexpr std::size_t kGroupBufferBytes = chunk::kMaxGroupBytes + (256U << 10);
constexpr std::size_t kGroupBuffers = 10;
// Entries of a group wait for it: it ends at the latest after so many, and before its trailer outgrows its buffer.
constexpr std::size_t kMaxGroupMembers = 16384;
constexpr std::uint64_t kMaxBytesBesideGroup = 64U << 20;
constexpr std::uint64_t kProgressEveryFiles = 512;

// What lies between two looks at a file that was read.
bool has_changed(const env::FileInfo& before, const env::FileInfo& after) {
  return before.size != after.size || before.modified != after.modified || before.changed != after.changed;
}

// What every walk counts of an entry, dry or not. False if there is no entry to list, only a problem.
bool count_entry(const ScannedEntry& scanned, CaptureReport& report) {
  if (scanned.problem.has_value()) {
    ++report.totals.unreadable;
    if (report.problems.size() < kMaxListedProblems) report.problems.push_back({scanned.entry.path, *scanned.problem});
    if (!scanned.is_new_entry) return false;
  }
  switch (scanned.entry.type) {
    case format::EntryType::Regular:
      ++report.totals.files;
      report.totals.bytes += scanned.entry.size;
      if (scanned.action == ScannedEntry::Action::Reuse) ++report.unchanged_files;
      if (scanned.action == ScannedEntry::Action::Read) report.read_bytes += scanned.entry.size;
      break;
    case format::EntryType::Directory:
      ++report.totals.directories;
      break;
    default:
      ++report.totals.others;
      break;
  }
  return true;
}

void count_block(const ScannedBlock& scanned, CaptureReport& report) {
  report.totals.files += scanned.totals.files;
  report.totals.directories += scanned.totals.directories;
  report.totals.others += scanned.totals.others;
  report.totals.bytes += scanned.totals.bytes;
  report.unchanged_files += scanned.totals.files;
}

class TreeReader {
 public:
  TreeReader(const CaptureContext& context, ContentPipeline& pipeline, CaptureReport& report, StageTimes& times)
      : context_(context),
        pipeline_(pipeline),
        report_(report),
        times_(times),
        slabs_(context.env.threads, kSlabs),
        groups_(context.env.threads, kGroupBuffers),
        identifier_(context.keys.dedup) {}

  Status add(ScannedEntry scanned);
  Status add(ScannedBlock scanned);
  Status finish() { return end_group(); }
  bool reused_any() const { return reused_any_; }

 private:
  Status read_small(ScannedEntry& scanned);
  Status read_large(ScannedEntry& scanned);
  Result<std::vector<format::DataExtent>> find_extents(ScannedEntry& scanned);
  Status cut_slab(const std::shared_ptr<Bytes>& slab, std::size_t filled, chunk::After after, std::size_t& carried_from,
                  PendingEntry& pending);
  void carry_over(std::shared_ptr<Bytes>& slab, std::size_t& filled, std::size_t& carried_from);
  Status end_group();
  void note_problem(format::ListingEntry& entry, format::EntryProblem problem, std::string why);
  void check_unchanged(ScannedEntry& scanned);
  void set_size(format::ListingEntry& entry, std::uint64_t size);
  PendingEntry pending_of(ScannedEntry& scanned) const { return {std::move(scanned.entry), scanned.facts, {}, {}}; }

  const CaptureContext& context_;
  ContentPipeline& pipeline_;
  CaptureReport& report_;
  StageTimes& times_;
  repo::BufferPool slabs_;
  repo::BufferPool groups_;
  format::ChunkIdentifier identifier_;
  chunk::Chunker chunker_;
  bool reused_any_ = false;

  // The open group of small files.
  std::shared_ptr<Bytes> group_;
  std::size_t group_size_ = 0;
  std::vector<std::uint32_t> group_lengths_;
  std::uint64_t group_sequence_ = 0;
  std::uint64_t bytes_beside_group_ = 0;
  std::size_t entries_beside_group_ = 0;
  chunk::GroupRule group_rule_;
};

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
    entries_beside_group_ += scanned.block.entries;
    if (entries_beside_group_ > kMaxGroupMembers) TRY(end_group());
  }
  return pipeline_.add_block(std::move(scanned.block));
}

Status TreeReader::read_small(ScannedEntry& scanned) {
  if (group_ == nullptr) {
    group_ = groups_.acquire(kGroupBufferBytes);
    group_size_ = 0;
    group_sequence_ = pipeline_.next_sequence();
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
  pending.sequence.push_back(group_sequence_);
  pending.group_member = static_cast<std::uint32_t>(group_lengths_.size());
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
  chunk.sequence = group_sequence_;
  chunk.kind = format::ChunkKind::Group;
  chunk.uses = static_cast<std::uint32_t>(group_lengths_.size());
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

// Cuts what is complete in slab[carried_from, filled); carried_from moves to the first byte that needs more data.
Status TreeReader::cut_slab(const std::shared_ptr<Bytes>& slab, std::size_t filled, chunk::After after,
                            std::size_t& carried_from, PendingEntry& pending) {
  while (carried_from < filled) {
    std::size_t length = 0;
    {
      const StageTimer timer(times_, context_.env.clock, Stage::Cut);
      length = chunker_.next_cut(ByteView(*slab).subspan(carried_from, filled - carried_from), after);
    }
    if (length == 0) break;
    ContentPipeline::Chunk chunk;
    chunk.sequence = pipeline_.next_sequence();
    chunk.buffer = slab;
    chunk.begin = carried_from;
    chunk.size = length;
    chunk.uses = 1;
    pending.sequence.push_back(chunk.sequence);
    pending.entry.slices.push_back({{}, 0, static_cast<std::uint32_t>(length)});
    TRY(pipeline_.add_chunk(std::move(chunk)));
    carried_from += length;
  }
  return {};
}

// Goes on in a fresh slab that starts with what was not cut yet: less than one chunk.
void TreeReader::carry_over(std::shared_ptr<Bytes>& slab, std::size_t& filled, std::size_t& carried_from) {
  auto next = slabs_.acquire(kSlabBytes);
  std::copy_n(slab->begin() + static_cast<std::ptrdiff_t>(carried_from), filled - carried_from, next->begin());
  filled -= carried_from;
  carried_from = 0;
  slab = std::move(next);
}

Status TreeReader::read_large(ScannedEntry& scanned) {
  auto found = find_extents(scanned);
  if (!found.ok()) {
    note_problem(scanned.entry, format::EntryProblem::Unreadable, found.error().message());
    return pipeline_.add_entry(pending_of(scanned));
  }
  std::vector<format::DataExtent> extents = found.take();
  PendingEntry pending;
  std::shared_ptr<Bytes> slab;
  std::size_t filled = 0;
  std::size_t carried_from = 0;
  std::optional<Error> failure;
  bool ended_early = false;
  for (format::DataExtent& extent : extents) {
    std::uint64_t done = 0;
    while (done < extent.length && !failure.has_value() && !ended_early) {
      if (slab == nullptr) slab = slabs_.acquire(kSlabBytes);
      if (filled == slab->size()) {
        TRY(cut_slab(slab, filled, chunk::After::MoreBytes, carried_from, pending));
        carry_over(slab, filled, carried_from);
      }
      const StageTimer timer(times_, context_.env.clock, Stage::Read);
      const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(slab->size() - filled, extent.length - done));
      auto got = scanned.file->read_at(extent.offset + done, MutableByteView(*slab).subspan(filled, want));
      if (!got.ok()) {
        failure = got.take_error();
      } else if (got.value() == 0) {
        ended_early = true;
      } else {
        filled += got.value();
        done += got.value();
      }
    }
    extent.length = done;
  }
  if (slab != nullptr) TRY(cut_slab(slab, filled, chunk::After::EndOfFile, carried_from, pending));
  check_unchanged(scanned);
  format::ListingEntry& entry = scanned.entry;
  entry.slices = std::move(pending.entry.slices);
  if (failure.has_value()) {
    note_problem(entry, format::EntryProblem::Unreadable, failure->message());
    entry.slices.clear();  // half a file is no file: the chunks stay for the next try
    entry.sparse = false;
  } else {
    std::erase_if(extents, [](const format::DataExtent& extent) { return extent.length == 0; });
    if (entry.sparse) entry.extents = extents;
    if (ended_early) set_size(entry, extents.empty() ? 0 : extents.back().offset + extents.back().length);
  }
  bytes_beside_group_ += entry.size;
  PendingEntry whole = pending_of(scanned);
  whole.sequence = std::move(pending.sequence);
  TRY(pipeline_.add_entry(std::move(whole)));
  if (group_ != nullptr && bytes_beside_group_ > kMaxBytesBesideGroup) return end_group();
  return {};
}

bool is_of_this_era(const CaptureContext& context, const repo::CatalogueHeader& header) {
  return header.realm == context.policy.realm && header.registry == context.registry.id &&
         header.era == context.era.number;
}

// Whether the table knows the snapshot. It did before the catalogue was there: where the row is missing, the table is
// an older one or a new one, and does not know the chunks that the catalogue's entries are made of.
Result<bool> is_listed(const CaptureContext& context, const format::ObjectName& snapshot) {
  const repo::DedupIndex index = TRY(repo::DedupIndex::open(context.table));
  const auto listed = TRY(index.snapshots());
  return std::any_of(listed.begin(), listed.end(), [&](const auto& each) { return each.name == snapshot; });
}

// The catalogue to merge with: of this realm, registry and era, and no newer than the table; or none.
Result<std::optional<repo::CatalogueReader>> usable_catalogue(const CaptureContext& context,
                                                              const TreeCaptureOptions& options) {
  auto opened = repo::CatalogueReader::open(context.env.files, context.state_directory, options.dataset);
  if (!opened.ok()) {
    if (opened.error().code() != Code::NotFound) {
      context.env.log.write(env::LogLevel::Warning, opened.error().message() + "; the whole tree is read");
    }
    return std::optional<repo::CatalogueReader>();
  }
  if (!is_of_this_era(context, opened.value().header())) {
    context.env.log.write(env::LogLevel::Warning,
                          "catalogue of dataset " + options.dataset + " is another era's; the whole tree is read");
    return std::optional<repo::CatalogueReader>();
  }
  if (!TRY(is_listed(context, opened.value().header().snapshot))) {
    context.env.log.write(env::LogLevel::Warning,
                          "catalogue of dataset " + options.dataset +
                              " is not of the same moment as the agent's table; the whole tree is "
                              "read");
    return std::optional<repo::CatalogueReader>();
  }
  return std::optional(opened.take());
}

// `last` is what was reported last.
bool is_due(const CaptureReport& report, const CaptureProgress& last) {
  return report.totals.files >= last.files + kProgressEveryFiles;
}

// A dry run walks and merges, and reads nothing.
Result<CaptureReport> count_tree(TreeScanner& scanner, const OnProgress& on_progress) {
  CaptureReport report;
  CaptureProgress progress;
  while (auto scanned = TRY(scanner.next())) {
    if (const auto* block = std::get_if<ScannedBlock>(&*scanned)) {
      count_block(*block, report);
    } else {
      count_entry(std::get<ScannedEntry>(*scanned), report);
    }
    if (!is_due(report, progress)) continue;
    progress.files = report.totals.files;
    progress.bytes = report.totals.bytes;
    if (on_progress) on_progress(progress);
  }
  report.excluded = scanner.excluded();
  return report;
}

}  // namespace

std::optional<format::SnapshotTotals> last_totals(const CaptureContext& context, std::string_view dataset) {
  const auto last = repo::CatalogueReader::open(context.env.files, context.state_directory, dataset);
  if (!last.ok() || !is_of_this_era(context, last.value().header())) return std::nullopt;
  return last.value().header().totals;
}

Result<CaptureReport> capture_tree(const CaptureContext& context, const TreeCaptureOptions& options, StageTimes& times,
                                   const OnProgress& on_progress, std::stop_token stop) {
  const env::Instant start = context.env.clock.monotonic();
  const std::int64_t started_ns = context.env.clock.now().nanoseconds;

  // 1. Open the source, the last listing, and the stream to the vaults.
  TRY(format::check_name("dataset", options.dataset));
  const std::string source = TRY(context.env.files.canonical(options.source).in([] { return "source"; }));
  TreeWalker walker =
      TRY(TreeWalker::open(context.env.files, source, TRY(ExcludeList::parse(options.excludes)), options.border));
  std::optional<repo::CatalogueReader> previous = TRY(usable_catalogue(context, options));
  CaptureSession::Facts facts;
  facts.source = source;
  facts.started_ns = started_ns;
  facts.behind = options.behind;
  format::PeriodNumber previous_oldest;
  if (previous.has_value()) {
    facts.previous = previous->header().snapshot;
    previous_oldest = previous->header().oldest_period;
  }
  if (options.mode == CaptureMode::DryRun) {
    TreeScanner scanner(context.env, std::move(walker), std::move(previous), options.rereading, times);
    return count_tree(scanner, on_progress);
  }
  repo::CatalogueWriter catalogue = TRY(repo::CatalogueWriter::create(context.env.files, context.state_directory));
  const auto session = TRY(CaptureSession::begin(context, options.dataset, &catalogue, times));

  // 2. Walk, read and cut; the pipeline does the rest behind.
  CaptureReport report;
  TreeScanner scanner(context.env, std::move(walker), std::move(previous), options.rereading, times);
  TreeReader reader(context, session->pipeline(), report, times);
  CaptureProgress progress;
  progress.expected_files = options.expected_files;
  progress.expected_bytes = options.expected_bytes;
  while (auto scanned = TRY(scanner.next())) {
    if (stop.stop_requested()) return Error(Code::Cancelled, "capture of " + printable(source) + " was interrupted");
    TRY(std::visit([&](auto& item) { return reader.add(std::move(item)); }, *scanned));
    if (!is_due(report, progress)) continue;
    progress.files = report.totals.files;
    progress.bytes = report.totals.bytes;
    progress.new_bytes = session->object_bytes();
    if (on_progress) on_progress(progress);
  }
  TRY(reader.finish());
  report.excluded = scanner.excluded();

  // 3. Make it a snapshot.
  facts.totals = report.totals;
  if (reader.reused_any()) facts.reused_oldest = previous_oldest;
  TRY(session->finish(facts, report));
  report.duration = context.env.clock.monotonic() - start;
  return report;
}

}  // namespace exclave::engine
