#include "spread/detail/spool.h"

#include <algorithm>

#include "base/text.h"

namespace exclave::spread::detail {
namespace {

constexpr std::string_view kStreamName = "stream";
constexpr std::string_view kSegmentKind = ".segment";
constexpr std::string_view kEntryKind = ".entry";
constexpr std::string_view kEndedKind = ".ended";
constexpr std::uint64_t kMaxDocumentBytes = 16 * 1024;
constexpr std::size_t kPieceBytes = 256 * 1024;
static_assert(format::object_bytes(format::kSizeClasses.front()) % kPieceBytes == 0);

}  // namespace

Spool::Spool(env::FileSystem& files, std::string directory, const format::StreamId& stream)
    : files_(files), root_(std::move(directory)), name_(stream.hex()), directory_(env::join_path(root_, name_)) {}

std::string Spool::file_of(std::uint64_t index, std::string_view kind) const {
  return env::join_path(directory_, std::to_string(index) + std::string(kind));
}

Result<std::vector<format::StreamId>> Spool::streams(env::FileSystem& files, const std::string& directory) {
  std::vector<format::StreamId> found;
  const auto names = files.list(directory);
  if (!names.ok() && names.error().code() == Code::NotFound) return found;
  if (!names.ok()) return names.error();
  for (const std::string& name : names.value()) {
    const auto stream = format::StreamId::from_hex(name);
    if (stream.ok()) found.push_back(stream.value());
  }
  return found;
}

Status Spool::create(const format::SignedStream& stream) {
  TRY(files_.make_directories(directory_, env::kPrivateDirectory));
  return env::create_same_durably(files_, env::join_path(directory_, kStreamName), as_bytes(stream.document()),
                                  env::kPrivateFile);
}

Result<format::SignedStream> Spool::stream() const {
  const std::string path = env::join_path(directory_, kStreamName);
  return format::SignedStream::parse(TRY(files_.read_file(path, kMaxDocumentBytes)), path);
}

Result<std::vector<std::uint64_t>> Spool::segments() const {
  return all_of(kSegmentKind);
}

Result<std::vector<std::uint64_t>> Spool::entries() const {
  return all_of(kEntryKind);
}

Result<std::vector<std::uint64_t>> Spool::all_of(std::string_view kind) const {
  std::vector<std::uint64_t> found;
  for (const std::string& name : TRY(files_.list(directory_))) {
    if (!name.ends_with(kind)) continue;
    const auto index = parse_u64(std::string_view(name).substr(0, name.size() - kind.size()));
    if (index.ok()) found.push_back(index.value());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::unique_ptr<env::WritableFile>> Spool::create_segment(std::uint64_t index, std::uint8_t size_class,
                                                                 ByteView front) {
  auto made = write_front(index, size_class, front);
  // It would hold the room that the disk lacks. Nobody has a frame of a journal without a first segment.
  if (!made.ok()) ignore(index == 0 ? remove_all() : remove_segment(index), "recover_spool finds it");
  return made;
}

Result<std::unique_ptr<env::WritableFile>> Spool::write_front(std::uint64_t index, std::uint8_t size_class,
                                                              ByteView front) {
  auto file = TRY(files_.open_log(file_of(index, kSegmentKind)));
  const Bytes zeros(kPieceBytes);
  for (std::uint64_t done = 0; done < format::object_bytes(size_class); done += kPieceBytes) {
    TRY(file->write_at(done, zeros));
  }
  TRY(file->write_at(0, front));
  TRY(file->sync());
  return file;
}

Status Spool::sync_segment(std::uint64_t index) {
  // A handle of its own: the one that frames are written through is another thread's.
  const auto file = TRY(files_.open_log(file_of(index, kSegmentKind)));
  return file->sync();
}

Status Spool::write_again(std::uint64_t index, ByteView bytes) {
  const auto file = TRY(files_.open_log(file_of(index, kSegmentKind)));
  TRY(file->write_at(0, bytes));
  return file->sync();
}

Result<Bytes> Spool::read_segment(std::uint64_t index) const {
  return files_.read_file(file_of(index, kSegmentKind), format::kMaxObjectBytes);
}

Status Spool::remove_segment(std::uint64_t index) {
  return files_.remove_file(file_of(index, kSegmentKind));
}

Status Spool::put_entry(const format::SignedEntry& entry) {
  return env::create_same_durably(files_, file_of(entry.entry.index.value(), kEntryKind), as_bytes(entry.document()),
                                  env::kPrivateFile);
}

Result<std::optional<format::SignedEntry>> Spool::entry(std::uint64_t index) const {
  const std::string path = file_of(index, kEntryKind);
  const auto document = files_.read_file(path, kMaxDocumentBytes);
  if (!document.ok() && document.error().code() == Code::NotFound) return std::optional<format::SignedEntry>();
  if (!document.ok()) return document.error();
  return std::optional(TRY(format::SignedEntry::parse(document.value(), path)));
}

Status Spool::remove_entry(std::uint64_t index) {
  return files_.remove_file(file_of(index, kEntryKind));
}

Status Spool::remove_all() {
  TRY(remove_ended(files_, root_));  // one of this name: a clone's
  TRY(TRY(files_.open_directory(root_))->rename(name_, name_ + std::string(kEndedKind)));
  TRY(files_.sync_directory(root_));  // I2
  return remove_ended(files_, root_);
}

Status Spool::remove_ended(env::FileSystem& files, const std::string& directory) {
  const auto names = files.list(directory);
  if (!names.ok()) return names.error().code() == Code::NotFound ? Status() : names.error();
  for (const std::string& name : names.value()) {
    if (!name.ends_with(kEndedKind)) continue;
    const std::string ended = env::join_path(directory, name);
    for (const std::string& file : TRY(files.list(ended))) TRY(files.remove_file(env::join_path(ended, file)));
    TRY(TRY(files.open_directory(directory))->remove(name));
  }
  return {};
}

}  // namespace exclave::spread::detail
