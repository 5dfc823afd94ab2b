// The file system facade: state files by path. Each step of a compound call is a call of its own, so that power can
// fail and other actors can run between any two.
#include <algorithm>

#include "base/text.h"
#include "sim/detail/handles.h"

namespace exclave::sim::detail {
namespace {

using env::FileType;

constexpr std::string_view kTemporaryPrefix = ".tmp-";

Status sync_directory_node(MachineCore& core, std::uint64_t incarnation, Node& directory, std::string_view path) {
  return core.file_call(FileCall::SyncDirectory, incarnation, {.name = "sync_directory", .object = path},
                        [&]() -> Status {
                          directory.sync();
                          return {};
                        });
}

class SimDraft final : public env::FileSystem::Draft {
 public:
  SimDraft(MachineCore& core, NodePtr directory, std::string directory_path, std::string temporary, NodePtr file)
      : core_(core),
        incarnation_(core.incarnation),
        directory_(std::move(directory)),
        directory_path_(std::move(directory_path)),
        temporary_(std::move(temporary)),
        file_(make_writable(core, std::move(file), env::join_path(directory_path_, temporary_))) {}
  SimDraft(const SimDraft&) = delete;
  SimDraft& operator=(const SimDraft&) = delete;
  ~SimDraft() override {
    if (published_ || !core_.check_up(incarnation_).ok()) return;
    const std::string path = env::join_path(directory_path_, temporary_);
    const Status removed = core_.file_call(FileCall::Name, incarnation_, {.name = "remove", .object = path}, [&] {
      return core_.volume.unlink(*directory_, temporary_, core_.civil_now());
    });
    ignore(removed, "remove_temporaries finds it at the next start");
  }

  env::WritableFile& file() override { return *file_; }
  Status publish_new(std::string_view name) override { return publish("publish_new", name, Taken::Refuse); }
  Status publish_replacing(std::string_view name) override { return publish("publish_repl", name, Taken::Replace); }

 private:
  enum class Taken : std::uint8_t { Refuse, Replace };

  Status publish(const char* call, std::string_view name, Taken taken) {
    TRY(check_name(name));
    TRY(file_->sync());
    const std::string path = env::join_path(directory_path_, name);
    Status named = core_.file_call(FileCall::Name, incarnation_, {.name = call, .object = path}, [&]() -> Status {
      if (taken == Taken::Refuse && directory_->names.find(name) != nullptr) {
        return Error(Code::AlreadyExists, printable(path) + ": exists");
      }
      return core_.volume.rename(*directory_, temporary_, name, core_.civil_now());
    });
    if (!named.ok()) return named;
    published_ = true;
    return sync_directory_node(core_, incarnation_, *directory_, directory_path_);
  }

  MachineCore& core_;
  const std::uint64_t incarnation_;
  const NodePtr directory_;
  const std::string directory_path_;
  const std::string temporary_;
  const std::unique_ptr<env::WritableFile> file_;
  bool published_ = false;
};

class SimLock final : public env::FileSystem::Lock {
 public:
  SimLock(MachineCore& core, std::uint64_t inode) : core_(core), incarnation_(core.incarnation), inode_(inode) {}
  SimLock(const SimLock&) = delete;
  SimLock& operator=(const SimLock&) = delete;
  ~SimLock() override {
    if (!core_.check_up(incarnation_).ok()) return;
    core_.enter();
    core_.world.scheduler.record({.name = "unlock_file", .a = inode_});
    if (core_.check_up(incarnation_).ok()) core_.locked_inodes.erase(inode_);
  }

 private:
  MachineCore& core_;
  const std::uint64_t incarnation_;
  const std::uint64_t inode_;
};

class SimFileSystem final : public env::FileSystem {
 public:
  explicit SimFileSystem(MachineCore& core) : core_(core) {}

  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view path) override {
    using Opened = std::unique_ptr<env::Directory>;
    return call(FileCall::Open, "open_directory", path, [&]() -> Result<Opened> {
      return make_directory(core_, TRY(core_.volume.find_directory(path)), std::string(path));
    });
  }
  Result<env::FileInfo> stat(std::string_view path) override {
    return call(FileCall::Look, "stat", path, [&]() -> Result<env::FileInfo> {
      return info_of(core_, *TRY(core_.volume.find(path, FinalSymlink::Keep)));
    });
  }
  Result<std::string> canonical(std::string_view path) override {
    return call(FileCall::Look, "canonical", path, [&] { return core_.volume.canonical(path); });
  }
  std::size_t open_limit() override { return 1024; }  // a usual one; opening is never refused for it
  std::uint32_t own_user() override { return 0; }     // as what is made belongs to nobody else
  Result<std::uint64_t> free_bytes(std::string_view path) override {
    return call(FileCall::Look, "free_bytes", path, [&]() -> Result<std::uint64_t> {
      TRY(core_.volume.find(path, FinalSymlink::Follow));
      const std::uint64_t used = core_.volume.used_bytes();
      return core_.volume.capacity_bytes() - std::min(used, core_.volume.capacity_bytes());
    });
  }

  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view path) override {
    using Opened = std::unique_ptr<env::ReadableFile>;
    return call(FileCall::Open, "open_file", path, [&]() -> Result<Opened> {
      NodePtr node = TRY(core_.volume.find(path, FinalSymlink::Follow));
      TRY(require_regular(*node, path));
      return make_readable(core_, std::move(node), std::string(path));
    });
  }
  Result<Bytes> read_file(std::string_view path, std::uint64_t limit) override {
    const auto file = TRY(open_file(path));
    return env::read_whole(*file, path, limit);
  }
  Status make_directories(std::string_view path, std::uint32_t mode) override;
  Result<std::vector<std::string>> list(std::string_view path) override {
    using Names = std::vector<std::string>;
    return call(FileCall::Look, "list", path, [&]() -> Result<Names> {
      Names names;
      const NodePtr directory = TRY(core_.volume.find_directory(path));
      for (const auto& [name, node] : directory->names.now()) names.push_back(name);
      return names;
    });
  }
  Status remove_file(std::string_view path) override {
    return call(FileCall::Name, "remove_file", path, [&]() -> Status {
      const Volume::Place place = TRY(core_.volume.find_place(path));
      const NodePtr node = place.directory->names.find(place.name);
      if (node != nullptr && node->type == FileType::Directory) {
        return Error(Code::InvalidInput, printable(path) + ": is a directory");
      }
      return core_.volume.unlink(*place.directory, place.name, core_.civil_now());
    });
  }
  Status sync_directory(std::string_view path) override {
    return call(FileCall::SyncDirectory, "sync_directory", path, [&]() -> Status {
      TRY(core_.volume.find_directory(path))->sync();
      return {};
    });
  }
  Result<std::unique_ptr<Draft>> draft(std::string_view directory, std::uint32_t mode) override {
    using Made = std::unique_ptr<Draft>;
    return call(FileCall::Name, "draft", directory, [&]() -> Result<Made> {
      NodePtr parent = TRY(core_.volume.find_directory(directory));
      const std::string name = std::string(kTemporaryPrefix) + to_hex_word(core_.disk_rng.next());
      NodePtr file = core_.volume.make_node(FileType::Regular, mode, core_.civil_now());
      TRY(core_.volume.link(*parent, name, file, core_.civil_now()));
      return Made(std::make_unique<SimDraft>(core_, std::move(parent), std::string(directory), name, std::move(file)));
    });
  }
  Status remove_temporaries(std::string_view directory) override {
    for (const std::string& name : TRY(list(directory))) {
      if (name.starts_with(kTemporaryPrefix)) TRY(remove_file(env::join_path(directory, name)));
    }
    return {};
  }
  Result<std::unique_ptr<env::WritableFile>> open_log(std::string_view path) override {
    const NodePtr file = TRY(open_or_create("open_log", path));
    TRY(sync_directory(env::parent_path(path)));  // also if it existed: an earlier run may have died before this
    return make_writable(core_, file, std::string(path));
  }
  Result<std::unique_ptr<Lock>> lock(std::string_view path) override {
    const NodePtr file = TRY(open_or_create("open_lock", path));
    using Locked = std::unique_ptr<Lock>;
    return call(FileCall::Open, "lock", path, [&]() -> Result<Locked> {
      if (!core_.locked_inodes.insert(file->inode).second) {
        return Error(Code::Conflict, printable(path) + ": is locked by another process");
      }
      return Locked(std::make_unique<SimLock>(core_, file->inode));
    });
  }

 private:
  template <typename Body>
  auto call(FileCall kind, const char* name, std::string_view path, Body&& body) -> std::invoke_result_t<Body> {
    return core_.file_call(kind, core_.incarnation, {.name = name, .object = path}, std::forward<Body>(body));
  }
  static std::string to_hex_word(std::uint64_t word) {
    Byte bytes[8];
    store_u64(bytes, word);
    return to_hex(bytes);
  }
  Result<NodePtr> open_or_create(const char* name, std::string_view path) {
    return call(FileCall::Open, name, path, [&]() -> Result<NodePtr> {
      auto found = core_.volume.find(path, FinalSymlink::Follow);
      if (found.ok()) TRY(require_regular(*found.value(), path));
      if (found.ok() || found.error().code() != Code::NotFound) return found;
      const Volume::Place place = TRY(core_.volume.find_place(path));
      NodePtr file = core_.volume.make_node(FileType::Regular, 0644, core_.civil_now());
      TRY(core_.volume.link(*place.directory, place.name, file, core_.civil_now()));
      return file;
    });
  }

  MachineCore& core_;
};

Status SimFileSystem::make_directories(std::string_view path, std::uint32_t mode) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end < path.size() && path[end] != '/') continue;
    const std::string_view part = path.substr(0, end);
    const std::string_view name = env::base_name(part);
    if (name.empty() || name == "." || name == "..") continue;
    Status made = call(FileCall::Name, "make_directory", part, [&]() -> Status {
      const auto found = core_.volume.find_directory(part);
      if (found.ok() || found.error().code() != Code::NotFound) return found.ok() ? Status() : Status(found.error());
      const Volume::Place place = TRY(core_.volume.find_place(part));
      const NodePtr node = core_.volume.make_node(FileType::Directory, mode, core_.civil_now());
      return core_.volume.link(*place.directory, place.name, node, core_.civil_now());
    });
    if (!made.ok()) return made;
    // Also for one that exists: an earlier run may have died between making and syncing it.
    TRY(sync_directory(env::parent_path(part)));
  }
  return {};
}

}  // namespace

std::unique_ptr<env::FileSystem> make_file_system(MachineCore& core) {
  return std::make_unique<SimFileSystem>(core);
}

}  // namespace exclave::sim::detail
