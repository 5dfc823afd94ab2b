// A tree that changes while it is walked: a real file system that tells a test of each look at a name and of each file
// that is opened, so that the test can change what is there before anything else is done with it.
//
// Threads: as the file system inside; the functions are set before use and called from the thread that walks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/realm/passing_files.h"

namespace exclave::realm_tests {

class LiveFiles final : public PassingFiles {
 public:
  using PassingFiles::PassingFiles;
  std::function<void(std::string_view name)> after_stat;
  std::function<void(std::string_view name)> after_open;
  std::function<bool(std::string_view name)> refuses_xattrs;
  std::function<void(std::vector<env::DirectoryEntry>& entries)> relists;  // what every directory is said to hold
  std::function<std::string(std::string_view name, std::string target)> retargets;
  bool has_proc = true;  // without it nothing has attributes that is reached by its name alone

  Result<std::unique_ptr<env::Directory>> open_directory(std::string_view path) override {
    return std::unique_ptr<env::Directory>(std::make_unique<LiveDirectory>(*this, TRY(inner().open_directory(path))));
  }

 private:
  class WithoutXattrs final : public env::ReadableFile {
   public:
    explicit WithoutXattrs(std::unique_ptr<env::ReadableFile> inner) : inner_(std::move(inner)) {}
    Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) override {
      return inner_->read_at(offset, out);
    }
    Result<env::FileInfo> info() override { return inner_->info(); }
    Result<std::vector<env::Xattr>> xattrs() override { return Error(Code::Unavailable, "input/output error"); }
    Result<std::optional<env::Extent>> next_data(std::uint64_t offset) override { return inner_->next_data(offset); }
    void will_need() override { inner_->will_need(); }
    void sequential() override { inner_->sequential(); }

   private:
    const std::unique_ptr<env::ReadableFile> inner_;
  };

  // What a walk calls.
  class LiveDirectory final : public env::Directory {
   public:
    LiveDirectory(LiveFiles& files, std::unique_ptr<env::Directory> inner) : files_(files), inner_(std::move(inner)) {}
    Result<env::FileInfo> info() override { return inner_->info(); }
    Result<std::vector<env::Xattr>> own_xattrs() override { return inner_->own_xattrs(); }
    Result<std::vector<env::DirectoryEntry>> entries() override {
      auto entries = TRY(inner_->entries());
      if (files_.relists) files_.relists(entries);
      return entries;
    }
    Result<env::FileInfo> stat(std::string_view name) override {
      auto info = inner_->stat(name);
      if (files_.after_stat) files_.after_stat(name);
      return info;
    }
    Result<std::unique_ptr<env::Directory>> open_directory(std::string_view name) override {
      return std::unique_ptr<env::Directory>(
          std::make_unique<LiveDirectory>(files_, TRY(inner_->open_directory(name))));
    }
    Result<std::unique_ptr<env::ReadableFile>> open_file(std::string_view name) override {
      auto file = TRY(inner_->open_file(name));
      if (files_.after_open) files_.after_open(name);
      if (!files_.refuses_xattrs || !files_.refuses_xattrs(name)) return file;
      return std::unique_ptr<env::ReadableFile>(std::make_unique<WithoutXattrs>(std::move(file)));
    }
    Result<std::string> read_link(std::string_view name) override {
      auto target = TRY(inner_->read_link(name));
      return files_.retargets ? files_.retargets(name, std::move(target)) : std::move(target);
    }
    Result<std::vector<env::Xattr>> xattrs(std::string_view name) override {
      if (!files_.has_proc) return Error(Code::NotFound, "no such file or directory");
      return inner_->xattrs(name);
    }

    Status create_directory(std::string_view, std::uint32_t) override { return no(); }
    Result<std::unique_ptr<env::WritableFile>> create_file(std::string_view, std::uint32_t) override { return no(); }
    Result<std::unique_ptr<env::WritableFile>> open_for_write(std::string_view) override { return no(); }
    Status create_symlink(std::string_view, std::string_view) override { return no(); }
    Status create_link(std::string_view, env::Directory&, std::string_view) override { return no(); }
    Status create_node(std::string_view, env::FileType, std::uint32_t, std::uint32_t, std::uint32_t) override {
      return no();
    }
    Status set_attributes(std::string_view, const env::FileAttributes&) override { return no(); }
    Status set_own_attributes(const env::FileAttributes&) override { return no(); }
    Status remove(std::string_view) override { return no(); }
    Status rename(std::string_view, std::string_view) override { return no(); }
    Status drop_acls() override { return no(); }
    Status sync_all() override { return no(); }
    Status lock() override { return no(); }

   private:
    static Error no() { return {Code::Unsupported, "a walk changes nothing"}; }
    LiveFiles& files_;
    const std::unique_ptr<env::Directory> inner_;
  };
};

}  // namespace exclave::realm_tests
