// A file system that passes everything on to another one: tests derive what they want to see or change from it.
//
// Threads: as the file system inside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/file_system.h"

namespace exclave::realm_tests {

class PassingFiles : public env::FileSystem {
 public:
  explicit PassingFiles(env::FileSystem& inner) : inner_(inner) {}
  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view path) override {
    return inner_.open_directory(path);
  }
  Result<env::FileInfo> stat(std::string_view path) override { return inner_.stat(path); }
  Result<std::string> canonical(std::string_view path) override { return inner_.canonical(path); }
  Result<std::uint64_t> free_bytes(std::string_view path) override { return inner_.free_bytes(path); }
  std::size_t open_limit() override { return inner_.open_limit(); }
  std::uint32_t own_user() override { return inner_.own_user(); }
  Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view path) override {
    return inner_.open_file(path);
  }
  Result<Bytes> read_file(std::string_view path, std::uint64_t limit) override { return inner_.read_file(path, limit); }
  Status make_directories(std::string_view path, std::uint32_t mode) override {
    return inner_.make_directories(path, mode);
  }
  Result<std::vector<std::string>> list(std::string_view path) override { return inner_.list(path); }
  Status remove_file(std::string_view path) override { return inner_.remove_file(path); }
  Status sync_directory(std::string_view path) override { return inner_.sync_directory(path); }
  Result<std::unique_ptr<Draft>> draft(std::string_view directory, std::uint32_t mode) override {
    return inner_.draft(directory, mode);
  }
  Status remove_temporaries(std::string_view directory) override { return inner_.remove_temporaries(directory); }
  Result<std::unique_ptr<env::WritableFile>> open_log(std::string_view path) override { return inner_.open_log(path); }
  Result<std::unique_ptr<Lock>> lock(std::string_view path) override { return inner_.lock(path); }

 protected:
  env::FileSystem& inner() { return inner_; }

 private:
  env::FileSystem& inner_;
};

}  // namespace exclave::realm_tests
