// FileSystem on the real system: state files with durable publication, and the way in to user trees.
// Hides: temporary names, fsync of files and directories, rename without replacing, flock.
//
//   draft:  .tmp-<16 hex>  --publish_new-->        sync file, rename unless taken, sync directory
//                          --publish_replacing-->  sync file, rename over,         sync directory
//
// I1  Temporary names are drawn from Random, never reused after a collision.
// I2  A DURABLE call syncs the directory also when it found its work done: an earlier run may have died before its
//     sync.
// Threads: stateless but for Random; any.
// Errors: env/file_system.h. A failed sync of the directory after the rename leaves the new name visible, but not
//     promised: the caller sees an error and does the call again (Draft: create_same, replace).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/file_system.h"
#include "env/random.h"

namespace exclave::posix {

class FileSystem : public env::FileSystem {
 public:
  // `random` outlives this.
  explicit FileSystem(env::Random& random) : random_(random) {}

  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view path) override;
  Result<env::FileInfo> stat(std::string_view path) override;
  Result<std::string> canonical(std::string_view path) override;
  Result<std::uint64_t> free_bytes(std::string_view path) override;
  std::size_t open_limit() override;
  std::uint32_t own_user() override;

  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view path) override;
  Result<Bytes> read_file(std::string_view path, std::uint64_t limit) override;
  Status make_directories(std::string_view path, std::uint32_t mode) override;
  Result<std::vector<std::string>> list(std::string_view path) override;
  Status remove_file(std::string_view path) override;
  Status sync_directory(std::string_view path) override;
  Result<std::unique_ptr<Draft>> draft(std::string_view directory, std::uint32_t mode) override;
  Status remove_temporaries(std::string_view directory) override;
  Result<std::unique_ptr<env::WritableFile>> open_log(std::string_view path) override;
  Result<std::unique_ptr<Lock>> lock(std::string_view path) override;

 private:
  env::Random& random_;
};

}  // namespace exclave::posix
