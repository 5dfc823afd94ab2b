#include "posix/file_system.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <limits>

#include "base/checked.h"
#include "base/text.h"
#include "posix/detail/attributes.h"
#include "posix/detail/directory.h"
#include "posix/detail/errors.h"
#include "posix/detail/files.h"
#include "posix/detail/paths.h"

namespace exclave::posix {
namespace {

constexpr std::string_view kTemporaryPrefix = ".tmp-";
constexpr int kNameAttempts = 4;  // 64 random bits collide never; a broken Random must not loop

class DraftFile : public env::FileSystem::Draft {
 public:
  DraftFile(Descriptor directory, std::string temporary, Descriptor file)
      : directory_(std::move(directory)), temporary_(std::move(temporary)), file_(std::move(file), 0) {}
  ~DraftFile() override {
    // A leftover is removed by remove_temporaries at the next start.
    if (!temporary_.empty()) static_cast<void>(::unlinkat(directory_.get(), temporary_.c_str(), 0));
  }

  env::WritableFile& file() override { return file_; }

  Status publish_new(std::string_view name) override {
    CHECK(!temporary_.empty());  // published already
    const std::string checked = TRY(checked_name(name));
    TRY(file_.sync());
    int error = rename_to(checked, RENAME_NOREPLACE);
    if (error == EINVAL || error == ENOSYS) error = link_to(checked);
    return named(name, error);
  }

  Status publish_replacing(std::string_view name) override {
    CHECK(!temporary_.empty());  // published already
    const std::string checked = TRY(checked_name(name));
    TRY(file_.sync());
    return named(name, rename_to(checked, 0));
  }

 private:
  int rename_to(const std::string& name, unsigned flags) const {
    return ::renameat2(directory_.get(), temporary_.c_str(), directory_.get(), name.c_str(), flags) == 0 ? 0 : errno;
  }
  // For file systems that cannot rename without replacing (NFS).
  int link_to(const std::string& name) const {
    if (::linkat(directory_.get(), temporary_.c_str(), directory_.get(), name.c_str(), 0) != 0) return errno;
    static_cast<void>(::unlinkat(directory_.get(), temporary_.c_str(), 0));  // else remove_temporaries finds it
    return 0;
  }
  Status named(std::string_view name, int error) {
    if (error != 0) return system_error(error, Access::Write, "publish", path_of(directory_.get(), name));
    temporary_.clear();
    return sync_names(directory_.get());
  }

  const Descriptor directory_;
  std::string temporary_;  // empty once published
  OutputFile file_;
};

class FileLock : public env::FileSystem::Lock {
 public:
  explicit FileLock(Descriptor file) : file_(std::move(file)) {}

 private:
  const Descriptor file_;  // closing it unlocks
};

Error cannot(std::string_view action, std::string_view path, Access access) {
  return system_error(errno, access, action, path);
}

// One level of make_directories. Its name is durable when this returned ok.
enum class Made { New, Found };
Result<Made> make_directory(const std::string& path, std::uint32_t mode) {
  const Path at = TRY(Path::from(path));
  if (::mkdirat(at.at(), at.rest(), mode) == 0) {
    const Descriptor parent = TRY(open_directory_descriptor(env::parent_path(path)));
    TRY(sync_names(parent.get()));
    return Made::New;
  }
  if (errno != EEXIST) return cannot("create directory", path, Access::Write);
  struct stat stat {};
  if (::fstatat(at.at(), at.rest(), &stat, 0) != 0) return cannot("look at", path, Access::Write);
  if (!S_ISDIR(stat.st_mode)) return system_error(ENOTDIR, Access::Write, "create directory", path);
  return Made::Found;
}

// Paths of all levels of `path`, top first, without empty and "." parts.
std::vector<std::string> levels_of(std::string_view path) {
  std::vector<std::string> levels;
  std::string level = path.starts_with('/') ? "/" : "";
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    level = env::join_path(level, part);
    levels.push_back(level);
  }
  return levels;
}

}  // namespace

Result<std::unique_ptr<env::Directory>> FileSystem::open_directory(std::string_view path) {
  return std::make_unique<Directory>(TRY(open_directory_descriptor(path)));
}

Result<env::FileInfo> FileSystem::stat(std::string_view path) {
  const Path at = TRY(Path::from(path));
  struct stat stat {};
  if (::fstatat(at.at(), at.rest(), &stat, AT_SYMLINK_NOFOLLOW) != 0) return cannot("look at", path, Access::Read);
  return info_of(stat);
}

Result<std::string> FileSystem::canonical(std::string_view path) {
  return canonical_path(path);
}

Result<std::uint64_t> FileSystem::free_bytes(std::string_view path) {
  const Path at = TRY(Path::from(path));
  const Descriptor any(::openat(at.at(), at.rest(), O_PATH | O_CLOEXEC));
  if (!any.valid()) return cannot("open", path, Access::Read);
  struct statvfs space {};
  if (::fstatvfs(any.get(), &space) != 0) return cannot("measure the free space of", path, Access::Read);
  return checked_multiply<std::uint64_t>(space.f_bavail, space.f_frsize);
}

std::size_t FileSystem::open_limit() {
  constexpr std::size_t kLeastThereIs = 256;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kLeastThereIs;
  return static_cast<std::size_t>(std::min<rlim_t>(files.rlim_cur, std::numeric_limits<int>::max()));
}

std::uint32_t FileSystem::own_user() {
  return ::geteuid();
}

Result<std::unique_ptr<env::ReadableFile>> FileSystem::open_file(std::string_view path) {
  const Path at = TRY(Path::from(path));
  return TRY(InputFile::open(at.at(), at.rest(), InputFile::Links::Follow));
}

Result<Bytes> FileSystem::read_file(std::string_view path, std::uint64_t limit) {
  const auto file = TRY(open_file(path));
  return env::read_whole(*file, path, limit);
}

Status FileSystem::make_directories(std::string_view path, std::uint32_t mode) {
  if (path.empty()) return Error(Code::InvalidInput, "empty path");
  std::string last_found;
  for (const std::string& level : levels_of(path)) {
    if (TRY(make_directory(level, mode)) == Made::Found) last_found = level;
  }
  if (last_found.empty()) return {};
  // Levels above it have something in them, and were synced before that was made. Where the parent may not be read,
  // this user did not make it.
  const auto parent = open_directory_descriptor(env::parent_path(last_found));
  if (!parent.ok() && parent.error().code() == Code::Denied) return {};
  if (!parent.ok()) return parent.error();
  return sync_names(parent.value().get());
}

Result<std::vector<std::string>> FileSystem::list(std::string_view path) {
  const Descriptor directory = TRY(open_directory_descriptor(path));
  std::vector<std::string> names;
  for (env::DirectoryEntry& entry : TRY(entries_of(directory.get()))) names.push_back(std::move(entry.name));
  std::sort(names.begin(), names.end());
  return names;
}

Status FileSystem::remove_file(std::string_view path) {
  const Path at = TRY(Path::from(path));
  if (::unlinkat(at.at(), at.rest(), 0) != 0) return cannot("remove", path, Access::Write);
  return {};
}

Status FileSystem::sync_directory(std::string_view path) {
  return sync_names(TRY(open_directory_descriptor(path)).get());
}

Result<std::unique_ptr<env::FileSystem::Draft>> FileSystem::draft(std::string_view directory, std::uint32_t mode) {
  Descriptor open_directory = TRY(open_directory_descriptor(directory));
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    std::array<Byte, 8> suffix{};
    TRY(random_.fill(suffix));
    std::string name = std::string(kTemporaryPrefix) + to_hex(suffix);
    Descriptor file(
        ::openat(open_directory.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (file.valid()) return std::make_unique<DraftFile>(std::move(open_directory), std::move(name), std::move(file));
    if (errno != EEXIST) return cannot("create a temporary file in", directory, Access::Write);
  }
  return Error(Code::Unavailable, "random names in '" + printable(directory) + "' are all taken");
}

Status FileSystem::remove_temporaries(std::string_view directory) {
  const Descriptor open_directory = TRY(open_directory_descriptor(directory));
  for (const env::DirectoryEntry& entry : TRY(entries_of(open_directory.get()))) {
    if (!entry.name.starts_with(kTemporaryPrefix)) continue;
    if (::unlinkat(open_directory.get(), entry.name.c_str(), 0) == 0) continue;
    if (errno == ENOENT || errno == EISDIR) continue;  // gone already; or not a draft
    return cannot("remove", env::join_path(directory, entry.name), Access::Write);
  }
  return {};
}

Result<std::unique_ptr<env::WritableFile>> FileSystem::open_log(std::string_view path) {
  const Path at = TRY(Path::from(path));
  Descriptor file(
      ::openat(at.at(), at.rest(), O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, env::kPrivateFile));
  if (!file.valid()) return cannot("open log", path, Access::Write);
  auto log = TRY(OutputFile::of_existing(std::move(file)));
  TRY(sync_directory(env::parent_path(path)));
  return log;
}

Result<std::unique_ptr<env::FileSystem::Lock>> FileSystem::lock(std::string_view path) {
  const Path at = TRY(Path::from(path));
  Descriptor file(
      ::openat(at.at(), at.rest(), O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, env::kPrivateFile));
  if (!file.valid()) return cannot("open lock", path, Access::Write);
  if (uninterrupted([&] { return ::flock(file.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error(Code::Conflict, "'" + printable(path) + "' is locked by another process");
    }
    return cannot("lock", path, Access::Write);
  }
  return std::make_unique<FileLock>(std::move(file));
}

}  // namespace exclave::posix
