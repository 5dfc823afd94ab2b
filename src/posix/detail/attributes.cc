#include "posix/detail/attributes.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "posix/detail/errors.h"

namespace exclave::posix {
namespace {

constexpr std::size_t kXattrLimit = 1 << 16;  // of a value and of the list of names: XATTR_SIZE_MAX, XATTR_LIST_MAX
constexpr std::string_view kAclPrefix = "system.posix_acl_";
constexpr std::uint32_t kModeBits = 07777;
constexpr std::uint32_t kSetIdBits = 06000;

env::FileType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return env::FileType::Directory;
    case S_IFLNK:
      return env::FileType::Symlink;
    case S_IFIFO:
      return env::FileType::Fifo;
    case S_IFSOCK:
      return env::FileType::Socket;
    case S_IFCHR:
      return env::FileType::CharDevice;
    case S_IFBLK:
      return env::FileType::BlockDevice;
    default:
      return env::FileType::Regular;
  }
}

std::string descriptor_path(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

// `call(buffer, size)` is one of the list or get calls. Grows from the stack to the system's limit once. 0 or an errno.
template <typename Call, typename Use>
int with_xattr_buffer(Call&& call, Use&& use) {
  std::array<char, 1024> small;
  ssize_t length = call(small.data(), small.size());
  if (length >= 0) {
    use(std::string_view(small.data(), static_cast<std::size_t>(length)));
    return 0;
  }
  if (errno != ERANGE) return errno;
  std::vector<char> large(kXattrLimit);
  length = call(large.data(), large.size());
  if (length < 0) return errno;
  use(std::string_view(large.data(), static_cast<std::size_t>(length)));
  return 0;
}

template <typename List, typename Get, typename Where>
Result<std::vector<env::Xattr>> collect(List&& list, Get&& get, Where&& where) {
  std::vector<env::Xattr> xattrs;
  const auto add_names = [&](std::string_view names) {
    while (!names.empty()) {
      const std::size_t end = names.find('\0');
      xattrs.push_back({std::string(names.substr(0, end)), {}});
      names.remove_prefix(end == std::string_view::npos ? names.size() : end + 1);
    }
  };
  if (const int error = with_xattr_buffer(list, add_names); error != 0) {
    if (means_no_xattr(error)) return xattrs;
    return system_error(error, Access::Read, "list the extended attributes of", where());
  }
  std::vector<env::Xattr> present;
  present.reserve(xattrs.size());
  for (env::Xattr& xattr : xattrs) {
    const auto get_this = [&](char* buffer, std::size_t size) { return get(xattr.name.c_str(), buffer, size); };
    const auto keep_value = [&](std::string_view value) { xattr.value = to_bytes(value); };
    if (const int error = with_xattr_buffer(get_this, keep_value); error != 0) {
      if (means_no_xattr(error)) continue;
      return system_error(error, Access::Read, "read the extended attribute '" + xattr.name + "' of", where());
    }
    present.push_back(std::move(xattr));
  }
  std::sort(present.begin(), present.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return present;
}

// How a descriptor can be used: an O_PATH one only through its name in /proc.
enum class Grip { Open, Pinned };

// One file being given its attributes, through its descriptor.
class AttributeSetter {
 public:
  AttributeSetter(int file, Grip grip, const env::FileAttributes& wanted) : file_(file), grip_(grip), wanted_(wanted) {
    if (grip == Grip::Pinned) path_ = descriptor_path(file);
  }

  Status run() {
    if (::fstat(file_, &before_) != 0) return failed("look at");
    TRY(set_owner());
    TRY(set_xattrs(Kind::Plain));
    TRY(set_mode());
    TRY(set_xattrs(Kind::Acl));
    TRY(set_time());
    return {};
  }

 private:
  enum class Kind { Plain, Acl };

  Error failed(std::string_view action) const {
    // The object exists: it is open. Only /proc itself can be missing.
    if (errno == ENOENT) return Error(Code::Precondition, "cannot set attributes: /proc is not mounted");
    return system_error(errno, Access::Write, action, path_of(file_));
  }

  Status set_owner() {
    if (!wanted_.owner.has_value()) return {};
    const auto [user, group] = *wanted_.owner;
    if (before_.st_uid == user && before_.st_gid == group) return {};
    if (::fchownat(file_, "", user, group, AT_EMPTY_PATH) != 0) {
      // So say a container that has no such user, and a server that does not know it: a refusal of this owner.
      if (errno == EINVAL) return Error(Code::Denied, failed("change the owner of").message());
      return failed("change the owner of");
    }
    owner_changed_ = true;
    return {};
  }

  // What the mode must be in the end, if anything here may change it.
  std::optional<std::uint32_t> final_mode() const {
    if (S_ISLNK(before_.st_mode)) return std::nullopt;
    if (wanted_.mode.has_value()) return *wanted_.mode & kModeBits;
    const bool owner_clears = owner_changed_ && (before_.st_mode & kSetIdBits) != 0;
    if (owner_clears) return before_.st_mode & kModeBits;
    return std::nullopt;
  }

  Status set_mode() {
    const auto mode = final_mode();
    if (!mode.has_value()) return {};
    if (!owner_changed_ && (before_.st_mode & kModeBits) == *mode) return {};
    return change_mode(*mode);
  }
  Status change_mode(std::uint32_t mode) {
    const int changed = grip_ == Grip::Open ? ::fchmod(file_, mode) : ::chmod(path_.c_str(), mode);
    return changed == 0 ? Status() : failed("change the mode of");
  }
  int set_xattr(const env::Xattr& xattr) const {
    const char* name = xattr.name.c_str();
    return grip_ == Grip::Open ? ::fsetxattr(file_, name, xattr.value.data(), xattr.value.size(), 0)
                               : ::setxattr(path_.c_str(), name, xattr.value.data(), xattr.value.size(), 0);
  }

  Status set_xattrs(Kind kind) {
    bool any = false;
    for (const env::Xattr& xattr : wanted_.xattrs) {
      const bool is_acl = xattr.name.starts_with(kAclPrefix);
      if (is_acl != (kind == Kind::Acl)) continue;
      if (xattr.name.find('\0') != std::string::npos)
        return Error(Code::InvalidInput, "attribute name holds a NUL byte");
      if (set_xattr(xattr) != 0) return failed("set the extended attribute '" + xattr.name + "' of");
      any = true;
    }
    if (!any || kind == Kind::Plain) return {};
    const auto mode = final_mode();
    struct stat now {};
    if (!mode.has_value()) return {};
    if (::fstat(file_, &now) != 0) return failed("look at");
    return (now.st_mode & kModeBits) == *mode ? Status() : change_mode(*mode);
  }

  Status set_time() {
    if (!wanted_.modified.has_value()) return {};
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t fraction = (wanted_.modified->nanoseconds % kSecond + kSecond) % kSecond;
    const timespec modified{wanted_.modified->seconds(), fraction};
    const std::array<timespec, 2> times = {timespec{0, UTIME_OMIT}, modified};
    const int set =
        grip_ == Grip::Open ? ::futimens(file_, times.data()) : ::utimensat(file_, "", times.data(), AT_EMPTY_PATH);
    return set == 0 ? Status() : failed("set the time of");
  }

  const int file_;
  const Grip grip_;
  std::string path_;  // of a pinned one
  const env::FileAttributes& wanted_;
  struct stat before_ {};
  bool owner_changed_ = false;
};

}  // namespace

bool means_no_xattr(int error) {
  return error == ENODATA || error == ENOTSUP;
}

env::Timestamp timestamp_of(const timespec& time) {
  std::int64_t nanoseconds = 0;
  if (__builtin_mul_overflow(time.tv_sec, std::int64_t{1'000'000'000}, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, std::int64_t{time.tv_nsec}, &nanoseconds)) {
    return {time.tv_sec < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max()};
  }
  return {nanoseconds};
}

env::FileInfo info_of(const struct stat& stat) {
  env::FileInfo info;
  info.type = type_of(stat.st_mode);
  info.mode = stat.st_mode & kModeBits;
  info.user = stat.st_uid;
  info.group = stat.st_gid;
  info.size = static_cast<std::uint64_t>(stat.st_size);
  info.modified = timestamp_of(stat.st_mtim);
  info.changed = timestamp_of(stat.st_ctim);
  info.inode = stat.st_ino;
  info.device = stat.st_dev;
  info.link_count = stat.st_nlink;
  if (S_ISCHR(stat.st_mode) || S_ISBLK(stat.st_mode)) {
    info.device_major = ::gnu_dev_major(stat.st_rdev);
    info.device_minor = ::gnu_dev_minor(stat.st_rdev);
  }
  info.allocated_bytes = static_cast<std::uint64_t>(stat.st_blocks) * 512;
  return info;
}

Result<std::vector<env::Xattr>> xattrs_of(int fd) {
  return collect([&](char* out, std::size_t size) { return ::flistxattr(fd, out, size); },
                 [&](const char* name, char* out, std::size_t size) { return ::fgetxattr(fd, name, out, size); },
                 [&] { return path_of(fd); });
}

Result<std::vector<env::Xattr>> xattrs_of(int directory, const std::string& name) {
  const std::string path = descriptor_path(directory) + "/" + name;
  return collect([&](char* out, std::size_t size) { return ::llistxattr(path.c_str(), out, size); },
                 [&](const char* attribute, char* out, std::size_t size) {
                   return ::lgetxattr(path.c_str(), attribute, out, size);
                 },
                 [&] { return path_of(directory, name); });
}

Status set_attributes_of_open(int file, const env::FileAttributes& attributes) {
  return AttributeSetter(file, Grip::Open, attributes).run();
}

Status set_attributes_of_pinned(int file, const env::FileAttributes& attributes) {
  return AttributeSetter(file, Grip::Pinned, attributes).run();
}

}  // namespace exclave::posix
