#include "engine/detail/restore_marker.h"

#include "base/text.h"
#include "env/exists.h"

namespace exclave::engine {
namespace {

constexpr std::string_view kSuffix = ".exclave-restore";
constexpr std::uint64_t kMaxBytes = 4 << 20;  // more than the paths of one command line

std::string boot_id(env::FileSystem& files) {
  const auto id = files.read_file("/proc/sys/kernel/random/boot_id", 4096);
  return id.ok() ? std::string(as_text(id.value()).substr(0, 36)) : std::string();
}

Status make_target(env::FileSystem& files, const std::string& target) {
  const auto present = files.stat(target);
  if (!present.ok()) {
    if (present.error().code() != Code::NotFound) return present.error();
    return files.make_directories(target, env::kPrivateDirectory);
  }
  if (present.value().type == env::FileType::Directory) return {};
  return Error(Code::Precondition, "target '" + printable(target) + "' is not a directory")
      .hint("name a directory that does not exist yet");
}

Error not_empty(const std::string& target) {
  return Error(Code::Precondition, "target '" + printable(target) + "' is not empty")
      .hint("restore into a fresh directory");
}

// Nobody but us comes in until the end, when the root gets what it had; and no ACL above it reaches into it.
Status close_to_others(env::Directory& root) {
  TRY(root.drop_acls());
  env::FileAttributes only_for_us;
  only_for_us.mode = env::kPrivateDirectory;
  Status closed = root.set_own_attributes(only_for_us);
  // Somebody else's directory that we may write into: its owner decides who comes in.
  return closed.ok() || closed.error().code() == Code::Denied ? Status() : closed;
}

}  // namespace

Result<ClaimedTarget> lock_target(env::FileSystem& files, const std::string& target) {
  TRY(make_target(files, target));
  ClaimedTarget root = TRY(files.open_directory(target));
  Status locked = root->lock();
  if (!locked.ok() && locked.error().code() == Code::Conflict) {
    return Error(Code::Conflict, "another restore is at work in target '" + printable(target) + "'")
        .hint("wait until it ends, or restore into another directory");
  }
  // Some network file systems know no locks; there, nobody is kept out.
  if (!locked.ok() && locked.error().code() != Code::Unsupported) return locked.take_error();
  return root;
}

Result<ClaimedTarget> claim_target(env::FileSystem& files, const std::string& target) {
  ClaimedTarget root = TRY(lock_target(files, target));
  if (!TRY(root->entries()).empty() && !TRY(env::exists(files, RestoreMarker::path_for(target))))
    return not_empty(target);
  return root;
}

Status unmark_targets(env::FileSystem& files, const std::vector<std::string>& targets) {
  std::vector<std::pair<std::string, Bytes>> removed;
  const auto unmark = [&](const std::string& target) -> Status {
    const std::string marker = RestoreMarker::path_for(target);
    Bytes mark = TRY(files.read_file(marker, kMaxBytes));
    TRY(files.remove_file(marker));
    removed.emplace_back(marker, std::move(mark));
    return files.sync_directory(env::parent_path(marker));
  };
  for (const std::string& target : targets) {
    Status unmarked = unmark(target);
    if (unmarked.ok()) continue;
    for (const auto& [marker, mark] : removed) {
      ignore(env::replace_file_durably(files, marker, mark, env::kPrivateFile),
             "then the target is said to be not empty");
    }
    return unmarked.take_error().in("'" + printable(target) + "'");
  }
  return {};
}

std::string RestoreMarker::path_for(const std::string& target) {
  return target + std::string(kSuffix);
}

Result<RestoreMarker> RestoreMarker::open(env::FileSystem& files, const format::ObjectName& snapshot,
                                          const std::string& target, ClaimedTarget root,
                                          const std::vector<std::string>& paths) {
  RestoreMarker marker(files, path_for(target), snapshot, {paths.begin(), paths.end()});
  marker.root_ = std::move(root);
  TRY(marker.find(target, boot_id(files)));
  TRY(close_to_others(*marker.root_));
  return marker;
}

Status RestoreMarker::find(const std::string& target, const std::string& boot) {
  if (TRY(root_->entries()).empty()) return write(boot);
  const auto mark = files_->read_file(path_, kMaxBytes);
  if (!mark.ok()) return not_empty(target);
  std::string_view text = as_text(mark.value());
  if (!text.starts_with(snapshot_.hex())) {
    return Error(Code::Precondition,
                 "target '" + printable(target) + "' holds an unfinished restore of another snapshot")
        .hint("finish that one, or restore into a fresh directory");
  }
  const std::size_t end_of_line = text.find('\n');
  const std::string_view line = text.substr(0, end_of_line);
  text.remove_prefix(end_of_line == std::string_view::npos ? text.size() : end_of_line + 1);
  add_unfinished(text);
  const bool is_trusted = !boot.empty() && line == snapshot_.hex() + " " + boot;
  found_ = is_trusted ? Found::Finished : Found::Unreliable;
  // Untrusted from now on, also if this run is interrupted: it replaces what is there one by one.
  return write(is_trusted ? boot : kNoBoot);
}

void RestoreMarker::add_unfinished(std::string_view text) {
  Paths before;
  for (const std::string_view path : split(text, '\0')) {
    if (!path.empty()) before.emplace(path);
  }
  if (before.empty() || paths_.empty()) return unfinished_.clear();
  unfinished_.insert(before.begin(), before.end());
}

Status RestoreMarker::write(std::string_view boot) {
  boot_ = boot;
  std::string mark = snapshot_.hex() + " " + boot_ + "\n";
  for (const std::string& path : unfinished_) mark.append(path).push_back('\0');
  return env::replace_file_durably(*files_, path_, as_bytes(mark), env::kPrivateFile);
}

Status RestoreMarker::distrust() {
  return write(kNoBoot);
}

Status RestoreMarker::finish() {
  const bool wanted_everything = unfinished_.empty();
  for (const std::string& path : paths_) unfinished_.erase(path);
  if (!paths_.empty() && (wanted_everything || !unfinished_.empty())) return write(boot_);
  ignore(files_->remove_file(path_), "a left-over marker only allows to run the same restore again");
  return {};
}

}  // namespace exclave::engine
