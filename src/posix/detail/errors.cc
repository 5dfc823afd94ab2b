#include "posix/detail/errors.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "base/text.h"

namespace exclave::posix {

Code code_of(int error, Access access) {
  switch (error) {
    case ENOENT:
      return Code::NotFound;
    case EEXIST:
      return Code::AlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::Denied;
    case ENOSPC:
    case EDQUOT:
    case EMLINK:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Code::Exhausted;
    case EIO:
    case EUCLEAN:  // also EFSCORRUPTED
    case EBADMSG:  // also EFSBADCRC
    case EILSEQ:
      return access == Access::Read ? Code::Corrupt : Code::Unavailable;
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EINVAL:
    case EFBIG:
    case ENXIO:
    case ENODEV:
    case ENOTEMPTY:
    case EXDEV:
    case E2BIG:
    case ENOEXEC:
    case ENOTBLK:
      return Code::InvalidInput;
    case ENOTSUP:
    case ENOSYS:
    case EAFNOSUPPORT:
      return Code::Unsupported;
    case ECANCELED:
      return Code::Cancelled;
    case EBADF:
    case EFAULT:
    case ENOTSOCK:
      return Code::Bug;
    default:
      return Code::Unavailable;
  }
}

Error system_error(int error, Access access, std::string_view action, std::string_view object) {
  const char* words = ::strerrordesc_np(error);
  std::string message = "cannot ";
  message.append(action).append(" '").append(printable(object)).append("': ");
  message += words != nullptr ? std::string(words) : "error " + std::to_string(error);
  return Error(code_of(error, access), std::move(message));
}

std::string path_of(int fd) {
  std::array<char, PATH_MAX> path;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const auto length = ::readlink(link.c_str(), path.data(), path.size());
  if (length <= 0) return "...";  // deeper than the system can name
  return {path.data(), static_cast<std::size_t>(length)};
}

std::string path_of(int directory, std::string_view name) {
  std::string path = path_of(directory);
  if (path.back() != '/') path += '/';
  return path.append(name);
}

}  // namespace exclave::posix
