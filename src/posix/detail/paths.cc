#include "posix/detail/paths.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/text.h"
#include "posix/detail/errors.h"

namespace exclave::posix {
namespace {

constexpr std::size_t kPieceLimit = PATH_MAX - 1;  // the terminating NUL counts
constexpr int kLinkLimit = 40;                     // as in the kernel

Error cannot(std::string_view action, std::string_view path) {
  return system_error(errno, Access::Read, action, path);
}

Result<std::string> working_directory() {
  std::string path(PATH_MAX, '\0');
  while (::getcwd(path.data(), path.size()) == nullptr) {
    if (errno != ERANGE || path.size() > (std::size_t{1} << 24)) return cannot("find", "working directory");
    path.resize(path.size() * 2);
  }
  path.resize(path.find('\0'));
  return path;
}

// Pushes the parts of `path` so that the first is popped first.
void push_parts(std::vector<std::string>& parts, std::string_view path) {
  const std::vector<std::string_view> in_order = split(path, '/');
  for (auto part = in_order.rbegin(); part != in_order.rend(); ++part) {
    if (!part->empty() && *part != ".") parts.emplace_back(*part);
  }
}

Result<std::string> link_target(const Path& path, std::string_view whole) {
  std::array<char, PATH_MAX> target;
  const auto length = ::readlinkat(path.at(), path.rest(), target.data(), target.size());
  if (length < 0) return cannot("read the link", whole);
  return std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace

Result<Path> Path::from(std::string_view path) {
  if (path.empty()) return Error(Code::InvalidInput, "empty path");
  if (path.find('\0') != std::string_view::npos) {
    return Error(Code::InvalidInput, "path '" + printable(path) + "' holds a NUL byte");
  }
  Descriptor base;
  std::string_view rest = path;
  while (rest.size() > kPieceLimit) {
    const std::size_t cut = rest.rfind('/', kPieceLimit - 1);
    if (cut == std::string_view::npos || cut == 0) {
      return Error(Code::InvalidInput, "a name in '" + printable(path) + "' is too long");
    }
    const std::string piece(rest.substr(0, cut));
    const int from = base.valid() ? base.get() : AT_FDCWD;
    Descriptor next(::openat(from, piece.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!next.valid()) return cannot("reach", path);
    base = std::move(next);
    rest.remove_prefix(cut);
    while (!rest.empty() && rest.front() == '/') rest.remove_prefix(1);
  }
  return Path(std::move(base), rest.empty() ? "." : std::string(rest));
}

Result<std::string> checked_name(std::string_view name) {
  const bool wrong = name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
                     name.find('\0') != std::string_view::npos;
  if (wrong) return Error(Code::InvalidInput, "'" + printable(name) + "' is not a name of a file");
  if (name.size() > NAME_MAX) return Error(Code::InvalidInput, "name '" + printable(name) + "' is too long");
  return std::string(name);
}

Result<Descriptor> open_directory_descriptor(std::string_view path) {
  const Path at = TRY(Path::from(path));
  Descriptor directory(::openat(at.at(), at.rest(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return cannot("open directory", path);
  return directory;
}

Result<std::string> canonical_path(std::string_view path) {
  std::vector<std::string> parts;
  push_parts(parts, path);
  // A trailing slash or an empty path is settled by the first look.
  const Path whole = TRY(Path::from(path));
  struct stat info {};
  if (::fstatat(whole.at(), whole.rest(), &info, 0) != 0) return cannot("find", path);
  if (path.front() != '/') push_parts(parts, TRY(working_directory()));

  std::string done;  // "" stands for "/"
  int links = 0;
  while (!parts.empty()) {
    const std::string part = std::move(parts.back());
    parts.pop_back();
    if (part == "..") {
      done.resize(done.empty() ? 0 : done.rfind('/'));
      continue;
    }
    const std::string candidate = done + "/" + part;
    const Path at = TRY(Path::from(candidate));
    if (::fstatat(at.at(), at.rest(), &info, AT_SYMLINK_NOFOLLOW) != 0) return cannot("find", candidate);
    if (!S_ISLNK(info.st_mode)) {
      done = candidate;
      continue;
    }
    if (++links > kLinkLimit) return system_error(ELOOP, Access::Read, "find", path);
    const std::string target = TRY(link_target(at, candidate));
    if (target.starts_with('/')) done.clear();
    push_parts(parts, target);
  }
  return done.empty() ? "/" : done;
}

}  // namespace exclave::posix
