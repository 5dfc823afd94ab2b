#include "engine/detail/mark_file.h"

#include <array>

#include "base/text.h"
#include "engine/detail/directory_itself.h"

namespace exclave::engine {
namespace {

constexpr std::string_view kSuffix = ".exclave-restore";
constexpr std::string_view kDraftPrefix = ".tmp-";
constexpr std::uint64_t kMaxBytes = 4 << 20;  // more than the paths of one command line
constexpr std::uint32_t kWriteForOthers = 022;

}  // namespace

Mark Mark::parse(std::string_view text) {
  Mark mark;
  const std::size_t end_of_line = text.find('\n');
  const std::array<std::string*, 6> fields = {&mark.snapshot, &mark.trusted, &mark.inode,
                                              &mark.device,   &mark.created, &mark.boot};
  std::size_t number = 0;
  for (const std::string_view field : split(text.substr(0, end_of_line), ' ')) {
    if (number < fields.size()) *fields[number] = field;
    ++number;
  }
  if (end_of_line != std::string_view::npos) mark.paths = text.substr(end_of_line + 1);
  return mark;
}

std::string Mark::text() const {
  return snapshot + " " + trusted + " " + inode + " " + device + " " + created + " " + boot + "\n" + paths;
}

bool Mark::is_of_directory_of(const Mark& here) const {
  if (inode != here.inode || created != here.created) return false;
  const bool is_of_this_boot = here.boot != kNone && boot == here.boot;
  // A device can get another number with each boot.
  return is_of_this_boot ? device == here.device : created != kNone;
}

std::string MarkFile::path_for(const std::string& target) {
  return target + std::string(kSuffix);
}

Result<MarkFile> MarkFile::beside(env::FileSystem& files, const std::string& target) {
  std::string itself(env::without_slashes(target));
  auto above = TRY(files.open_directory(env::parent_path(itself)));
  return MarkFile(files, std::move(itself), std::move(above));
}

std::string MarkFile::in_words_of_left(const Error& why) const {
  return "all is restored, but " + in_words() + " could not be removed for good: " + why.message() +
         "; remove it, or this command restores over later changes here";
}

std::string MarkFile::in_words() const {
  return "the mark of an unfinished restore '" + printable(path()) + "'";
}

// Not worse than a directory without a mark, and refused like one; but somebody may wonder why.
Error MarkFile::not_trusted(const std::string& why) const {
  return Error(Code::Precondition, "target '" + printable(target_) + "' is not empty")
      .hint("restore into a fresh directory: " + printable(path()) + " " + why +
            ", and is not taken for the mark of an unfinished restore");
}

Result<std::optional<Mark>> MarkFile::read() const {
  const auto file = above_->open_file(env::base_name(path()));
  if (!file.ok() && file.error().code() == Code::NotFound) return std::optional<Mark>();
  if (!file.ok() && file.error().code() == Code::InvalidInput) return not_trusted("is no regular file");
  if (!file.ok()) return file.error();
  const env::FileInfo info = TRY(file.value()->info());
  if (info.user != files_->own_user()) return not_trusted("belongs to another user");
  if ((info.mode & kWriteForOthers) != 0) return not_trusted("may be written by others");
  if (info.link_count != 1) return not_trusted("has another name, too");
  if (info.size > kMaxBytes) return not_trusted("is too large");
  return std::optional(Mark::parse(as_text(TRY(env::read_whole(*file.value(), path(), kMaxBytes)))));
}

Result<Mark> MarkFile::read_of_unfinished() const {
  std::optional<Mark> mark = TRY(read());
  if (mark.has_value()) return std::move(*mark);
  return Error(Code::Precondition, "target '" + printable(target_) + "' is not empty")
      .hint("restore into a fresh directory");
}

Status MarkFile::write(const Mark& mark) const {
  const std::string name(env::base_name(path()));
  const std::string draft = std::string(kDraftPrefix) + mark.inode + "-" + mark.device + std::string(kSuffix);
  Status removed = above_->remove(draft);  // a killed run's
  if (!removed.ok() && removed.error().code() != Code::NotFound) return removed;
  const auto file = TRY(above_->create_file(draft, env::kPrivateFile));
  Status written = file->append(as_bytes(mark.text()));
  if (written.ok()) written = file->sync();
  if (written.ok()) written = above_->rename(draft, name);
  if (written.ok()) return sync_names();
  ignore(above_->remove(draft), "the next one that is written replaces it");
  return written;
}

Status MarkFile::remove() const {
  Status removed = above_->remove(env::base_name(path()));
  if (!removed.ok() && removed.error().code() != Code::NotFound) return removed;
  return sync_names();
}

// By the path, which syncs nothing else: all of the file system may take long, or was to be left to the kernel
// (Syncing::LeaveToKernel), and of what got lost the kernel tells whoever syncs all of it first, which is not to be
// this. Unless something else has the path by now.
Status MarkFile::sync_names() const {
  const std::string_view folder = env::parent_path(target_);
  const env::FileInfo held = TRY(above_->info());
  const auto there = files_->open_directory(folder);
  const auto found = there.ok() ? there.value()->info() : Result<env::FileInfo>(there.error());
  return found.ok() && env::is_same_file(found.value(), held) ? files_->sync_directory(folder) : above_->sync_all();
}

}  // namespace exclave::engine
