#include "engine/wal_directory.h"

#include <algorithm>

#include "base/text.h"
#include "engine/detail/directory_itself.h"
#include "engine/restore.h"
#include "env/exists.h"
#include "format/signed_text.h"

namespace exclave::engine {
namespace {

constexpr std::string_view kPlanDomain = "exclave/wal-plan/v1";
constexpr std::string_view kPlanName = "wal.plan";
constexpr std::string_view kPlanDraftName = ".tmp-wal.plan";
// Made before anything else: what lies beside it is a restore's, and of use to nobody as long as there is no plan.
constexpr std::string_view kMarkName = "restore.unfinished";
constexpr std::string_view kMadeHere = "made\n";    // the directory, too
constexpr std::string_view kFoundHere = "found\n";  // empty, by an operator's wish
constexpr std::uint64_t kMaxPlanBytes = 1U << 20;
constexpr std::size_t kCopiedPieceBytes = 1U << 20;

Result<LogRange> parse_range(const std::string& text) {
  const auto fields = split(text, ' ');
  if (fields.size() != 3) return Error(Code::Corrupt, "a timeline is not 'T FROM TO'");
  LogRange range;
  range.timeline = pg::Timeline(TRY(parse_u32(fields[0])));
  range.from = TRY(pg::parse_lsn(fields[1]));
  range.to = TRY(pg::parse_lsn(fields[2]));
  if (range.to < range.from) return Error(Code::Corrupt, "a timeline ends before it begins");
  return range;
}

// Copies a file of a known size; `to` is made anew.
Status copy_file(env::ReadableFile& from, std::uint64_t size, env::FileSystem& files, const std::string& to) {
  const auto directory = TRY(files.open_directory(env::parent_path(to)));
  const std::string name(env::base_name(to));
  const auto old = directory->stat(name);
  if (old.ok()) TRY(directory->remove(name));
  const auto file = TRY(directory->create_file(name, env::kPrivateFile));
  Bytes piece(kCopiedPieceBytes);
  for (std::uint64_t at = 0; at < size;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), size - at));
    const std::size_t got = TRY(from.read_at(at, MutableByteView(piece).first(want)));
    if (got == 0) return Error(Code::Corrupt, "ends early");
    TRY(file->write_at(at, ByteView(piece).first(got)));
    at += got;
  }
  return {};
}

// Whether the plan says that this file is here.
bool is_planned(const WalPlan& plan, const pg::SegmentFile& file) {
  const pg::Lsn file_end = file.start + plan.segment_size.bytes();
  return std::any_of(plan.ranges.begin(), plan.ranges.end(), [&](const LogRange& range) {
    return range.timeline == file.timeline && range.from < range.to && file.start < range.to && range.from < file_end;
  });
}

bool is_planned(const WalPlan& plan, const pg::HistoryFile& file) {
  return file.timeline != pg::Timeline(1) && std::any_of(plan.ranges.begin(), plan.ranges.end(),
                                                         [&](const auto& r) { return r.timeline == file.timeline; });
}

bool has(const std::vector<env::DirectoryEntry>& entries, std::string_view name) {
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
}

Status write_new(env::Directory& directory, std::string_view name, ByteView content) {
  const auto file = TRY(directory.create_file(name, env::kPrivateFile));
  TRY(file->append(content));
  return file->sync();
}

// What is made above it has to let the server's user through.
Result<DirectoryInPlace> open_log_directory(env::FileSystem& files, const std::string& path) {
  TRY(check_names_itself(path, "log directory"));
  TRY(files.make_directories(env::parent_path(path), env::kPassableDirectory));
  TRY(files.make_directories(path, env::kPrivateDirectory));
  auto opened = open_in_place(files, path);
  if (opened.ok() || opened.error().code() != Code::InvalidInput) return opened;
  return Error(Code::Precondition, "'" + printable(path) + "' is a link, or no directory")
      .hint("name the directory itself with --wal");
}

// A file that a restore of this user can have made, and no other name of a file elsewhere.
bool is_own(env::FileSystem& files, const env::FileInfo& info) {
  return info.type == env::FileType::Regular && info.user == files.own_user() && info.link_count == 1;
}

// Empty, or what an interrupted restore left: log without a plan, which no server can have used. Whoever else may write
// there could have put a mark beside files that are none of ours.
Status check_is_unfinished(env::FileSystem& files, const std::string& path, env::Directory& directory,
                           const std::vector<env::DirectoryEntry>& entries) {
  if (entries.empty()) return {};
  const bool is_marked = has(entries, kMarkName) && !has(entries, kPlanName);
  if (is_marked && is_own(files, TRY(directory.stat(kMarkName)))) return {};
  return Error(Code::Precondition, "'" + printable(path) + "' is not empty")
      .hint("name another directory with --wal, or remove it if no restored server uses it");
}

Error missing_history(pg::Timeline timeline) {
  return Error(Code::NotFound, "the history of timeline " + pg::to_text(timeline) + " is missing")
      .hint("bring back another vault: without it no server replays the log");
}

}  // namespace

std::string WalPlan::text() const {
  format::TextWriter writer(kPlanDomain);
  writer.field("system", system.value()).field("segment-bytes", segment_size.bytes());
  for (const LogRange& range : ranges) {
    writer.field("timeline", pg::to_text(range.timeline) + " " + pg::to_text(range.from) + " " + pg::to_text(range.to));
  }
  return writer.text();
}

Result<WalPlan> WalPlan::parse(ByteView document, std::string source) {
  auto reader = TRY(format::TextReader::open(document, kPlanDomain, std::move(source)));
  WalPlan plan;
  plan.system = pg::SystemIdentifier(TRY(reader.number("system")));
  const auto size = pg::SegmentSize::of(TRY(reader.number("segment-bytes")));
  if (!size.ok()) return reader.bad(size.error().message());
  plan.segment_size = size.value();
  do {
    const auto range = parse_range(TRY(reader.field("timeline")));
    if (!range.ok()) return reader.bad(range.error().message());
    if (!plan.ranges.empty() && (range.value().from != plan.end() || range.value().timeline <= plan.timeline()))
      return reader.bad("does not begin where the timeline before it ends");
    plan.ranges.push_back(range.value());
  } while (reader.next_is("timeline"));
  TRY(reader.end());
  return plan;
}

Result<std::unique_ptr<WalDirectoryHold>> WalDirectoryHold::take(env::FileSystem& files, const std::string& directory) {
  const std::string path(env::without_slashes(directory));
  const bool was_there = TRY(env::exists(files, path));
  DirectoryInPlace place = TRY(open_log_directory(files, path));
  std::unique_ptr<WalDirectoryHold> hold(
      new WalDirectoryHold(files, path, std::move(place.above), std::move(place.itself)));
  env::Directory& opened = hold->directory();
  TRY(lock_itself(opened, Error(Code::Conflict, "another restore is at work in '" + printable(path) + "'")
                              .hint("wait until it ends, or name another directory with --wal")));
  // Before it is closed, because an archive of somebody else's stays as it is; and then of what is in it for good.
  TRY(check_is_unfinished(files, path, opened, TRY(opened.entries())));
  TRY(hold->close_to_others());
  Status begun = hold->begin(was_there);
  if (begun.ok()) return hold;
  ignore(opened.set_own_attributes(hold->as_found_), "the error that follows names it");
  return begun.take_error();
}

Status WalDirectoryHold::begin(bool was_there) {
  const std::vector<env::DirectoryEntry> entries = TRY(directory_->entries());
  TRY(check_is_unfinished(files_, path_, *directory_, entries));
  // The mark of what is removed stays: what comes is a restore's again.
  for (const env::DirectoryEntry& entry : entries) {
    if (entry.name != kMarkName) TRY(directory_->remove(entry.name));
  }
  TRY(mark(was_there, entries));
  is_kept_ = false;
  return {};
}

// It becomes this user's, whosever it was: who has it open, or owns it, cannot come through it any more. The ACLs last,
// when nobody else can make new ones.
Status WalDirectoryHold::close_to_others() {
  const env::FileInfo found = TRY(directory_->info());
  as_found_.owner = env::FileOwner{found.user, found.group};
  as_found_.mode = found.mode;
  env::FileAttributes only_for_us;
  only_for_us.owner = env::FileOwner{files_.own_user(), found.group};
  only_for_us.mode = env::kPrivateDirectory;
  Status closed = directory_->set_own_attributes(only_for_us);
  if (closed.ok()) return directory_->drop_acls();
  if (closed.error().code() != Code::Denied || found.user == files_.own_user()) return closed;
  return Error(Code::Precondition, "'" + printable(path_) + "' belongs to another user, who could write into the log")
      .hint("name a directory of your own with --wal, or one that is not there yet");
}

// Of a mark that is not whole nobody knows whether the directory was there before: then it stays.
Status WalDirectoryHold::mark(bool was_there, const std::vector<env::DirectoryEntry>& entries) {
  if (has(entries, kMarkName)) {
    const auto file = TRY(directory_->open_file(kMarkName));
    const auto left = env::read_whole(*file, kMarkName, kMadeHere.size());
    if (!left.ok() && left.error().code() != Code::Exhausted) return left.error();
    if (!left.ok() || as_text(left.value()) != kMadeHere) origin_ = Origin::Found;
    return {};
  }
  if (was_there && entries.empty()) origin_ = Origin::Found;
  TRY(write_new(*directory_, kMarkName, as_bytes(origin_ == Origin::Found ? kFoundHere : kMadeHere)));
  return directory_->sync_all();
}

WalDirectoryHold::~WalDirectoryHold() {
  if (!is_kept_) ignore(remove(), "the next restore removes it, or names it");
}

Status WalDirectoryHold::draft_plan(const WalPlan& plan) {
  if (std::exchange(is_drafted_, false)) TRY(directory_->remove(kPlanDraftName));
  TRY(write_new(*directory_, kPlanDraftName, as_bytes(plan.text())));
  is_drafted_ = true;
  return {};
}

Error WalDirectoryHold::not_of_this_restore(std::string_view name) const {
  return Error(Code::Precondition, "'" + printable(name) + "' in '" + printable(path_) +
                                       "' is not of this restore: somebody else writes there")
      .hint("name another directory with --wal");
}

Result<std::unique_ptr<env::WritableFile>> WalDirectoryHold::open_own(std::string_view name) {
  if (!is_own(files_, TRY(directory_->stat(name)))) return not_of_this_restore(name);
  return directory_->open_for_write(name);
}

// The mark stays this user's: by that the next restore knows it, should this one be killed now.
Status WalDirectoryHold::give_to(const env::FileOwner& owner) {
  env::FileAttributes attributes;
  attributes.owner = owner;
  for (const env::DirectoryEntry& entry : TRY(directory_->entries())) {
    if (entry.name == kMarkName) continue;
    const auto file = TRY(open_own(entry.name));
    TRY(file->set_attributes(attributes));
  }
  return directory_->set_own_attributes(attributes);
}

Status WalDirectoryHold::publish() {
  CHECK(is_drafted_);
  TRY(directory_->sync_all());  // whose it is was said meanwhile
  if (directory_->stat(kPlanName).ok()) return Error(Code::AlreadyExists, "'" + std::string(kPlanName) + "' is there");
  TRY(directory_->rename(kPlanDraftName, kPlanName));
  TRY(directory_->sync_all());
  is_drafted_ = false;
  is_published_ = true;
  return {};
}

void WalDirectoryHold::keep() {
  CHECK(is_published_);
  is_kept_ = true;
  ignore(directory_->remove(kMarkName), "a published log is no restore's any more, with or without it");
}

// The plan first: without it nothing is given out. The mark last: it says whose the rest is.
Status WalDirectoryHold::remove() {
  std::vector<env::DirectoryEntry> entries = TRY(directory_->entries());
  const auto turn = [](const env::DirectoryEntry& entry) {
    return entry.name == kPlanName ? 0 : entry.name == kMarkName ? 2 : 1;
  };
  std::sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) { return turn(a) < turn(b); });
  for (const env::DirectoryEntry& entry : entries) TRY(directory_->remove(entry.name));
  if (origin_ == Origin::Found) return directory_->set_own_attributes(as_found_);
  return remove_itself();
}

Status WalDirectoryHold::remove_itself() {
  if (above_ == nullptr)
    return Error(Code::Denied, "the directory above '" + printable(path_) + "' may not be read: it stays, empty");
  const std::string_view name = env::base_name(path_);
  if (!env::is_same_file(TRY(above_->stat(name)), TRY(directory_->info())))
    return Error(Code::Precondition, "'" + printable(path_) + "' is not this restore's directory any more");
  return above_->remove(name);
}

WalDirectoryWriter::WalDirectoryWriter(std::unique_ptr<WalDirectoryHold> hold, pg::SegmentSize size, pg::Lsn first)
    : hold_(std::move(hold)), directory_(hold_->directory()), size_(size), first_(first) {}

WalDirectoryWriter::~WalDirectoryWriter() = default;

Result<std::unique_ptr<WalDirectoryWriter>> WalDirectoryWriter::create(env::FileSystem& files,
                                                                       const std::string& directory,
                                                                       pg::SegmentSize size, pg::Lsn first) {
  auto hold = TRY(WalDirectoryHold::take(files, directory));
  return std::unique_ptr<WalDirectoryWriter>(new WalDirectoryWriter(std::move(hold), size, size.segment_start(first)));
}

Status WalDirectoryWriter::open_for_write(const std::string& name) {
  if (open_name_ == name) return {};
  open_file_.reset();
  open_name_.clear();
  if (segments_.contains(name)) {
    open_file_ = TRY(hold_->open_own(name));
  } else {
    auto made = directory_.create_file(name, env::kPrivateFile);
    if (!made.ok() && made.error().code() == Code::AlreadyExists) return hold_->not_of_this_restore(name);
    open_file_ = TRY(std::move(made));
    segments_.insert(name);
    TRY(open_file_->resize(size_.bytes()));
  }
  open_name_ = name;
  return {};
}

Status WalDirectoryWriter::remove_file(const std::string& name) {
  segments_.erase(name);
  return directory_.remove(name);
}

Status WalDirectoryWriter::write(pg::Timeline timeline, pg::Lsn at, ByteView bytes) {
  while (!bytes.empty()) {
    TRY(open_for_write(pg::wal_file_name(timeline, at, size_)));
    const std::uint64_t offset = size_.offset_in_segment(at);
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size_.bytes() - offset));
    TRY(open_file_->write_at(offset, bytes.first(some)));
    bytes = bytes.subspan(some);
    at = at + some;
  }
  return {};
}

Status WalDirectoryWriter::read(pg::Timeline timeline, pg::Lsn at, MutableByteView out) {
  while (!out.empty()) {
    const std::string name = pg::wal_file_name(timeline, at, size_);
    const auto file = TRY(directory_.open_file(name));
    const std::uint64_t offset = size_.offset_in_segment(at);
    auto some = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_.bytes() - offset));
    some = TRY(file->read_at(offset, out.first(some)));
    if (some == 0) return Error(Code::Corrupt, "'" + name + "' ends early");
    out = out.subspan(some);
    at = at + some;
  }
  return {};
}

Result<std::size_t> WalDirectoryWriter::count_same(pg::Timeline timeline, pg::Lsn at, ByteView bytes) {
  Bytes here(std::min(bytes.size(), kCopiedPieceBytes));
  std::size_t same = 0;
  while (same < bytes.size()) {
    const ByteView piece = bytes.subspan(same, std::min(bytes.size() - same, here.size()));
    TRY(read(timeline, at + same, MutableByteView(here).first(piece.size())));
    const auto parts = std::mismatch(piece.begin(), piece.end(), here.begin());
    same += static_cast<std::size_t>(parts.first - piece.begin());
    if (parts.first != piece.end()) break;
  }
  return same;
}

Status WalDirectoryWriter::add(pg::Timeline timeline, pg::Lsn start, ByteView bytes) {
  if (start + bytes.size() <= first_) return {};
  if (start < first_) {
    bytes = bytes.subspan(static_cast<std::size_t>(pg::bytes_between(start, first_)));
    start = first_;
  }
  const auto [found, is_new] = extents_.emplace(timeline, Extent{start, start});
  Extent& extent = found->second;
  if (start > extent.to) {
    return Error(Code::Precondition, "the log of timeline " + pg::to_text(timeline) + " is missing from " +
                                         pg::to_text(extent.to) + " to " + pg::to_text(start));
  }
  if (start < extent.from) return Error(Code::Precondition, "log comes out of order");
  const auto known =
      static_cast<std::size_t>(std::min<std::uint64_t>(pg::bytes_between(start, extent.to), bytes.size()));
  const std::size_t same = TRY(count_same(timeline, start, bytes.first(known)));
  if (same < known) {
    extent.to = start + same;
    return Error(Code::Conflict, "the log of timeline " + pg::to_text(timeline) + " comes in two ways from " +
                                     pg::to_text(extent.to) + " on: the server went on from a copy of itself");
  }
  TRY(write(timeline, start + known, bytes.subspan(known)));
  extent.to = std::max(extent.to, start + bytes.size());
  return {};
}

std::vector<pg::TimelineHistory> WalDirectoryWriter::others_than(const pg::TimelineHistory& history) const {
  std::vector<pg::TimelineHistory> others;
  for (const auto& [number, known] : histories_) {
    if (history.has(number) && history.as_of(number) != known) others.push_back(known);
  }
  return others;
}

bool WalDirectoryWriter::is_of_another_branch(const pg::TimelineHistory& history) const {
  return !others_than(history).empty();
}

Result<WalDirectoryWriter::Dropped> WalDirectoryWriter::add_history(pg::Timeline timeline, ByteView text) {
  const pg::TimelineHistory history = TRY(pg::parse_timeline_history(timeline, text));
  const std::vector<pg::TimelineHistory> others = others_than(history);
  std::vector<pg::Timeline> gone;
  for (const auto& [number, known] : histories_) {
    const auto comes_from = [&, &here = known](const auto& other) {
      return here.has(other.timeline) && here.as_of(other.timeline) == other;
    };
    if (std::any_of(others.begin(), others.end(), comes_from)) gone.push_back(number);
  }
  Dropped dropped;
  for (const pg::Timeline number : gone) {
    const auto extent = extents_.find(number);
    dropped[number] = extent != extents_.end() ? std::optional(extent->second) : std::nullopt;
    TRY(drop(number));
  }
  if (histories_.emplace(timeline, history).second) TRY(write_new(directory_, pg::history_file_name(timeline), text));
  return dropped;
}

Status WalDirectoryWriter::drop(pg::Timeline timeline) {
  open_file_.reset();
  open_name_.clear();
  for (const env::DirectoryEntry& entry : TRY(directory_.entries())) {
    const auto name = pg::parse_wal_file_name(entry.name, size_);
    if (!name.ok()) continue;
    const auto is_of_it = [&](const auto& file) { return file.timeline == timeline; };
    if (std::visit(is_of_it, name.value())) TRY(remove_file(entry.name));
  }
  extents_.erase(timeline);
  histories_.erase(timeline);
  return {};
}

Result<pg::TimelineHistory> WalDirectoryWriter::newest_history() const {
  if (extents_.empty()) return Error(Code::NotFound, "there is no log");
  const pg::Timeline newest = extents_.rbegin()->first;
  if (newest == pg::Timeline(1)) return pg::TimelineHistory{newest, {}};
  const auto found = histories_.find(newest);
  if (found == histories_.end()) return missing_history(newest);
  return found->second;
}

// A server asks for the segment in which a timeline began under that timeline's name: the bytes before are its parent's.
Status WalDirectoryWriter::fill_before(const LogRange& range, const WalPlan& plan) {
  pg::Lsn at = std::max(size_.segment_start(range.from), first_);
  while (at < range.from) {
    // The first range begins in the midst of a file, of which all is here.
    const auto parent =
        std::find_if(plan.ranges.begin(), plan.ranges.end(), [&](const LogRange& r) { return at < r.to; });
    if (parent == plan.ranges.end() || parent->timeline == range.timeline) return {};
    if (parent->from > at && extents_.at(parent->timeline).from > at) return {};  // before all that is here
    const pg::Lsn until = std::min(parent->to, range.from);
    Bytes bytes(static_cast<std::size_t>(pg::bytes_between(at, until)));
    TRY(read(parent->timeline, at, bytes));
    TRY(write(range.timeline, at, bytes));
    at = until;
  }
  return {};
}

Status WalDirectoryWriter::end_at(const WalPlan& plan) {
  const pg::Lsn end = plan.end();
  const std::string last = pg::wal_file_name(plan.timeline(), end, size_);
  if (size_.offset_in_segment(end) > 0) {
    TRY(open_for_write(last));
    TRY(open_file_->resize(size_.offset_in_segment(end)));
    TRY(open_file_->resize(size_.bytes()));
  }
  open_file_.reset();
  open_name_.clear();
  for (const env::DirectoryEntry& entry : TRY(directory_.entries())) {
    const auto name = pg::parse_wal_file_name(entry.name, size_);
    const auto* segment = name.ok() ? std::get_if<pg::SegmentFile>(&name.value()) : nullptr;
    const auto* history = name.ok() ? std::get_if<pg::HistoryFile>(&name.value()) : nullptr;
    const bool is_kept = segment != nullptr   ? is_planned(plan, *segment)
                         : history != nullptr ? is_planned(plan, *history)
                                              : true;
    if (!is_kept) TRY(remove_file(entry.name));
  }
  return {};
}

Status WalDirectoryWriter::plan(const WalPlan& plan) {
  CHECK(!plan.ranges.empty());
  // A server asks for the history of each of them.
  for (const LogRange& range : plan.ranges) {
    if (!has_history(range.timeline)) return missing_history(range.timeline);
  }
  for (const LogRange& range : plan.ranges) TRY(fill_before(range, plan));
  TRY(end_at(plan));
  TRY(directory_.sync_all());
  return hold_->draft_plan(plan);
}

std::unique_ptr<WalDirectoryHold> WalDirectoryWriter::finish() && {
  return std::move(hold_);
}

Result<FetchOutcome> fetch_wal(env::FileSystem& files, const std::string& directory, const std::string& name,
                               const std::string& target) {
  const std::string plan_path = env::join_path(directory, kPlanName);
  const Bytes document = TRY(files.read_file(plan_path, kMaxPlanBytes));
  const WalPlan plan = TRY(WalPlan::parse(document, plan_path));
  const pg::WalFileName asked = TRY(pg::parse_wal_file_name(name, plan.segment_size).in([&] {
    return "'" + printable(name) + "', asked of '" + printable(directory) + "'";
  }));
  const auto* segment = std::get_if<pg::SegmentFile>(&asked);
  if (segment != nullptr && segment->start + plan.segment_size.bytes() <= plan.ranges.front().from) {
    return Error(Code::Precondition, "'" + name + "' lies before the log that is here, which begins at " +
                                         pg::to_text(plan.ranges.front().from));
  }
  const auto planned = [&](const auto& file) { return is_planned(plan, file); };
  if (!std::visit(planned, asked)) return FetchOutcome::Absent;
  const auto opened = TRY(files.open_directory(directory));
  const auto file = TRY(opened->open_file(name).in([&] { return "'" + printable(directory) + "'"; }));
  const std::uint64_t size = TRY(file->info()).size;
  if (segment != nullptr && size != plan.segment_size.bytes())
    return Error(Code::Corrupt, "'" + name + "' in '" + printable(directory) + "' has another size than a segment");
  TRY(copy_file(*file, size, files, target).in([&] { return "'" + name + "'"; }));
  return FetchOutcome::HandedOver;
}

}  // namespace exclave::engine
