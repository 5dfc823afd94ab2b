#include "engine/detail/restore_marker.h"

#include "base/text.h"
#include "engine/detail/directory_itself.h"

namespace exclave::engine {
namespace {

std::string boot_id(env::FileSystem& files) {
  const auto id = files.read_file("/proc/sys/kernel/random/boot_id", 4096);
  const std::string text(id.ok() ? as_text(id.value()).substr(0, 36) : std::string_view());
  return text.empty() ? std::string(Mark::kNone) : text;
}

Status make_target(env::FileSystem& files, const std::string& target, std::uint32_t mode_above) {
  const auto present = files.stat(target);
  if (!present.ok()) {
    if (present.error().code() != Code::NotFound) return present.error();
    TRY(files.make_directories(env::parent_path(target), mode_above));
    return files.make_directories(target, env::kPrivateDirectory);
  }
  if (present.value().type == env::FileType::Directory) return {};
  return Error(Code::Precondition, "target '" + printable(target) + "' is not a directory")
      .hint("name a directory that does not exist yet");
}

// What a mark that is written now says of the directory.
Result<Mark> mark_of(env::FileSystem& files, env::Directory& root) {
  const env::FileInfo info = TRY(root.info());
  const std::optional<env::Timestamp> created = TRY(root.created());
  Mark mark;
  mark.inode = std::to_string(info.inode);
  mark.device = std::to_string(info.device);
  mark.created = created.has_value() ? std::to_string(created->nanoseconds) : std::string(Mark::kNone);
  mark.boot = boot_id(files);
  mark.trusted = mark.boot;
  return mark;
}

// Nobody but us comes in until the end, when the root gets what it had; and no ACL above it reaches into it.
Status close_to_others(env::Directory& root) {
  TRY(root.drop_acls());
  env::FileAttributes only_for_us;
  only_for_us.mode = env::kPrivateDirectory;
  only_for_us.modified = TRY(root.info()).modified;
  Status closed = root.set_own_attributes(only_for_us);
  // Somebody else's directory that we may write into: its owner decides who comes in.
  return closed.ok() || closed.error().code() == Code::Denied ? Status() : closed;
}

Error of_another_snapshot(const std::string& target, const Mark& mark) {
  const std::string id = printable(mark.snapshot.substr(0, 12));
  return Error(Code::Precondition,
               "target '" + printable(target) + "' holds an unfinished restore of another snapshot: " + id)
      .hint("finish that one: --snapshot " + id + "; or restore into a fresh directory");
}

Error of_another_directory(const MarkFile& file, const Mark& mark, const Mark& here) {
  if (mark.boot.empty()) return file.not_trusted("was not written by this version of exclave");
  const bool may_be_of_it = mark.inode == here.inode && mark.created == Mark::kNone && here.created == Mark::kNone &&
                            (mark.boot != here.boot || here.boot == Mark::kNone);
  return file.not_trusted(
      may_be_of_it
          ? "was made before the machine was restarted, as far as it tells, on a file system that does not tell "
            "when a directory was made"
          : "is of another directory");
}

}  // namespace

Status check_target(std::string_view target) {
  if (target.empty()) return Error(Code::InvalidInput, "no target directory was given");
  return check_names_itself(target, "target");
}

Result<ClaimedTarget> lock_target(env::FileSystem& files, const std::string& target, std::uint32_t mode_above) {
  TRY(check_target(target));
  TRY(make_target(files, std::string(env::without_slashes(target)), mode_above));
  ClaimedTarget root = TRY(open_itself(files, target));
  TRY(lock_itself(*root, Error(Code::Conflict, "another restore is at work in target '" + printable(target) + "'")
                             .hint("wait until it ends, or restore into another directory")));
  return root;
}

// An earlier run may have left bytes that never reached the disk. The kernel tells whoever syncs next, and nobody after
// them; and it may be a sync of another step that comes next, or of another program.
Result<ClaimedTarget> claim_target(env::FileSystem& files, const std::string& target, std::uint32_t mode_above) {
  ClaimedTarget root = TRY(lock_target(files, target, mode_above));
  if (TRY(root->entries()).empty()) return root;
  const MarkFile file = TRY(MarkFile::beside(files, target));
  TRY(file.read_of_unfinished());
  Status synced = root->sync_all();
  if (synced.ok()) return root;
  Error lost = synced.take_error();
  Status distrusted = distrust_target(files, target);
  if (distrusted.ok())
    return std::move(lost).hint("look at the target's disk, and run it again: all that is there is written again");
  return Error(lost.code(), lost.message() + "; and " + distrusted.error().message())
      .hint("restore into a fresh directory: what is in this one cannot be trusted");
}

Status distrust_target(env::FileSystem& files, const std::string& target) {
  auto file = MarkFile::beside(files, target);
  if (!file.ok() && file.error().code() == Code::NotFound) return {};
  if (!file.ok()) return file.take_error();
  std::optional<Mark> mark = TRY(file.value().read());
  if (!mark.has_value()) return {};
  mark->trusted = Mark::kNone;
  return file.value().write(*mark);
}

std::optional<std::string> unfinished_in(env::FileSystem& files, const std::string& target) {
  const auto look = [&]() -> Result<std::optional<std::string>> {
    const auto root = TRY(open_itself(files, target));
    if (TRY(root->entries()).empty()) return std::optional<std::string>();
    const MarkFile file = TRY(MarkFile::beside(files, target));
    std::optional<Mark> mark = TRY(file.read());
    const bool counts = mark.has_value() && mark->is_of_directory_of(TRY(mark_of(files, *root))) &&
                        format::ObjectName::from_hex(mark->snapshot).ok();
    return counts ? std::optional(std::move(mark->snapshot)) : std::nullopt;
  };
  auto found = look();
  return found.ok() ? found.take() : std::nullopt;
}

Status unmark_targets(env::FileSystem& files, const std::vector<std::string>& targets) {
  std::vector<std::pair<MarkFile, Mark>> removed;
  const auto unmark = [&](const std::string& target) -> Status {
    MarkFile file = TRY(MarkFile::beside(files, target));
    std::optional<Mark> mark = TRY(file.read());
    if (!mark.has_value()) return file.remove();  // somebody was quicker: it is to be gone for good
    removed.emplace_back(std::move(file), std::move(*mark));
    return removed.back().first.remove();
  };
  for (const std::string& target : targets) {
    Status unmarked = unmark(target);
    if (unmarked.ok()) continue;
    for (const auto& [file, mark] : removed) ignore(file.write(mark), "then the target is said to be not empty");
    return unmarked.take_error().in("'" + printable(target) + "'");
  }
  return {};
}

std::optional<CaptureProblem> finish_target(env::FileSystem& files, const std::string& target) {
  const auto file = MarkFile::beside(files, target);
  if (!file.ok()) return CaptureProblem{"", file.error().message()};
  Status removed = file.value().remove();
  if (removed.ok()) return std::nullopt;
  return CaptureProblem{"", file.value().in_words_of_left(removed.error())};
}

Result<RestoreMarker> RestoreMarker::open(env::FileSystem& files, const format::ObjectName& snapshot,
                                          const std::string& target, ClaimedTarget root,
                                          const std::vector<std::string>& paths, const OwnerOfTarget& owner) {
  RestoreMarker marker(TRY(MarkFile::beside(files, target)), std::move(root), {paths.begin(), paths.end()});
  // A fresh one first: what an image brought gets another time of creation when an overlay file system copies it up.
  const bool is_fresh = TRY(marker.root_->entries()).empty();
  if (is_fresh) TRY(close_to_others(*marker.root_));
  marker.mark_ = TRY(mark_of(files, *marker.root_));
  marker.mark_.snapshot = snapshot.hex();
  TRY(marker.find(files, target, owner));
  if (!is_fresh) TRY(close_to_others(*marker.root_));
  return marker;
}

Status RestoreMarker::find(env::FileSystem& files, const std::string& target, const OwnerOfTarget& owner) {
  if (TRY(root_->entries()).empty()) return write();
  const Mark before = TRY(file_.read_of_unfinished());
  if (before.snapshot != mark_.snapshot) return of_another_snapshot(target, before);
  if (!before.is_of_directory_of(mark_)) return of_another_directory(file_, before, mark_);
  const std::uint32_t user = TRY(root_->info()).user;
  if (user != files.own_user() && user != TRY(owner()))
    return file_.not_trusted("is of a directory that belongs to somebody else now");
  add_unfinished(before.paths);
  const bool is_trusted = before.trusted != Mark::kNone && before.trusted == mark_.boot;
  found_ = is_trusted ? Found::Finished : Found::Unreliable;
  // Untrusted from now on, also if this run is interrupted: it replaces what is there one by one.
  if (!is_trusted) mark_.trusted = Mark::kNone;
  return write();
}

void RestoreMarker::add_unfinished(std::string_view text) {
  Paths before;
  for (const std::string_view path : split(text, '\0')) {
    if (!path.empty()) before.emplace(path);
  }
  if (before.empty() || paths_.empty()) return unfinished_.clear();
  unfinished_.insert(before.begin(), before.end());
}

Status RestoreMarker::write() {
  mark_.paths.clear();
  for (const std::string& path : unfinished_) mark_.paths.append(path).push_back('\0');
  return file_.write(mark_);
}

Status RestoreMarker::distrust() {
  mark_.trusted = Mark::kNone;
  return write();
}

Result<std::optional<std::string>> RestoreMarker::finish() {
  const bool wanted_everything = unfinished_.empty();
  for (const std::string& path : paths_) unfinished_.erase(path);
  if (!paths_.empty() && (wanted_everything || !unfinished_.empty())) {
    TRY(write());
    return std::optional<std::string>();
  }
  Status removed = file_.remove();
  if (removed.ok()) return std::optional<std::string>();
  return std::optional(file_.in_words_of_left(removed.error()));
}

}  // namespace exclave::engine
