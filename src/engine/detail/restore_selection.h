// RestoreSelection: which entries of a snapshot the user asked for: paths, patterns, and everything below them.
//
// I1  Asked in walk order: a chosen directory chooses what lies below it.
// I2  Directories above a chosen entry come too, each once and before it: restored as they were, though not chosen.
// Memory: the entries of the directories on the way down.
// Threads: one.
// Errors: InvalidInput (a pattern that exclude.h refuses).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/exclude.h"
#include "format/listing.h"

namespace exclave::engine {

class RestoreSelection {
 public:
  // Nothing, or the root in any spelling: everything.
  static Result<RestoreSelection> parse(const std::vector<std::string>& paths);
  bool is_everything() const { return exact_.empty(); }
  bool chooses(std::string_view path, bool is_directory);
  // Every entry of a listing, in walk order: given to `chosen`, to `above` when something below it is, or to none.
  using Sink = std::function<Status(format::ListingEntry)>;
  Status pass(format::ListingEntry entry, const Sink& above, const Sink& chosen);
  // In the order in which they were given, without what makes no difference; empty: everything.
  const std::vector<std::string>& paths() const { return exact_; }

 private:
  std::vector<std::string> exact_;
  std::vector<PathPattern> patterns_;
  std::vector<format::ListingEntry> above_;  // directories that we are in and that were not chosen
  std::size_t given_ = 0;                    // of them, the first ones, to `above`
  std::string below_;                        // the chosen directory that we are in, with its "/"
};

}  // namespace exclave::engine
