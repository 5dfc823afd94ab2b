#include "posix/detail/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>

#include "base/text.h"
#include "posix/detail/attributes.h"
#include "posix/detail/errors.h"
#include "posix/detail/files.h"
#include "posix/detail/paths.h"

namespace exclave::posix {
namespace {

constexpr std::size_t kListBuffer = 128 * 1024;  // some 4,000 short names per system call
constexpr std::size_t kFirstListBuffer = 8 * 1024;

std::optional<env::FileType> type_of_entry(unsigned char type) {
  switch (type) {
    case DT_REG:
      return env::FileType::Regular;
    case DT_DIR:
      return env::FileType::Directory;
    case DT_LNK:
      return env::FileType::Symlink;
    case DT_FIFO:
      return env::FileType::Fifo;
    case DT_SOCK:
      return env::FileType::Socket;
    case DT_CHR:
      return env::FileType::CharDevice;
    case DT_BLK:
      return env::FileType::BlockDevice;
    default:
      return std::nullopt;
  }
}

void add_entries(std::vector<env::DirectoryEntry>& entries, const char* at, std::size_t length) {
  const char* const end = at + length;
  while (at < end) {
    std::uint16_t record = 0;
    std::memcpy(&record, at + offsetof(dirent64, d_reclen), sizeof record);
    const auto type = static_cast<unsigned char>(at[offsetof(dirent64, d_type)]);
    const std::string_view name(at + offsetof(dirent64, d_name));
    if (name != "." && name != "..") entries.push_back({std::string(name), type_of_entry(type)});
    at += record;
  }
}

std::optional<mode_t> node_format(env::FileType type) {
  switch (type) {
    case env::FileType::Fifo:
      return S_IFIFO;
    case env::FileType::Socket:
      return S_IFSOCK;
    case env::FileType::CharDevice:
      return S_IFCHR;
    case env::FileType::BlockDevice:
      return S_IFBLK;
    case env::FileType::Regular:
    case env::FileType::Directory:
    case env::FileType::Symlink:
      return std::nullopt;
  }
  return std::nullopt;
}

class PinnedEntry final : public env::PinnedEntry {
 public:
  explicit PinnedEntry(Descriptor pinned) : pinned_(std::move(pinned)) {}
  Result<env::FileInfo> info() override {
    struct stat stat {};
    if (::fstat(pinned_.get(), &stat) != 0) return system_error(errno, Access::Read, "look at", path_of(pinned_.get()));
    return info_of(stat);
  }
  Status set_attributes(const env::FileAttributes& attributes) override {
    return set_attributes_of_pinned(pinned_.get(), attributes);
  }

 private:
  const Descriptor pinned_;
};

}  // namespace

Result<std::vector<env::DirectoryEntry>> entries_of(int fd) {
  std::vector<env::DirectoryEntry> entries;
  if (::lseek(fd, 0, SEEK_SET) != 0) return system_error(errno, Access::Read, "rewind directory", path_of(fd));
  // Most directories are small: the large buffer is taken only by those that fill the first.
  alignas(dirent64) std::array<char, kFirstListBuffer> first;
  std::vector<char> large;
  char* buffer = first.data();
  std::size_t size = first.size();
  while (true) {
    const auto length = ::getdents64(fd, buffer, size);
    if (length < 0) return system_error(errno, Access::Read, "list directory", path_of(fd));
    if (length == 0) return entries;
    add_entries(entries, buffer, static_cast<std::size_t>(length));
    // The call that says "no more" needs none.
    if (large.empty() && static_cast<std::size_t>(length) > size / 2) {
      large.resize(kListBuffer);
      buffer = large.data();
      size = large.size();
    }
  }
}

Error Directory::failed(std::string_view action, std::string_view name, int error, Access access) const {
  return system_error(error, access, action, path_of(fd_.get(), name));
}

Result<env::FileInfo> Directory::info() {
  struct stat stat {};
  if (::fstat(fd_.get(), &stat) != 0) return system_error(errno, Access::Read, "look at", path_of(fd_.get()));
  return info_of(stat);
}

Result<std::optional<env::Timestamp>> Directory::created() {
  struct statx stat {};
  if (::statx(fd_.get(), "", AT_EMPTY_PATH, STATX_BTIME, &stat) != 0) {
    if (errno == ENOSYS || errno == EPERM) return std::optional<env::Timestamp>();  // some containers know no statx
    return system_error(errno, Access::Read, "look at", path_of(fd_.get()));
  }
  // Zero is what an image says that was made from a list of files.
  if ((stat.stx_mask & STATX_BTIME) == 0 || stat.stx_btime.tv_sec == 0) return std::optional<env::Timestamp>();
  return std::optional(timestamp_of({stat.stx_btime.tv_sec, static_cast<long>(stat.stx_btime.tv_nsec)}));
}

Result<std::vector<env::DirectoryEntry>> Directory::entries() {
  if (!position_in_use_.test_and_set(std::memory_order_acquire)) {
    auto result = entries_of(fd_.get());
    position_in_use_.clear(std::memory_order_release);
    return result;
  }
  const Descriptor own(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own.valid()) return system_error(errno, Access::Read, "open directory", path_of(fd_.get()));
  return entries_of(own.get());
}

Result<env::FileInfo> Directory::stat(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  struct stat stat {};
  if (::fstatat(fd_.get(), checked.c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0) return failed("look at", name, errno);
  return info_of(stat);
}

Result<std::unique_ptr<env::Directory>> Directory::open_directory(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  Descriptor opened(::openat(fd_.get(), checked.c_str(), flags | O_NOATIME));
  if (!opened.valid() && errno == EPERM) opened = Descriptor(::openat(fd_.get(), checked.c_str(), flags));
  if (!opened.valid()) return failed("open directory", name, errno);
  return std::make_unique<Directory>(std::move(opened));
}

Result<std::unique_ptr<env::ReadableFile>> Directory::open_file(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  return TRY(InputFile::open(fd_.get(), checked.c_str(), InputFile::Links::Refuse));
}

Result<std::unique_ptr<env::PinnedEntry>> Directory::pin(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  Descriptor pinned(::openat(fd_.get(), checked.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!pinned.valid()) return failed("look at", name, errno);
  return std::make_unique<PinnedEntry>(std::move(pinned));
}

Result<std::string> Directory::read_link(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  std::array<char, PATH_MAX> target;  // no file system keeps longer ones
  const auto length = ::readlinkat(fd_.get(), checked.c_str(), target.data(), target.size());
  if (length < 0) return failed("read the link", name, errno);
  if (static_cast<std::size_t>(length) == target.size()) return failed("read the link", name, ENAMETOOLONG);
  return std::string(target.data(), static_cast<std::size_t>(length));
}

Result<std::vector<env::Xattr>> Directory::own_xattrs() {
  return xattrs_of(fd_.get());
}

Result<std::vector<env::Xattr>> Directory::xattrs(std::string_view name) {
  return xattrs_of(fd_.get(), TRY(checked_name(name)));
}

Status Directory::create_directory(std::string_view name, std::uint32_t mode) {
  const std::string checked = TRY(checked_name(name));
  if (::mkdirat(fd_.get(), checked.c_str(), mode) != 0) return failed("create directory", name, errno, Access::Write);
  return {};
}

Result<std::unique_ptr<env::WritableFile>> Directory::create_file(std::string_view name, std::uint32_t mode) {
  const std::string checked = TRY(checked_name(name));
  Descriptor file(::openat(fd_.get(), checked.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!file.valid()) return failed("create", name, errno, Access::Write);
  return std::make_unique<OutputFile>(std::move(file), 0);
}

Result<std::unique_ptr<env::WritableFile>> Directory::open_for_write(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  Descriptor file(::openat(fd_.get(), checked.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return failed("open for writing", name, errno, Access::Write);
  return TRY(OutputFile::of_existing(std::move(file)));
}

Status Directory::create_symlink(std::string_view name, std::string_view target) {
  const std::string checked = TRY(checked_name(name));
  if (target.empty() || target.find('\0') != std::string_view::npos) {
    return Error(Code::InvalidInput, "'" + printable(target) + "' cannot be the target of a symbolic link");
  }
  if (::symlinkat(std::string(target).c_str(), fd_.get(), checked.c_str()) != 0) {
    return failed("create symbolic link", name, errno, Access::Write);
  }
  return {};
}

Status Directory::create_link(std::string_view name, env::Directory& source, std::string_view source_name) {
  const std::string checked = TRY(checked_name(name));
  const std::string checked_source = TRY(checked_name(source_name));
  const auto* from = dynamic_cast<const Directory*>(&source);
  CHECK(from != nullptr);  // directories of two worlds cannot share a file
  if (::linkat(from->fd_.get(), checked_source.c_str(), fd_.get(), checked.c_str(), 0) != 0) {
    // No want of room: the file has as many names as its file system allows.
    if (errno == EMLINK) return Error(Code::Unsupported, failed("create link", name, errno, Access::Write).message());
    return failed("create link", name, errno, Access::Write);
  }
  return {};
}

Status Directory::create_node(std::string_view name, env::FileType type, std::uint32_t mode, std::uint32_t major,
                              std::uint32_t minor) {
  const std::string checked = TRY(checked_name(name));
  const auto format = node_format(type);
  if (!format.has_value()) {
    return Error(Code::InvalidInput, "'" + printable(name) + "' is neither FIFO nor socket nor device");
  }
  if (::mknodat(fd_.get(), checked.c_str(), *format | mode, ::gnu_dev_makedev(major, minor)) != 0) {
    return failed("create node", name, errno, Access::Write);
  }
  return {};
}

Status Directory::set_attributes(std::string_view name, const env::FileAttributes& attributes) {
  const std::string checked = TRY(checked_name(name));
  const Descriptor pinned(::openat(fd_.get(), checked.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!pinned.valid()) return failed("open", name, errno, Access::Write);
  return set_attributes_of_pinned(pinned.get(), attributes);
}

Status Directory::set_own_attributes(const env::FileAttributes& attributes) {
  return set_attributes_of_open(fd_.get(), attributes);
}

Status Directory::remove(std::string_view name) {
  const std::string checked = TRY(checked_name(name));
  if (::unlinkat(fd_.get(), checked.c_str(), 0) == 0) return {};
  if (errno == EISDIR && ::unlinkat(fd_.get(), checked.c_str(), AT_REMOVEDIR) == 0) return {};
  return failed("remove", name, errno, Access::Write);
}

Status Directory::rename(std::string_view from, std::string_view to) {
  const std::string checked_from = TRY(checked_name(from));
  const std::string checked_to = TRY(checked_name(to));
  if (::renameat(fd_.get(), checked_from.c_str(), fd_.get(), checked_to.c_str()) == 0) return {};
  return failed("rename to", to, errno, Access::Write);
}

Status Directory::drop_acls() {
  for (const char* name : {"system.posix_acl_default", "system.posix_acl_access"}) {
    if (::fremovexattr(fd_.get(), name) == 0 || means_no_xattr(errno)) continue;
    const int refused = errno;  // not ours: fine if there is nothing to remove
    if (::fgetxattr(fd_.get(), name, nullptr, 0) < 0 && means_no_xattr(errno)) continue;
    return system_error(refused, Access::Write, std::string("remove the extended attribute '") + name + "' of",
                        path_of(fd_.get()));
  }
  return {};
}

Status Directory::sync_all() {
  if (::syncfs(fd_.get()) == 0) return {};
  return system_error(errno, Access::Write, "sync the file system of", path_of(fd_.get()));
}

Status Directory::lock() {
  if (uninterrupted([&] { return ::flock(fd_.get(), LOCK_EX | LOCK_NB); }) == 0) return {};
  const std::string path = path_of(fd_.get());
  switch (errno) {
    case EWOULDBLOCK:
      return Error(Code::Conflict, "'" + printable(path) + "' is locked by somebody else");
    case EBADF:  // NFS wants a descriptor for writing, which a directory has not
    case EINVAL:
    case ENOLCK:
    case ENOSYS:
    case ENOTSUP:
      return Error(Code::Unsupported, "'" + printable(path) + "' cannot be locked on its file system");
    default:
      return system_error(errno, Access::Write, "lock", path);
  }
}

}  // namespace exclave::posix
