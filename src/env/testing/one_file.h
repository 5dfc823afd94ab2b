// One file: a file system in which every name is the same private file of given bytes, for targets that read files.
// What is published replaces the bytes; everything else that a reader of files does not need is refused.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/file_system.h"

namespace exclave::env::testing {

class OneFile final : public FileSystem {
 public:
  explicit OneFile(ByteView content) : content_(to_bytes(content)) {}
  const Bytes& content() const { return content_; }

  Result<std::unique_ptr<ReadableFile>> open_file(std::string_view) override {
    return std::unique_ptr<ReadableFile>(std::make_unique<Reader>(content_));
  }
  Result<Bytes> read_file(std::string_view, std::uint64_t limit) override {
    if (content_.size() > limit) return Error(Code::Exhausted, "file is too large");
    return content_;
  }
  Result<std::unique_ptr<Draft>> draft(std::string_view, std::uint32_t) override {
    return std::unique_ptr<Draft>(std::make_unique<Replacement>(content_));
  }

  Result<std::unique_ptr<Directory>> open_directory(std::string_view) override { return no(); }
  Result<FileInfo> stat(std::string_view) override { return no(); }
  Result<std::string> canonical(std::string_view) override { return no(); }
  std::size_t open_limit() override { return 1; }
  std::uint32_t own_user() override { return 0; }
  Result<std::uint64_t> free_bytes(std::string_view) override { return no(); }
  Status make_directories(std::string_view, std::uint32_t) override { return no(); }
  Result<std::vector<std::string>> list(std::string_view) override { return no(); }
  Status remove_file(std::string_view) override { return no(); }
  Status sync_directory(std::string_view) override { return no(); }
  Status remove_temporaries(std::string_view) override { return no(); }
  Result<std::unique_ptr<WritableFile>> open_log(std::string_view) override { return no(); }
  Result<std::unique_ptr<Lock>> lock(std::string_view) override { return no(); }

 private:
  static Error no() { return {Code::Unsupported, "not in a file system of one file"}; }

  class Reader final : public ReadableFile {
   public:
    explicit Reader(const Bytes& content) : content_(content) {}
    Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) override {
      if (offset >= content_.size()) return std::size_t{0};
      const auto rest = ByteView(content_).subspan(static_cast<std::size_t>(offset));
      const std::size_t take = std::min(rest.size(), out.size());
      std::copy_n(rest.begin(), take, out.begin());
      return take;
    }
    Result<FileInfo> info() override {
      FileInfo info;
      info.mode = 0600;
      info.size = content_.size();
      return info;
    }
    Result<std::vector<Xattr>> xattrs() override { return no(); }
    Result<std::optional<Extent>> next_data(std::uint64_t) override { return no(); }
    void will_need() override {}
    void sequential() override {}

   private:
    const Bytes& content_;
  };

  class Replacement final : public Draft, private WritableFile {
   public:
    explicit Replacement(Bytes& target) : target_(target) {}
    WritableFile& file() override { return *this; }
    Status publish_new(std::string_view name) override { return publish_replacing(name); }
    Status publish_replacing(std::string_view) override {
      target_ = std::move(written_);
      return {};
    }

   private:
    Status write_at(std::uint64_t offset, ByteView data) override {
      const auto at = static_cast<std::size_t>(offset);
      written_.resize(std::max(written_.size(), at + data.size()));
      std::copy(data.begin(), data.end(), written_.begin() + static_cast<std::ptrdiff_t>(at));
      return {};
    }
    Status append(ByteView data) override { return write_at(written_.size(), data); }
    Status resize(std::uint64_t size) override {
      written_.resize(static_cast<std::size_t>(size));
      return {};
    }
    Status set_attributes(const FileAttributes&) override { return no(); }
    Status sync() override { return {}; }

    Bytes& target_;
    Bytes written_;
  };

  Bytes content_;
};

}  // namespace exclave::env::testing
