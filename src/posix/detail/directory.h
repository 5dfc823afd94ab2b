// An open directory on the real system: a descriptor and *at() calls that never follow a symbolic link.
// Hides: getdents64, and that one directory descriptor has one reading position for all threads.
//
// I1  Every name passes checked_name() before a system call sees it.
// I2  The descriptor is open for reading, so that it can also be synced.
// Threads: any; entries() of several threads at once each read through an own descriptor.
// Errors: env/file_system.h.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/file_system.h"
#include "posix/descriptor.h"
#include "posix/detail/errors.h"

namespace exclave::posix {

// All entries of the open directory `fd` but "." and "..", read from the start. Uses the descriptor's position.
Result<std::vector<env::DirectoryEntry>> entries_of(int fd);

class Directory : public env::Directory {
 public:
  explicit Directory(Descriptor descriptor) : fd_(std::move(descriptor)) {}

  Result<env::FileInfo> info() override;
  Result<std::optional<env::Timestamp>> created() override;
  Result<std::vector<env::Xattr>> own_xattrs() override;
  Result<std::vector<env::DirectoryEntry>> entries() override;
  Result<env::FileInfo> stat(std::string_view name) override;
  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view name) override;
  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view name) override;
  Result<std::unique_ptr<env::PinnedEntry>> pin(std::string_view name) override;
  Result<std::string> read_link(std::string_view name) override;
  Result<std::vector<env::Xattr>> xattrs(std::string_view name) override;
  Status create_directory(std::string_view name, std::uint32_t mode) override;
  Result<std::unique_ptr<env::WritableFile>> create_file(std::string_view name, std::uint32_t mode) override;
  Result<std::unique_ptr<env::WritableFile>> open_for_write(std::string_view name) override;
  Status create_symlink(std::string_view name, std::string_view target) override;
  Status create_link(std::string_view name, env::Directory& source, std::string_view source_name) override;
  Status create_node(std::string_view name, env::FileType type, std::uint32_t mode, std::uint32_t major,
                     std::uint32_t minor) override;
  Status set_attributes(std::string_view name, const env::FileAttributes& attributes) override;
  Status set_own_attributes(const env::FileAttributes& attributes) override;
  Status remove(std::string_view name) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status drop_acls() override;
  Status sync_all() override;
  Status lock() override;

 private:
  Error failed(std::string_view action, std::string_view name, int error, Access access = Access::Read) const;

  const Descriptor fd_;
  std::atomic_flag position_in_use_ = ATOMIC_FLAG_INIT;
};

}  // namespace exclave::posix
