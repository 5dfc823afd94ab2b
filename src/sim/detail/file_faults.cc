#include "sim/detail/file_faults.h"

#include <string>

#include "base/check.h"
#include "base/text.h"

namespace exclave::sim {

std::string_view name_of(FileCall call) {
  switch (call) {
    case FileCall::Open:
      return "open";
    case FileCall::Look:
      return "look";
    case FileCall::Read:
      return "read";
    case FileCall::Write:
      return "write";
    case FileCall::Sync:
      return "sync";
    case FileCall::SyncDirectory:
      return "sync of directory";
    case FileCall::Name:
      return "change of a name";
    case FileCall::Attributes:
      return "change of attributes";
  }
  return "file call";
}

namespace detail {
namespace {

Error injected(Code code, FileCall call, std::string_view path) {
  return Error(code, printable(path) + ": " + std::string(name_of(call)) + " fails (injected fault)");
}

}  // namespace

void FileFaults::inject(FileFault fault) {
  CHECK(fault.nth >= 1 && fault.times >= 1);
  scripted_.push_back({.fault = std::move(fault)});
}

void FileFaults::clear() {
  scripted_.clear();
  rates_ = {};
}

std::optional<Death> FileFaults::death_now() {
  if (doom_.has_value() && doom_->call == calls_) {
    const Death cause = doom_->cause;
    doom_.reset();
    return cause;
  }
  ++calls_;
  return std::nullopt;
}

std::optional<Error> FileFaults::failure(FileCall call, std::string_view path, Rng& rng) {
  std::optional<Error> error;
  for (Scripted& scripted : scripted_) {
    const FileFault& fault = scripted.fault;
    if (fault.call != call || path.find(fault.path_part) == std::string_view::npos) continue;
    const std::uint64_t index = scripted.seen++;
    const bool hit = index >= fault.nth - 1 && index - (fault.nth - 1) < fault.times;
    if (hit && !error.has_value()) error = injected(fault.code, call, path);
  }
  if (error.has_value()) return error;
  if (call == FileCall::Read && rng.per_million(rates_.reads_per_million)) return injected(Code::Corrupt, call, path);
  if (call == FileCall::Write && rng.per_million(rates_.writes_per_million)) {
    return injected(Code::Unavailable, call, path);
  }
  if ((call == FileCall::Sync || call == FileCall::SyncDirectory) && rng.per_million(rates_.syncs_per_million)) {
    return injected(Code::Unavailable, call, path);
  }
  return std::nullopt;
}

}  // namespace detail
}  // namespace exclave::sim
