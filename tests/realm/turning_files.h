// A file system on which somebody else is at work while a tree is restored into it: tells a test of each look at a name,
// so that the test can change what has it before anything else is done; and can say of a directory what it is not.
//
// Threads: as the file system inside; the functions are set before use, and called from the thread that looks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/realm/passing_files.h"

namespace exclave::realm_tests {

class TurningFiles final : public PassingFiles {
 public:
  using PassingFiles::PassingFiles;
  std::function<void(std::string_view name)> after_look;  // stat, or pin
  std::function<void(env::FileInfo& info)> retell;        // of an open directory

  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view path) override {
    return turning(inner().open_directory(path));
  }

 private:
  Result<std::unique_ptr<env::Directory>> turning(Result<std::unique_ptr<env::Directory>> opened) {
    return std::unique_ptr<env::Directory>(std::make_unique<TurningDirectory>(*this, TRY(std::move(opened))));
  }

  class TurningDirectory final : public env::Directory {
   public:
    TurningDirectory(TurningFiles& files, std::unique_ptr<env::Directory> inner)
        : files_(files), inner_(std::move(inner)) {}
    Result<env::FileInfo> info() override {
      env::FileInfo info = TRY(inner_->info());
      if (files_.retell) files_.retell(info);
      return info;
    }
    Result<std::optional<env::Timestamp>> created() override { return inner_->created(); }
    Result<std::vector<env::Xattr>> own_xattrs() override { return inner_->own_xattrs(); }
    Result<std::vector<env::DirectoryEntry>> entries() override { return inner_->entries(); }
    Result<env::FileInfo> stat(std::string_view name) override { return looked(name, inner_->stat(name)); }
    Result<std::unique_ptr<env::Directory>> open_directory(std::string_view name) override {
      return files_.turning(inner_->open_directory(name));
    }
    Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view name) override {
      return inner_->open_file(name);
    }
    Result<std::unique_ptr<env::PinnedEntry>> pin(std::string_view name) override {
      return looked(name, inner_->pin(name));
    }
    Result<std::string> read_link(std::string_view name) override { return inner_->read_link(name); }
    Result<std::vector<env::Xattr>> xattrs(std::string_view name) override { return inner_->xattrs(name); }
    Status create_directory(std::string_view name, std::uint32_t mode) override {
      return inner_->create_directory(name, mode);
    }
    Result<std::unique_ptr<env::WritableFile>> create_file(std::string_view name, std::uint32_t mode) override {
      return inner_->create_file(name, mode);
    }
    Result<std::unique_ptr<env::WritableFile>> open_for_write(std::string_view name) override {
      return inner_->open_for_write(name);
    }
    Status create_symlink(std::string_view name, std::string_view target) override {
      return inner_->create_symlink(name, target);
    }
    Status create_link(std::string_view name, env::Directory& source, std::string_view source_name) override {
      return inner_->create_link(name, *dynamic_cast<TurningDirectory&>(source).inner_, source_name);
    }
    Status create_node(std::string_view name, env::FileType type, std::uint32_t mode, std::uint32_t major,
                       std::uint32_t minor) override {
      return inner_->create_node(name, type, mode, major, minor);
    }
    Status set_attributes(std::string_view name, const env::FileAttributes& attributes) override {
      return inner_->set_attributes(name, attributes);
    }
    Status set_own_attributes(const env::FileAttributes& attributes) override {
      return inner_->set_own_attributes(attributes);
    }
    Status remove(std::string_view name) override { return inner_->remove(name); }
    Status rename(std::string_view from, std::string_view to) override { return inner_->rename(from, to); }
    Status drop_acls() override { return inner_->drop_acls(); }
    Status sync_all() override { return inner_->sync_all(); }
    Status lock() override { return inner_->lock(); }

   private:
    template <typename T>
    T looked(std::string_view name, T seen) {
      if (files_.after_look) files_.after_look(name);
      return seen;
    }
    TurningFiles& files_;
    const std::unique_ptr<env::Directory> inner_;
  };
};

}  // namespace exclave::realm_tests
