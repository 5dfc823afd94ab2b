#include "engine/detail/restore_marker.h"

#include <algorithm>

#include "base/text.h"
#include "engine/detail/directory_itself.h"

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

// Not worse than a directory without a marker, and refused like one; but somebody may wonder why.
Error not_trusted(const std::string& target, const std::string& why) {
  return Error(Code::Precondition, "target '" + printable(target) + "' is not empty")
      .hint("restore into a fresh directory: " + printable(RestoreMarker::path_for(target)) + " " + why +
            ", and is not taken for the mark of an unfinished restore");
}

constexpr std::uint32_t kWriteForOthers = 022;

Result<Bytes> content_of(env::ReadableFile& file, std::uint64_t size) {
  Bytes content(static_cast<std::size_t>(size));
  for (std::size_t done = 0; done < content.size();) {
    const std::size_t got = TRY(file.read_at(done, MutableByteView(content).subspan(done)));
    if (got == 0) content.resize(done);
    done += got;
  }
  return content;
}

// The marker's text, if nobody but this user can have written it. Whoever owns the directory in which the target lies
// could put another one there: a link, or a file of their own.
Result<Bytes> read_mark(env::FileSystem& files, const std::string& target) {
  const std::string path = RestoreMarker::path_for(target);
  const auto beside = TRY(files.open_directory(env::parent_path(path)));
  const auto file = beside->open_file(env::base_name(path));
  if (!file.ok() && file.error().code() == Code::NotFound) return not_empty(target);
  if (!file.ok() && file.error().code() == Code::InvalidInput) return not_trusted(target, "is no regular file");
  if (!file.ok()) return file.error();
  const env::FileInfo info = TRY(file.value()->info());
  if (info.user != files.own_user()) return not_trusted(target, "belongs to another user");
  if ((info.mode & kWriteForOthers) != 0) return not_trusted(target, "may be written by others");
  if (info.link_count != 1) return not_trusted(target, "has another name, too");
  if (info.size > kMaxBytes) return not_trusted(target, "is too large");
  return content_of(*file.value(), info.size);
}

// Which directory it is. A device can get another number with each boot; then nothing in it is trusted anyway.
std::string inode_of(const env::FileInfo& target) {
  return std::to_string(target.inode);
}
std::string device_of(const env::FileInfo& target) {
  return std::to_string(target.device);
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

Status check_target(std::string_view target) {
  if (target.empty()) return Error(Code::InvalidInput, "no target directory was given");
  return check_names_itself(target, "target");
}

Result<ClaimedTarget> lock_target(env::FileSystem& files, const std::string& target) {
  TRY(check_target(target));
  TRY(make_target(files, target));
  ClaimedTarget root = TRY(open_itself(files, target));
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
  if (!TRY(root->entries()).empty()) TRY(read_mark(files, target));
  return root;
}

Status unmark_targets(env::FileSystem& files, const std::vector<std::string>& targets) {
  std::vector<std::pair<std::string, Bytes>> removed;
  const auto unmark = [&](const std::string& target) -> Status {
    const std::string marker = RestoreMarker::path_for(target);
    const auto beside = TRY(files.open_directory(env::parent_path(marker)));
    const auto file = TRY(beside->open_file(env::base_name(marker)));
    const std::uint64_t size = TRY(file->info()).size;
    Bytes mark = TRY(content_of(*file, std::min(size, kMaxBytes)));
    TRY(beside->remove(env::base_name(marker)));
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
                                          const std::vector<std::string>& paths, const OwnerOfTarget& owner) {
  RestoreMarker marker(files, path_for(target), snapshot, {paths.begin(), paths.end()});
  marker.root_ = std::move(root);
  TRY(marker.find(target, boot_id(files), owner));
  TRY(close_to_others(*marker.root_));
  return marker;
}

Status RestoreMarker::find(const std::string& target, const std::string& boot, const OwnerOfTarget& owner) {
  const env::FileInfo here = TRY(root_->info());
  place_ = inode_of(here) + " " + device_of(here);
  if (TRY(root_->entries()).empty()) return write(boot);
  const Bytes mark = TRY(read_mark(*files_, target));
  std::string_view text = as_text(mark);
  const std::size_t end_of_line = text.find('\n');
  const auto line = split(text.substr(0, end_of_line), ' ');
  text.remove_prefix(end_of_line == std::string_view::npos ? text.size() : end_of_line + 1);
  if (line.front() != snapshot_.hex()) {
    return Error(Code::Precondition,
                 "target '" + printable(target) + "' holds an unfinished restore of another snapshot")
        .hint("finish that one, or restore into a fresh directory");
  }
  const bool is_of_this_boot = !boot.empty() && line.size() > 1 && line[1] == boot;
  if (line.size() != 4 || line[2] != inode_of(here) || (is_of_this_boot && line[3] != device_of(here)))
    return not_trusted(target, "is of another directory");
  if (here.user != files_->own_user() && here.user != TRY(owner()))
    return not_trusted(target, "is of a directory that belongs to somebody else now");
  add_unfinished(text);
  found_ = is_of_this_boot ? Found::Finished : Found::Unreliable;
  // Untrusted from now on, also if this run is interrupted: it replaces what is there one by one.
  return write(is_of_this_boot ? boot : kNoBoot);
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
  std::string mark = snapshot_.hex() + " " + boot_ + " " + place_ + "\n";
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
