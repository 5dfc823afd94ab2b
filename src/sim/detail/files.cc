// Open files.
#include "base/text.h"
#include "sim/detail/handles.h"

namespace exclave::sim::detail {
namespace {

constexpr std::size_t kMaxXattrName = 255;
constexpr std::size_t kMaxXattrBytes = 65'536;

Status check_xattr(const Node& node, const env::Xattr& xattr) {
  if (xattr.name.empty() || xattr.name.size() > kMaxXattrName) {
    return Error(Code::InvalidInput, "xattr '" + printable(xattr.name) + "': bad name");
  }
  if (xattr.value.size() > kMaxXattrBytes)
    return Error(Code::Exhausted, "xattr " + printable(xattr.name) + ": too large");
  // As Linux: user attributes exist on files and directories only.
  if (xattr.name.starts_with("user.") && node.type != env::FileType::Regular && node.type != env::FileType::Directory) {
    return Error(Code::Denied, "xattr " + printable(xattr.name) + ": not on this type of file");
  }
  return {};
}

class SimReadable final : public env::ReadableFile {
 public:
  SimReadable(MachineCore& core, NodePtr file, std::string path)
      : core_(core), incarnation_(core.incarnation), file_(std::move(file)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) override {
    const CallText text{.name = "read_at", .object = path_, .a = offset, .b = out.size()};
    return core_.file_call(FileCall::Read, incarnation_, text,
                           [&]() -> Result<std::size_t> { return file_->content.read(offset, out); });
  }
  Result<env::FileInfo> info() override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "info", .object = path_},
                           [&]() -> Result<env::FileInfo> { return info_of(core_, *file_); });
  }
  Result<std::vector<env::Xattr>> xattrs() override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "xattrs", .object = path_},
                           [&]() -> Result<std::vector<env::Xattr>> { return xattrs_of(*file_); });
  }
  Result<std::optional<env::Extent>> next_data(std::uint64_t offset) override {
    return core_.file_call(FileCall::Look, incarnation_, {.name = "next_data", .object = path_, .a = offset},
                           [&]() -> Result<std::optional<env::Extent>> { return file_->content.next_data(offset); });
  }
  void will_need() override {}
  void sequential() override {}

 private:
  MachineCore& core_;
  const std::uint64_t incarnation_;
  const NodePtr file_;
  const std::string path_;
};

class SimWritable final : public env::WritableFile {
 public:
  SimWritable(MachineCore& core, NodePtr file, std::string path)
      : core_(core),
        incarnation_(core.incarnation),
        file_(std::move(file)),
        path_(std::move(path)),
        failed_syncs_at_open_(file_->failed_syncs) {}

  Status write_at(std::uint64_t offset, ByteView data) override {
    const CallText text{.name = "write_at", .object = path_, .a = offset, .b = hash_of(data)};
    return core_.file_call(FileCall::Write, incarnation_, text, [&] { return write(offset, data); });
  }
  Status append(ByteView data) override {
    const CallText text{.name = "append", .object = path_, .a = data.size(), .b = hash_of(data)};
    return core_.file_call(FileCall::Write, incarnation_, text, [&] { return write(file_->content.size(), data); });
  }
  Status resize(std::uint64_t size) override {
    return core_.file_call(FileCall::Write, incarnation_, {.name = "resize", .object = path_, .a = size},
                           [&] { return core_.volume.resize(*file_, size, core_.civil_now()); });
  }
  Status set_attributes(const env::FileAttributes& attributes) override {
    return core_.file_call(FileCall::Attributes, incarnation_, {.name = "set_attributes", .object = path_}, [&] {
      return set_attributes_of(*file_, attributes, core_.civil_now()).in([&] { return printable(path_); });
    });
  }
  // Not through file_call: a failing sync has an effect.
  Status sync() override {
    return core_.call({.name = "sync", .object = path_}, [&]() -> Status {
      TRY(core_.begin_file_call(incarnation_));
      if (auto error = core_.faults.failure(FileCall::Sync, path_, core_.disk_rng)) {
        ++file_->failed_syncs;
        file_->content.fail_sync(core_.disk_rng);
        return std::move(*error);
      }
      if (file_->failed_syncs != failed_syncs_at_open_) {
        return Error(Code::Unavailable, printable(path_) + ": an earlier sync of this file failed");
      }
      file_->sync();
      return {};
    });
  }

 private:
  Status write(std::uint64_t offset, ByteView data) {
    constexpr std::uint64_t kWriteBackPercent = 3;
    if (core_.disk_rng.percent(kWriteBackPercent)) file_->content.write_back_some(core_.disk_rng);
    return core_.volume.write(*file_, offset, data, core_.civil_now()).in([&] { return printable(path_); });
  }

  MachineCore& core_;
  const std::uint64_t incarnation_;
  const NodePtr file_;
  const std::string path_;
  const std::uint64_t failed_syncs_at_open_;
};

}  // namespace

std::unique_ptr<env::ReadableFile> make_readable(MachineCore& core, NodePtr file, std::string path) {
  return std::make_unique<SimReadable>(core, std::move(file), std::move(path));
}

std::unique_ptr<env::WritableFile> make_writable(MachineCore& core, NodePtr file, std::string path) {
  return std::make_unique<SimWritable>(core, std::move(file), std::move(path));
}

env::FileInfo info_of(const MachineCore& core, const Node& node) {
  const bool symlink = node.type == env::FileType::Symlink;
  return {
      .type = node.type,
      .mode = node.attributes.mode,
      .user = node.attributes.user,
      .group = node.attributes.group,
      .size = symlink ? node.target.size() : node.content.size(),
      .modified = node.attributes.modified,
      .changed = node.changed,
      .inode = node.inode,
      .device = std::uint64_t{core.id} + 1,
      .link_count = node.link_count,
      .device_major = node.device_major,
      .device_minor = node.device_minor,
      .allocated_bytes = node.content.allocated_bytes(),
  };
}

std::vector<env::Xattr> xattrs_of(const Node& node) {
  std::vector<env::Xattr> list;
  for (const auto& [name, value] : node.attributes.xattrs) list.push_back({.name = name, .value = value});
  return list;
}

Status set_attributes_of(Node& node, const env::FileAttributes& wanted, env::Timestamp now) {
  for (const env::Xattr& xattr : wanted.xattrs) TRY(check_xattr(node, xattr));
  if (wanted.owner) {
    node.attributes.user = wanted.owner->first;
    node.attributes.group = wanted.owner->second;
  }
  if (wanted.mode && node.type != env::FileType::Symlink) node.attributes.mode = *wanted.mode & 07777;
  for (const env::Xattr& xattr : wanted.xattrs) node.attributes.xattrs[xattr.name] = xattr.value;
  if (wanted.modified) node.attributes.modified = *wanted.modified;
  node.changed = now;
  node.attributes_dirty = true;
  return {};
}

Status require_regular(const Node& node, std::string_view path) {
  if (node.type == env::FileType::Regular) return {};
  return Error(Code::InvalidInput, printable(path) + ": is not a regular file");
}

}  // namespace exclave::sim::detail
