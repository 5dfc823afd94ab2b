#include "vault/segment_files.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "base/text.h"
#include "crypto/tree_hash.h"
#include "env/exists.h"
#include "vault/detail/private_errors.h"

namespace exclave::vault {
namespace {

constexpr std::size_t kSegmentPieceBytes = 256 * 1024;
constexpr std::string_view kAsideName = "aside";
constexpr std::string_view kDamagedSuffix = "-damaged";
constexpr int kMostAside = 9;  // of one segment

// Whether whole frames stand anywhere in what follows a place where none stands.
bool has_whole_frame(ByteView tail) {
  for (std::size_t at = format::kFrameStep; at < tail.size(); at += format::kFrameStep) {
    if (format::scan_frames(tail.subspan(at)).frames > 0) return true;
  }
  return false;
}

// What a disk cannot read, it has spoiled.
template <typename T>
bool is_unreadable(const Result<T>& read) {
  return !read.ok() && read.error().code() == Code::Corrupt;
}

}  // namespace

struct SegmentFiles::Segment {
  Segment(env::Threads& threads, const SegmentRow& segment_row) : row(segment_row), gate(threads) {}
  const SegmentRow row;
  std::atomic<std::uint64_t> end = 0;      // written by who holds the gate
  std::atomic<bool> is_damaged = false;    // I4, I5; so too
  std::optional<format::SignedMark> mark;  // under mutex_
  detail::Gate gate;
  // Behind the gate:
  std::optional<format::FrameNumber> last;
  std::unique_ptr<env::WritableFile> file;
  bool is_poisoned = false;
  bool is_closing = false;                    // it has an object's name, too
  std::optional<format::ObjectName> adopted;  // that name, if this program gave it
  bool is_gone = false;                       // forgotten while somebody waited at the gate
  bool is_told_of = false;                    // that its writer went two ways
  crypto::Sha256Hasher hasher;                // of what lies before `hashed`
  std::uint64_t hashed = 0;
};

std::string SegmentFiles::folder_of(const format::SegmentPlace& place) const {
  return env::join_path(directory_, place.stream.hex());
}
std::string SegmentFiles::file_of(const format::SegmentPlace& place) const {
  return env::join_path(folder_of(place), std::to_string(place.index.value()));
}

Error SegmentFiles::failed(const format::SegmentPlace& place, const Error& error) const {
  return detail::private_error(parts_.log, format::to_string(place), error);
}

Result<std::unique_ptr<SegmentFiles>> SegmentFiles::open(const Parts& parts, std::string directory) {
  std::unique_ptr<SegmentFiles> files(new SegmentFiles(parts, std::move(directory)));
  TRY(parts.files.make_directories(files->directory_, env::kPrivateDirectory));
  TRY(parts.records.scan_segments(
      [&](const format::SegmentPlace& place, const SegmentRow& row) -> Result<table::Visit> {
        files->add(place, row);
        return table::Visit::Continue;
      }));
  TRY(files->remove_strays());
  std::map<format::SegmentPlace, std::shared_ptr<Segment>> segments;
  {
    const MutexLock lock(files->mutex_);
    segments = files->segments_;
  }
  for (const auto& [place, segment] : segments) {
    TRY(files->recover(place, *segment).in([&, at = place] { return format::to_string(at); }));
  }
  return files;
}

Status SegmentFiles::remove_strays() {
  for (const std::string& folder : TRY(parts_.files.list(directory_))) {
    if (folder == kAsideName) TRY(parts_.files.remove_temporaries(env::join_path(directory_, folder)));
    const auto stream = format::StreamId::from_hex(folder);
    if (stream.ok()) TRY(remove_strays_in(env::join_path(directory_, folder), stream.value()));
  }
  return {};
}

// Files of segments that were closed just before a crash: their bytes are objects by now.
Status SegmentFiles::remove_strays_in(const std::string& folder, const format::StreamId& stream) {
  TRY(parts_.files.remove_temporaries(folder));
  for (const std::string& name : TRY(parts_.files.list(folder))) {
    const auto index = parse_u64(name);
    if (!index.ok()) continue;
    const format::SegmentPlace place{stream, format::EntryIndex(index.value())};
    if (find(place) != nullptr) continue;
    const auto entry = TRY(parts_.records.entry(place.stream, place.index));
    const auto info = TRY(parts_.files.stat(file_of(place)));
    const auto size_class = format::class_of_bytes(info.size);
    if (!entry.has_value() || !size_class.has_value()) {
      TRY(set_aside(place, "",
                    entry.has_value() ? "is closed, and a file of it has a size that no segment has"
                                      : "has a file here, and the table knows nothing of it"));
      continue;
    }
    Segment segment(parts_.threads, {*size_class, {}});
    segment.is_closing = info.link_count > 1;
    const auto looked = look(place, segment);
    if (!looked.ok() && !is_unreadable(looked)) return looked.error();
    if (is_unreadable(looked)) segment.end = segment.row.bytes();
    const auto remove = [&]() -> Status {
      const bool is_same = segment.is_closing || TRY(is_prefix_of(place, segment, entry->object));
      return remove_or_set_aside(place, is_same);
    };
    note_leftover(place, remove());
  }
  return {};
}

Result<Bytes> SegmentFiles::look(const format::SegmentPlace& place, Segment& segment) {
  Bytes bytes = TRY(parts_.files.read_file(file_of(place), segment.row.bytes()));
  const auto front = format::decode_segment_front(bytes);
  if (front.ok() && front.value().place == place) {
    const format::FrameScan scan = format::scan_frames(ByteView(bytes).subspan(format::kSegmentFrontBytes));
    segment.end = format::kSegmentFrontBytes + scan.bytes;
    segment.last = scan.last;
  }
  return bytes;
}

Status SegmentFiles::recover(const format::SegmentPlace& place, Segment& segment) {
  const auto mark = TRY(parts_.records.mark(place));
  {
    const MutexLock lock(mutex_);
    segment.mark = mark;
  }
  segment.is_damaged = TRY(env::exists(parts_.files, damaged_file_of(place)));
  if (segment.is_damaged) TRY(parts_.files.sync_directory(env::parent_path(damaged_file_of(place))));
  const auto info = parts_.files.stat(file_of(place));
  if (!info.ok() && info.error().code() == Code::NotFound) {
    if (mark.has_value()) {
      segment.is_damaged = true;
      parts_.log.write(env::LogLevel::Error, format::to_string(place) + ": its file is gone, and " +
                                                 std::to_string(mark->mark.end) + " bytes of it had been confirmed");
    }
    return {};
  }
  if (!info.ok()) return info.error();
  // Going on without it would hide frames that are still there: that is for a person to decide.
  const auto unreadable = [&](Error why) {
    return std::move(why).hint("move '" + printable(file_of(place)) + "' to '" + printable(damaged_file_of(place)) +
                               "' and start again: its frames come back from its writer or the other vaults");
  };
  if (info.value().size != segment.row.bytes())
    return unreadable(Error(Code::Corrupt, "its file has another size than its class"));
  segment.is_closing = info.value().link_count > 1;
  auto looked = look(place, segment);
  if (is_unreadable(looked)) return unreadable(looked.take_error());
  Bytes bytes = TRY(std::move(looked));
  if (segment.is_closing) return {};
  TRY(open_file(place, segment));
  TRY(judge_tail(place, segment, mark, bytes));
  return settle(place, segment, std::move(bytes));
}

// What was read may be in memory only, if the program died and the machine did not. Also for good: a kernel takes what it
// failed to write for written. So the bytes of the last call are written anew, and the zeros where a call that was torn has left
// some, or damage whole frames: the disk may hold them still, although memory does not. The file's name is made to last too: an
// attempt to create it may have failed after it had given the name.
Status SegmentFiles::settle(const format::SegmentPlace& place, Segment& segment, Bytes bytes) {
  TRY(parts_.files.sync_directory(folder_of(place)));
  const auto end = static_cast<std::size_t>(segment.end);
  const std::size_t begin = end - std::min(end, store::kMaxAppendBytes);
  const bool is_clean = is_all_zero(ByteView(bytes).subspan(end));
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(end), bytes.end(), Byte{0});
  bytes.resize(is_clean && !segment.is_damaged ? std::min(bytes.size(), end + store::kMaxAppendBytes) : bytes.size());
  TRY(segment.file->write_at(begin, ByteView(bytes).subspan(begin)));
  return segment.file->sync();
}

Status SegmentFiles::judge_tail(const format::SegmentPlace& place, Segment& segment,
                                const std::optional<format::SignedMark>& mark, ByteView bytes) {
  const std::uint64_t end = segment.end;
  const ByteView tail = bytes.subspan(static_cast<std::size_t>(end));
  const std::string where = format::to_string(place) + ": what stands behind byte " + std::to_string(end);
  const bool is_short_of_mark = mark.has_value() && mark->mark.end > end;
  if (is_all_zero(tail) && !is_short_of_mark) return {};
  const bool is_known = segment.is_damaged;
  if (is_known || is_short_of_mark || has_whole_frame(tail)) {
    TRY(keep_damaged(place, bytes));
    segment.is_damaged = true;
    const std::string why = is_short_of_mark ? "damaged, and bytes up to " + std::to_string(mark->mark.end) +
                                                   " had been confirmed and marked"
                            : is_known ? "no whole frame, and the segment had been found damaged before"
                                       : "damaged, and whole frames follow it: some of them may have been confirmed";
    parts_.log.write(env::LogLevel::Error, where + " is " + why + ". The segment was set aside as '" +
                                               printable(damaged_file_of(place)) +
                                               "' and cleared there; its writer sends them again, if there is one");
    return {};
  }
  parts_.log.write(env::LogLevel::Warning,
                   where +
                       " is no whole frame and was cleared: the power tore it before it was confirmed, unless the disk "
                       "has spoiled it within a second");
  return {};
}

std::string SegmentFiles::aside_file_of(const format::SegmentPlace& place, std::string_view suffix) const {
  return env::join_path(env::join_path(directory_, kAsideName),
                        place.stream.hex() + "-" + std::to_string(place.index.value()) + std::string(suffix));
}
std::string SegmentFiles::damaged_file_of(const format::SegmentPlace& place) const {
  return aside_file_of(place, kDamagedSuffix);
}

Status SegmentFiles::keep_damaged(const format::SegmentPlace& place, ByteView bytes) {
  const std::string path = damaged_file_of(place);
  const std::string aside(env::parent_path(path));
  TRY(parts_.files.make_directories(aside, env::kPrivateDirectory));
  // As it was found first. The program may have died before that name was durable.
  if (TRY(env::exists(parts_.files, path))) return parts_.files.sync_directory(aside);
  return env::create_file_durably(parts_.files, path, bytes, env::kPrivateFile);
}

Status SegmentFiles::open_file(const format::SegmentPlace& place, Segment& segment) {
  const auto folder = TRY(parts_.files.open_directory(folder_of(place)));
  const std::string name = std::to_string(place.index.value());
  // It may be of an object's mode, if a crash came between that and the object's name.
  TRY(folder->set_attributes(name, {.mode = env::kPrivateFile, .owner = {}, .modified = {}, .xattrs = {}}));
  segment.file = TRY(folder->open_for_write(name));
  return {};
}

Status SegmentFiles::check_room(std::uint8_t size_class) const {
  const std::uint64_t wanted = TRY(checked_add(parts_.reserve_bytes, format::object_bytes(size_class)));
  const auto free = parts_.files.free_bytes(directory_);
  if (!free.ok()) return detail::private_error(parts_.log, "free space", free.error());
  if (free.value() >= wanted) return {};
  return detail::private_error(
      parts_.log, "a new segment",
      Error(Code::Exhausted, "no room in " + directory_ + ": " + std::to_string(free.value()) + " bytes are free, " +
                                 std::to_string(wanted) + " are needed"));
}

void SegmentFiles::add(const format::SegmentPlace& place, const SegmentRow& row) {
  auto segment = std::make_shared<Segment>(parts_.threads, row);
  const MutexLock lock(mutex_);
  segments_.emplace(place, std::move(segment));
}

std::shared_ptr<SegmentFiles::Segment> SegmentFiles::find(const format::SegmentPlace& place) const {
  const MutexLock lock(mutex_);
  const auto found = segments_.find(place);
  return found == segments_.end() ? nullptr : found->second;
}

std::optional<SegmentRow> SegmentFiles::row(const format::SegmentPlace& place) const {
  const auto segment = find(place);
  return segment == nullptr ? std::nullopt : std::optional(segment->row);
}

std::optional<store::OpenSegment> SegmentFiles::segment(const format::SegmentPlace& place) const {
  const auto segment = find(place);
  if (segment == nullptr) return std::nullopt;
  const MutexLock lock(mutex_);
  return shown(place, *segment);
}

store::OpenSegment SegmentFiles::shown(const format::SegmentPlace& place, const Segment& segment) const {
  return {place.stream, place.index, segment.row.size_class, segment.end, segment.is_damaged, segment.mark};
}

std::vector<store::OpenSegment> SegmentFiles::list() const {
  std::vector<store::OpenSegment> all;
  const MutexLock lock(mutex_);
  for (const auto& [place, segment] : segments_) {
    all.push_back(shown(place, *segment));
  }
  return all;
}

// The whole class, written and not merely reserved: only then a later append changes no metadata (279 us become 72).
Status SegmentFiles::create_file(const format::SegmentPlace& place, const Segment& segment) {
  const std::string name = std::to_string(place.index.value());
  TRY(parts_.files.make_directories(folder_of(place), env::kPrivateDirectory));
  const auto draft = TRY(parts_.files.draft(folder_of(place), env::kPrivateFile));
  const Bytes zeros(kSegmentPieceBytes);
  for (std::uint64_t done = 0; done < segment.row.bytes(); done += kSegmentPieceBytes) {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(kSegmentPieceBytes, segment.row.bytes() - done));
    TRY(draft->file().append(ByteView(zeros).first(take)));
  }
  Status published = draft->publish_new(name);
  // An earlier attempt failed after it had given the name: nothing was written since.
  if (!published.ok() && published.error().code() == Code::AlreadyExists) return draft->publish_replacing(name);
  return published;
}

Status SegmentFiles::compare(const format::SegmentPlace& place, std::uint64_t offset, ByteView bytes) {
  Bytes held(bytes.size());
  const auto file = TRY(parts_.files.open_file(file_of(place)));
  const std::size_t got = TRY(file->read_at(offset, held));
  if (got != held.size()) return Error(Code::Corrupt, "its file ends before its end");
  if (equal(held, bytes)) return {};
  return Error(Code::Conflict,
               "other bytes stand between " + std::to_string(offset) + " and " + std::to_string(offset + bytes.size()));
}

Result<std::uint64_t> SegmentFiles::append(const format::SegmentPlace& place, std::uint64_t offset, ByteView bytes) {
  const auto segment = find(place);
  const auto not_open = [&] { return Error(Code::NotFound, format::to_string(place) + " is not open here"); };
  if (segment == nullptr) return not_open();
  const detail::GatePass pass(segment->gate);
  if (segment->is_gone) return not_open();
  const std::uint64_t end = segment->end;
  if (offset > end) {
    return Error(Code::Precondition, format::to_string(place) + " ends at " + std::to_string(end) + ", before offset " +
                                         std::to_string(offset));
  }
  const auto known = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), end - offset));
  if (known > 0) {
    const Status same = compare(place, offset, bytes.first(known));
    if (!same.ok() && same.error().code() == Code::Conflict) return Error(same.error()).in(format::to_string(place));
    if (!same.ok()) return failed(place, same.error());
  }
  if (known == bytes.size()) return end;
  if (segment->is_closing) return Error(Code::Conflict, format::to_string(place) + " is being closed");
  if (segment->is_poisoned) {
    return Error(Code::Precondition,
                 format::to_string(place) + " takes no more frames: its disk failed; close it with the whole object");
  }
  return write(place, *segment, bytes.subspan(known));
}

Result<std::uint64_t> SegmentFiles::write(const format::SegmentPlace& place, Segment& segment, ByteView bytes) {
  const std::uint64_t end = segment.end;
  const auto refused = [&](const std::string& why) {
    return Error(Code::InvalidInput, format::to_string(place) + ": " + why);
  };
  if (bytes.size() > segment.row.bytes() - end) return refused("more frames than its class has room for");
  if (end == 0 && bytes.size() < format::kSegmentFrontBytes) return refused("its front comes first");
  const ByteView frames = end == 0 ? bytes.subspan(format::kSegmentFrontBytes) : bytes;
  const format::FrameScan scan = format::scan_frames(frames);
  if (scan.bytes != frames.size()) return refused("what came are not whole frames");
  if (segment.last.has_value() && scan.first.has_value() && scan.first->value() != segment.last->value() + 1) {
    return refused("frame " + std::to_string(scan.first->value()) + " does not follow frame " +
                   std::to_string(segment.last->value()));
  }
  if (segment.file == nullptr) {
    Status made = create_file(place, segment);
    if (made.ok()) made = open_file(place, segment);
    if (!made.ok()) return failed(place, made.error());
  }
  const Status written = segment.file->write_at_durably(end, bytes);
  if (!written.ok()) {
    segment.is_poisoned = true;
    return failed(place, written.error());
  }
  if (scan.last.has_value()) segment.last = scan.last;
  segment.end = end + bytes.size();
  return end + bytes.size();
}

template <typename Read>
auto SegmentFiles::read_back(const format::SegmentPlace& place, Segment& segment, const Read& read)
    -> decltype(read()) {
  auto done = read();
  if (!is_unreadable(done)) return done;
  parts_.log.write(env::LogLevel::Warning,
                   format::to_string(place) +
                       ": its disk failed to read it back, and is asked once more: " + done.error().message());
  done = read();
  if (!is_unreadable(done)) return done;
  segment.is_poisoned = true;
  segment.is_damaged = true;
  const Status kept = keep_damaged(place, {});  // there is nothing to keep but that it is so
  if (!kept.ok()) parts_.log.write(env::LogLevel::Error, format::to_string(place) + ": " + kept.error().message());
  return done;
}

Status SegmentFiles::put_mark(const format::SignedMark& signed_mark) {
  const format::Mark& mark = signed_mark.mark;
  const std::string noun = format::to_string(mark.place);
  const auto segment = find(mark.place);
  if (segment == nullptr) return Error(Code::NotFound, noun + " is not open here");
  const detail::GatePass pass(segment->gate);
  if (segment->is_gone) return Error(Code::NotFound, noun + " is not open here");
  if (segment->is_closing) return Error(Code::Conflict, noun + " is being closed");
  if (mark.end != segment->end) {
    return Error(Code::Precondition,
                 noun + " ends at " + std::to_string(segment->end) + ", its mark at " + std::to_string(mark.end));
  }
  if (!segment->last.has_value() || mark.frames != segment->last->value() + 1) {
    return Error(Code::InvalidInput, noun + ": its mark names another number of frames than stand there");
  }
  const auto hash = read_back(mark.place, *segment, [&] { return hash_of(mark.place, *segment); });
  if (!hash.ok()) return failed(mark.place, hash.error());
  if (hash.value() != mark.hash) return distrust(mark.place, *segment);
  Records::Change change(parts_.records);
  change.put_mark(signed_mark);
  TRY(parts_.records.commit(change));
  const MutexLock lock(mutex_);
  segment->mark = signed_mark;
  return {};
}

Error SegmentFiles::distrust(const format::SegmentPlace& place, Segment& segment) {
  const std::string noun = format::to_string(place);
  segment.is_poisoned = true;
  segment.is_damaged = true;
  // Of a segment whose frames are whole, which a writer may say of any, no more than what came in.
  const auto keep = [&]() -> Status {
    const bool is_seen = TRY(is_spoiled(place, segment));
    Bytes bytes = TRY(parts_.files.read_file(file_of(place), segment.row.bytes()));
    if (!is_seen) bytes.resize(static_cast<std::size_t>(segment.end));
    return keep_damaged(place, bytes);
  };
  const Status kept = keep();
  parts_.log.write(env::LogLevel::Error,
                   noun + ": its disk gives other bytes than its writer has signed for; they " +
                       (kept.ok() ? "are kept as '" + printable(damaged_file_of(place)) + "'" : "could not be kept"));
  if (!kept.ok()) return failed(place, kept.error());
  return {Code::Conflict, noun + " has other bytes here than the mark says; close it with the whole object"};
}

Result<crypto::Hash256> SegmentFiles::hash_of(const format::SegmentPlace& place, Segment& segment) {
  TRY(read_pieces(place, segment.hashed, segment.end, [&](ByteView piece) {
    segment.hasher.update(piece);
    segment.hashed += piece.size();
  }));
  return segment.hasher.so_far();
}

Status SegmentFiles::read_pieces(const format::SegmentPlace& place, std::uint64_t begin, std::uint64_t end,
                                 const std::function<void(ByteView)>& take) {
  const auto file = TRY(parts_.files.open_file(file_of(place)));
  file->sequential();
  Bytes piece;
  for (std::uint64_t at = begin; at < end; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kSegmentPieceBytes, end - at)));
    if (TRY(file->read_at(at, piece)) != piece.size()) return Error(Code::Corrupt, "its file is cut short");
    take(piece);
  }
  return {};
}

Status SegmentFiles::read(const format::SegmentPlace& place, std::uint64_t offset, MutableByteView out) {
  const auto segment = find(place);
  if (segment == nullptr) return Error(Code::NotFound, format::to_string(place) + " is not open here");
  const std::uint64_t end = segment->end;
  if (offset > end || out.size() > end - offset) {
    return Error(Code::InvalidInput, format::to_string(place) + " ends before the range that was asked for");
  }
  if (out.empty()) return {};
  const auto file = parts_.files.open_file(file_of(place));
  if (!file.ok() && file.error().code() == Code::NotFound) {
    return Error(Code::NotFound, format::to_string(place) + " is not open here any more");
  }
  if (!file.ok()) return failed(place, file.error());
  const auto got = file.value()->read_at(offset, out);
  if (!got.ok()) return failed(place, got.error());
  if (got.value() != out.size()) return failed(place, Error(Code::Corrupt, "its file ends before its end"));
  return {};
}

Result<std::optional<SegmentRow>> SegmentFiles::adopt(const format::SegmentPlace& place, const format::ObjectName& name,
                                                      const std::function<Status(const Attempt&)>& publish) {
  const auto segment = find(place);
  if (segment == nullptr) return std::optional<SegmentRow>();
  const detail::GatePass pass(segment->gate);
  if (segment->is_gone || segment->is_poisoned || segment->end == 0) return std::optional<SegmentRow>();
  const auto whole = read_back(place, *segment, [&]() -> Result<crypto::Hash256> {
    crypto::TreeHasher hasher;
    TRY(read_pieces(place, 0, segment->row.bytes(), [&](ByteView piece) { hasher.update(piece); }));
    return hasher.finish();
  });
  if (is_unreadable(whole)) return std::optional<SegmentRow>();
  if (!whole.ok()) return failed(place, whole.error());
  if (format::ObjectName(whole.value().array()) != name) return std::optional<SegmentRow>();
  segment->is_closing = true;
  const Status published = publish([&](store::IfPresent if_present) {
    return parts_.objects.adopt(name, folder_of(place), std::to_string(place.index.value()), if_present);
  });
  // Where no file can be taken over, the writer sends the object.
  if (!published.ok() && published.error().code() == Code::Unsupported) return std::optional<SegmentRow>();
  if (!published.ok()) return published.error();
  segment->adopted = name;
  return std::optional(segment->row);
}

Result<HeadRow> SegmentFiles::close(const format::SegmentPlace& place, const format::ObjectName& name,
                                    const std::function<Result<HeadRow>()>& commit) {
  const auto segment = find(place);
  if (segment == nullptr) return commit();
  const detail::GatePass pass(segment->gate);
  if (segment->is_gone) return commit();
  const bool is_same = segment->adopted == name || TRY(begins_as_here(place, *segment, name));
  auto head = commit();
  if (head.ok()) forget(place, *segment, is_same);
  return head;
}

// I6. Whoever holds home's key may add to what was confirmed, and take nothing of it away.
Result<bool> SegmentFiles::begins_as_here(const format::SegmentPlace& place, Segment& segment,
                                          const format::ObjectName& name) {
  const auto same = is_prefix_of(place, segment, name);
  if (!same.ok()) return failed(place, same.error());
  if (same.value()) return true;
  const auto spoiled = is_spoiled(place, segment);
  if (!spoiled.ok()) return failed(place, spoiled.error());
  if (spoiled.value()) return false;
  const std::string what =
      format::to_string(place) +
      ": the object lacks frames that were confirmed here, or has others: its writer went two ways";
  if (!std::exchange(segment.is_told_of, true)) parts_.log.write(env::LogLevel::Error, what);
  return Error(Code::Conflict, what);
}

void SegmentFiles::forget(const format::SegmentPlace& place, Segment& segment, bool is_same) {
  segment.is_gone = true;
  segment.file.reset();
  {
    const MutexLock lock(mutex_);
    segments_.erase(place);
  }
  note_leftover(place, remove_or_set_aside(place, segment.is_closing || is_same));
}

// An object that its disk does not give keeps no vault from starting, and no segment from being closed: the next start tries
// again.
void SegmentFiles::note_leftover(const format::SegmentPlace& place, const Status& removed) const {
  if (removed.ok()) return;
  // Nothing was left of it, or its object is what cannot be found.
  const auto is_there = env::exists(parts_.files, file_of(place));
  if (removed.error().code() == Code::NotFound && is_there.ok() && !is_there.value()) return;
  parts_.log.write(env::LogLevel::Error,
                   format::to_string(place) + " is closed, its file stays: " + removed.error().message());
}

Status SegmentFiles::remove_or_set_aside(const format::SegmentPlace& place, bool is_same) {
  if (is_same) return parts_.files.remove_file(file_of(place));
  return set_aside(place, kDamagedSuffix,
                   "was closed with the whole object: its disk gives other bytes than were confirmed here, or none");
}

// Whether the disk gives other bytes than came in, or none.
Result<bool> SegmentFiles::is_spoiled(const format::SegmentPlace& place, const Segment& segment) {
  std::optional<format::SignedMark> mark;
  {
    const MutexLock lock(mutex_);
    mark = segment.mark;
  }
  Segment found(parts_.threads, segment.row);
  const auto looked = look(place, found);
  if (is_unreadable(looked)) return true;
  const Bytes bytes = TRY(looked);
  if (found.end < segment.end) return true;
  if (!mark.has_value()) return false;
  const auto marked = static_cast<std::size_t>(mark->mark.end);
  return marked > bytes.size() || crypto::sha256(ByteView(bytes).first(marked)) != mark->mark.hash;
}

Result<bool> SegmentFiles::is_prefix_of(const format::SegmentPlace& place, const Segment& segment,
                                        const format::ObjectName& name) {
  const std::uint64_t end = segment.end;
  if (end == 0) return true;
  if (TRY(parts_.objects.size_of(name)) < end) return false;
  const auto file = TRY(parts_.files.open_file(file_of(place)));
  Bytes ours(kSegmentPieceBytes);
  Bytes theirs(kSegmentPieceBytes);
  for (std::uint64_t done = 0; done < end; done += kSegmentPieceBytes) {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(kSegmentPieceBytes, end - done));
    TRY(parts_.objects.read(name, done, MutableByteView(theirs).first(take)));
    const auto got = file->read_at(done, MutableByteView(ours).first(take));
    if (!got.ok() && !is_unreadable(got)) return got.error();
    if (!got.ok() || got.value() != take) return false;
    if (!equal(ByteView(ours).first(take), ByteView(theirs).first(take))) return false;
  }
  return true;
}

Status SegmentFiles::set_aside(const format::SegmentPlace& place, std::string_view suffix, std::string_view why) {
  std::string path = aside_file_of(place, suffix);
  const std::string aside(env::parent_path(path));
  TRY(parts_.files.make_directories(aside, env::kPrivateDirectory));
  const auto source = TRY(parts_.files.open_directory(folder_of(place)));
  const auto target = TRY(parts_.files.open_directory(aside));
  const std::string name = std::to_string(place.index.value());
  // A second name that it has already was given before a crash. Otherwise what bears the name is a note, or the segment as it was
  // found earlier.
  const bool is_linked = TRY(parts_.files.stat(file_of(place))).link_count > 1;
  Status linked = is_linked ? Status() : target->create_link(env::base_name(path), *source, name);
  for (int other = 1; !linked.ok() && linked.error().code() == Code::AlreadyExists && other <= kMostAside; ++other) {
    path = aside_file_of(place, std::string(suffix) + "-" + std::to_string(other));
    linked = target->create_link(env::base_name(path), *source, name);
  }
  TRY(std::move(linked));
  TRY(parts_.files.sync_directory(aside));
  parts_.log.write(env::LogLevel::Error, format::to_string(place) + " " + std::string(why) +
                                             ". What lay here is set aside as '" + printable(path) + "'");
  return source->remove(name);
}

}  // namespace exclave::vault
