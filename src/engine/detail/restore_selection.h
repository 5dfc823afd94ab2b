// RestoreSelection: which entries of a snapshot the user asked for: paths, patterns, and everything below them.
//
// I1  Asked in walk order: a chosen directory chooses what lies below it.
// Threads: one.
// Errors: InvalidInput (a pattern that exclude.h refuses).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/exclude.h"

namespace exclave::engine {

class RestoreSelection {
 public:
  // Nothing, or the root in any spelling: everything.
  static Result<RestoreSelection> parse(const std::vector<std::string>& paths);
  bool is_everything() const { return exact_.empty(); }
  bool chooses(std::string_view path, bool is_directory);

 private:
  std::vector<std::string> exact_;
  std::vector<PathPattern> patterns_;
  std::string below_;  // the chosen directory that we are in, with its "/"
};

}  // namespace exclave::engine
