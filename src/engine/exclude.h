// Exclude patterns: which paths of a tree are left out of a capture, and shell-like globs for choosing paths to
// restore. Hides: the matcher.
//
//   pattern with a leading "/":  matches the whole path from the captured root
//   pattern without:             matches at any depth: the last components of a path
//   "*" any run without "/", "?" one byte but "/", "[a-z]" and "[!a-z]" classes, "**" any run,
//   "\" takes the next literally; a trailing "/" matches directories only
//
// A directory that matches is left out with everything in it.
// Threads: values.
// Errors: InvalidInput (an open class, an empty pattern).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace exclave::engine {

class PathPattern {
 public:
  static Result<PathPattern> parse(std::string_view pattern);
  // `path` relative to the root, without a leading "/".
  bool matches(std::string_view path, bool is_directory) const;

 private:
  std::string glob_;
  bool anchored_ = false;
  bool directories_only_ = false;
};

class ExcludeList {
 public:
  static Result<ExcludeList> parse(const std::vector<std::string>& patterns);
  bool excludes(std::string_view path, bool is_directory) const;

 private:
  std::vector<PathPattern> patterns_;
};

// Whether a walk goes into other file systems that are mounted in its tree.
enum class FileSystemBorder { Cross, Stay };

}  // namespace exclave::engine
