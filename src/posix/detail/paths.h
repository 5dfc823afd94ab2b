// Paths and names: how a byte string of any length reaches an *at() call.
// Hides: PATH_MAX (4,096): longer paths are walked down through open directories, piece by piece.
//
//   "aaa/bbb/.../yyy/zzz"  ->  { descriptor of aaa/bbb/..., "yyy/zzz" }        rest() is always shorter than PATH_MAX
//
// I1  at() and rest() together name what the path named, symbolic links included (as the kernel would follow them).
// I2  A path or name with a NUL byte is refused: the system would see a shorter one.
// Threads: values.
// Errors: InvalidInput (empty, NUL, a piece too long or not a directory), NotFound, Denied, Exhausted.
#pragma once

#include <fcntl.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "posix/descriptor.h"

namespace exclave::posix {

class Path {
 public:
  static Result<Path> from(std::string_view path);

  int at() const { return base_.valid() ? base_.get() : AT_FDCWD; }
  const char* rest() const { return rest_.c_str(); }

 private:
  Path(Descriptor base, std::string rest) : base_(std::move(base)), rest_(std::move(rest)) {}

  Descriptor base_;
  std::string rest_;
};

// A name that a Directory accepts, as the system wants it: 1..255 bytes, no '/', no NUL, not "." or "..".
Result<std::string> checked_name(std::string_view name);

// The path's directory, opened for use with *at() calls and fsync. Follows symbolic links.
Result<Descriptor> open_directory_descriptor(std::string_view path);

// Absolute, without symbolic links, "." and "..". Every part must exist. At most 40 links are followed.
Result<std::string> canonical_path(std::string_view path);

}  // namespace exclave::posix
