// Open directories: the calls that capture and restore of user trees are made of.
#include "base/text.h"
#include "sim/detail/handles.h"

namespace exclave::sim::detail {
namespace {

using env::FileType;

constexpr std::size_t kMaxSymlinkTarget = 4095;

class SimPinned final : public env::PinnedEntry {
 public:
  SimPinned(MachineCore& core, NodePtr node, std::string path)
      : core_(core), incarnation_(core.incarnation), node_(std::move(node)), path_(std::move(path)) {}

  Result<env::FileInfo> info() override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "info", .object = path_},
                           [&]() -> Result<env::FileInfo> { return info_of(core_, *node_); });
  }
  Status set_attributes(const env::FileAttributes& attributes) override {
    return core_.file_call(FileCall::Attributes, incarnation_, {.name = "set_attributes", .object = path_}, [&] {
      return set_attributes_of(*node_, attributes, core_.civil_now()).in([&] { return printable(path_); });
    });
  }

 private:
  MachineCore& core_;
  const std::uint64_t incarnation_;
  const NodePtr node_;
  const std::string path_;
};

class SimDirectory final : public env::Directory {
 public:
  SimDirectory(MachineCore& core, NodePtr directory, std::string path)
      : core_(core), incarnation_(core.incarnation), directory_(std::move(directory)), path_(std::move(path)) {}

  SimDirectory(const SimDirectory&) = delete;
  SimDirectory& operator=(const SimDirectory&) = delete;
  ~SimDirectory() override {
    if (!is_locked_ || !core_.check_up(incarnation_).ok()) return;
    core_.enter();
    core_.world.scheduler.record({.name = "unlock_directory", .object = path_});
    if (core_.check_up(incarnation_).ok()) core_.locked_inodes.erase(directory_->inode);
  }

  Result<env::FileInfo> info() override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "info", .object = path_},
                           [&]() -> Result<env::FileInfo> { return info_of(core_, *directory_); });
  }
  Result<std::optional<env::Timestamp>> created() override {
    using Created = std::optional<env::Timestamp>;
    return core_.file_call(FileCall::Look, incarnation_, {.name = "created", .object = path_},
                           [&]() -> Result<Created> { return Created(directory_->created); });
  }
  Result<std::vector<env::Xattr>> own_xattrs() override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "own_xattrs", .object = path_},
                           [&]() -> Result<std::vector<env::Xattr>> { return xattrs_of(*directory_); });
  }
  Result<std::vector<env::DirectoryEntry>> entries() override {
    using Entries = std::vector<env::DirectoryEntry>;
    return core_.file_call(FileCall::Look, incarnation_, {.name = "entries", .object = path_},
                           [&]() -> Result<Entries> {
                             Entries entries;
                             for (const auto& [name, node] : directory_->names.now())
                               entries.push_back({.name = name, .type = node->type});
                             // No particular order: who relies on one is found out.
                             for (std::size_t i = entries.size(); i > 1; --i)
                               std::swap(entries[i - 1], entries[core_.disk_rng.below(i)]);
                             return entries;
                           });
  }

  Result<env::FileInfo> stat(std::string_view name) override {
    return on<env::FileInfo>(FileCall::Look, "stat", name,
                             [&](const NodePtr& node) -> Result<env::FileInfo> { return info_of(core_, *node); });
  }
  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view name) override {
    using Opened = std::unique_ptr<env::Directory>;
    return on<Opened>(FileCall::Open, "open_directory", name, [&](const NodePtr& node) -> Result<Opened> {
      if (node->type != FileType::Directory) {
        return Error(Code::InvalidInput, printable(path_of(name)) + ": is not a directory");
      }
      return make_directory(core_, node, path_of(name));
    });
  }
  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view name) override {
    using Opened = std::unique_ptr<env::ReadableFile>;
    return on<Opened>(FileCall::Open, "open_file", name, [&](const NodePtr& node) -> Result<Opened> {
      TRY(require_regular(*node, path_of(name)));
      return make_readable(core_, node, path_of(name));
    });
  }
  Result<std::unique_ptr<env::PinnedEntry>> pin(std::string_view name) override {
    using Pinned = std::unique_ptr<env::PinnedEntry>;
    return on<Pinned>(FileCall::Open, "pin", name, [&](const NodePtr& node) -> Result<Pinned> {
      return Pinned(std::make_unique<SimPinned>(core_, node, path_of(name)));
    });
  }
  Result<std::string> read_link(std::string_view name) override {
    return on<std::string>(FileCall::Look, "read_link", name, [&](const NodePtr& node) -> Result<std::string> {
      if (node->type != FileType::Symlink) {
        return Error(Code::InvalidInput, printable(path_of(name)) + ": is not a symbolic link");
      }
      return node->target;
    });
  }
  Result<std::vector<env::Xattr>> xattrs(std::string_view name) override {
    using Xattrs = std::vector<env::Xattr>;
    return on<Xattrs>(FileCall::Look, "xattrs", name,
                      [&](const NodePtr& node) -> Result<Xattrs> { return xattrs_of(*node); });
  }

  Status create_directory(std::string_view name, std::uint32_t mode) override {
    return create("create_directory", name, mode, [&] { return make(FileType::Directory, mode); });
  }
  Result<std::unique_ptr<env::WritableFile>> create_file(std::string_view name, std::uint32_t mode) override {
    NodePtr file = make(FileType::Regular, mode);
    TRY(create("create_file", name, mode, [&] { return file; }));
    return make_writable(core_, file, path_of(name));
  }
  Result<std::unique_ptr<env::WritableFile>> open_for_write(std::string_view name) override {
    using Opened = std::unique_ptr<env::WritableFile>;
    return on<Opened>(FileCall::Open, "open_for_write", name, [&](const NodePtr& node) -> Result<Opened> {
      TRY(require_regular(*node, path_of(name)));
      return make_writable(core_, node, path_of(name));
    });
  }
  Status create_symlink(std::string_view name, std::string_view target) override {
    if (target.empty() || target.size() > kMaxSymlinkTarget || target.find('\0') != std::string_view::npos) {
      return Error(Code::InvalidInput, printable(path_of(name)) + ": bad target of a symbolic link");
    }
    return create("create_symlink", name, hash_of(as_bytes(target)), [&] {
      NodePtr node = make(FileType::Symlink, 0777);
      node->target = target;
      return node;
    });
  }
  Status create_link(std::string_view name, env::Directory& source, std::string_view source_name) override {
    // Both are handles of the same machine, so both are of this class.
    auto* const from = dynamic_cast<SimDirectory*>(&source);
    if (from == nullptr || &from->core_ != &core_) {
      return Error(Code::InvalidInput, printable(path_of(name)) + ": link across file systems");
    }
    TRY(check_name(source_name));
    const std::string path = path_of(name);
    const CallText text{.name = "create_link", .object = path, .a = hash_of(as_bytes(source_name))};
    return core_.file_call(FileCall::Name, incarnation_, text, [&]() -> Status {
      const NodePtr node = TRY(from->find(source_name));
      if (node->type == FileType::Directory) {
        return Error(Code::Denied, printable(path_of(source_name)) + ": is a directory, which has one name only");
      }
      return core_.volume.link(*directory_, name, node, core_.civil_now());
    });
  }
  Status create_node(std::string_view name, FileType type, std::uint32_t mode, std::uint32_t major,
                     std::uint32_t minor) override {
    if (type == FileType::Regular || type == FileType::Directory || type == FileType::Symlink) {
      return Error(Code::InvalidInput, printable(path_of(name)) + ": create_node makes special files only");
    }
    const bool device = type == FileType::CharDevice || type == FileType::BlockDevice;
    return create("create_node", name, static_cast<std::uint64_t>(type), [&] {
      NodePtr node = make(type, mode);
      node->device_major = device ? major : 0;
      node->device_minor = device ? minor : 0;
      return node;
    });
  }
  Status set_attributes(std::string_view name, const env::FileAttributes& attributes) override {
    return on<void>(FileCall::Attributes, "set_attributes", name, [&](const NodePtr& node) {
      return set_attributes_of(*node, attributes, core_.civil_now()).in([&] { return printable(path_of(name)); });
    });
  }
  Status set_own_attributes(const env::FileAttributes& attributes) override {
    return core_.file_call(FileCall::Attributes, incarnation_, {.name = "set_own_attrs", .object = path_}, [&] {
      return set_attributes_of(*directory_, attributes, core_.civil_now()).in([&] { return printable(path_); });
    });
  }
  Status remove(std::string_view name) override {
    const std::string path = path_of(name);
    return core_.file_call(FileCall::Name, incarnation_, {.name = "remove", .object = path},
                           [&] { return core_.volume.unlink(*directory_, name, core_.civil_now()); });
  }
  Status rename(std::string_view from, std::string_view to) override {
    TRY(check_name(from));
    TRY(check_name(to));
    const std::string path = path_of(to);
    const CallText text{.name = "rename", .object = path, .a = hash_of(as_bytes(from))};
    return core_.file_call(FileCall::Name, incarnation_, text,
                           [&] { return core_.volume.rename(*directory_, from, to, core_.civil_now()); });
  }
  Status drop_acls() override {
    return core_.file_call(FileCall::Attributes, incarnation_, {.name = "drop_acls", .object = path_}, [&]() -> Status {
      directory_->attributes.xattrs.erase("system.posix_acl_default");
      directory_->attributes.xattrs.erase("system.posix_acl_access");
      directory_->changed = core_.civil_now();
      directory_->attributes_dirty = true;
      return {};
    });
  }
  // Not through file_call: a failing sync has an effect.
  Status sync_all() override {
    return core_.call({.name = "sync_all", .object = path_}, [&]() -> Status {
      TRY(core_.begin_file_call(incarnation_));
      if (auto error = core_.faults.failure(FileCall::Sync, path_, core_.disk_rng)) {
        core_.volume.fail_sync_all(core_.disk_rng);
        return std::move(*error);
      }
      core_.volume.sync_all();
      return {};
    });
  }
  Status lock() override {
    return core_.file_call(FileCall::Open, incarnation_, {.name = "lock_directory", .object = path_}, [&]() -> Status {
      if (is_locked_ || core_.locked_inodes.insert(directory_->inode).second) {
        is_locked_ = true;
        return {};
      }
      return Error(Code::Conflict, printable(path_) + ": is locked by somebody else");
    });
  }

 private:
  std::string path_of(std::string_view name) const { return env::join_path(path_, name); }
  NodePtr make(FileType type, std::uint32_t mode) { return core_.volume.make_node(type, mode, core_.civil_now()); }
  Result<NodePtr> find(std::string_view name) const {
    NodePtr node = directory_->names.find(name);
    if (node == nullptr) return Error(Code::NotFound, printable(path_of(name)) + ": no such file or directory");
    return node;
  }
  template <typename T, typename Body>
  Result<T> on(FileCall kind, const char* call, std::string_view name, const Body& body) {
    TRY(check_name(name));
    const std::string path = path_of(name);
    return core_.file_call(kind, incarnation_, {.name = call, .object = path}, [&]() -> Result<T> {
      const NodePtr node = TRY(find(name));
      return body(node);
    });
  }
  template <typename Make>
  Status create(const char* call, std::string_view name, std::uint64_t argument, const Make& make_node) {
    TRY(check_name(name));
    const std::string path = path_of(name);
    return core_.file_call(FileCall::Name, incarnation_, {.name = call, .object = path, .a = argument}, [&] {
      return core_.volume.link(*directory_, name, make_node(), core_.civil_now()).in([&] { return printable(path_); });
    });
  }

  MachineCore& core_;
  const std::uint64_t incarnation_;
  const NodePtr directory_;
  const std::string path_;
  bool is_locked_ = false;
};

}  // namespace

std::unique_ptr<env::Directory> make_directory(MachineCore& core, NodePtr directory, std::string path) {
  return std::make_unique<SimDirectory>(core, std::move(directory), std::move(path));
}

}  // namespace exclave::sim::detail
