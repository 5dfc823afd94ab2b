#include "engine/detail/restore_marker.h"

#include "base/text.h"

namespace exclave::engine {
namespace {

constexpr std::string_view kSuffix = ".exclave-restore";
constexpr std::uint64_t kMaxBytes = 4096;

std::string boot_id(env::FileSystem& files) {
  const auto id = files.read_file("/proc/sys/kernel/random/boot_id", 4096);
  return id.ok() ? std::string(as_text(id.value()).substr(0, 36)) : std::string();
}

Status make_target(env::FileSystem& files, const std::string& target) {
  const auto present = files.stat(target);
  if (!present.ok()) {
    if (present.error().code() != Code::NotFound) return present.error();
    return files.make_directories(target, 0700);
  }
  if (present.value().type == env::FileType::Directory) return {};
  return Error(Code::Precondition, "target '" + printable(target) + "' is not a directory")
      .hint("name a directory that does not exist yet");
}

// Nobody but us comes in until the end, when the root gets what it had; and no ACL above it reaches into it.
Status close_to_others(env::Directory& root) {
  TRY(root.drop_acls());
  env::FileAttributes only_for_us;
  only_for_us.mode = 0700;
  Status closed = root.set_own_attributes(only_for_us);
  // Somebody else's directory that we may write into: its owner decides who comes in.
  return closed.ok() || closed.error().code() == Code::Denied ? Status() : closed;
}

}  // namespace

Result<RestoreMarker> RestoreMarker::open(env::FileSystem& files, const format::ObjectName& snapshot,
                                          const std::string& target) {
  RestoreMarker marker(files, target + std::string(kSuffix), snapshot);
  TRY(make_target(files, target));
  marker.root_ = TRY(files.open_directory(target));
  Status locked = marker.root_->lock();
  if (!locked.ok() && locked.error().code() == Code::Conflict) {
    return Error(Code::Conflict, "another restore is at work in target '" + printable(target) + "'")
        .hint("wait until it ends, or restore into another directory");
  }
  // Some network file systems know no locks; there, nobody is kept out.
  if (!locked.ok() && locked.error().code() != Code::Unsupported) return locked.take_error();
  TRY(marker.find(target, boot_id(files)));
  TRY(close_to_others(*marker.root_));
  return marker;
}

Status RestoreMarker::find(const std::string& target, const std::string& boot) {
  if (TRY(root_->entries()).empty()) return write(boot);
  const auto mark = files_->read_file(path_, kMaxBytes);
  if (!mark.ok()) {
    return Error(Code::Precondition, "target '" + printable(target) + "' is not empty")
        .hint("restore into a fresh directory");
  }
  if (!as_text(mark.value()).starts_with(snapshot_.hex())) {
    return Error(Code::Precondition,
                 "target '" + printable(target) + "' holds an unfinished restore of another snapshot")
        .hint("finish that one, or restore into a fresh directory");
  }
  if (!boot.empty() && as_text(mark.value()) == snapshot_.hex() + " " + boot + "\n") {
    found_ = Found::Finished;
    return {};
  }
  // From now on, also if this run is interrupted: it replaces what is there one by one.
  found_ = Found::Unreliable;
  return distrust();
}

Status RestoreMarker::write(std::string_view boot) const {
  const std::string mark = snapshot_.hex() + " " + std::string(boot) + "\n";
  return env::replace_file_durably(*files_, path_, as_bytes(mark), 0600);
}

void RestoreMarker::remove() {
  ignore(files_->remove_file(path_), "a left-over marker only allows to run the same restore again");
}

}  // namespace exclave::engine
