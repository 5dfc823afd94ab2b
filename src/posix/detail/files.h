// Open files: reading at offsets, writing with a remembered end, and syncing that never forgets a failure.
// Hides: partial reads and writes, interrupted calls, SEEK_DATA and file systems without it.
//
// I1  A plain "open, info, read all, close" of a small file costs four system calls.
// I2  info() before the first read may be what stat told at opening; after a read it is always asked anew, so that
//     a caller who compares before and after sees a change.
// I3  append() goes to the furthest byte that a successful call wrote (or resize set): after a failed append, the next
//     one overwrites what the failed one may have left.
// I4  sync() that failed once fails for ever: the kernel marks the pages clean after an error, and a second fsync
//     would claim success for data that are lost.
// Threads: env/file_system.h.
// See: env/file_system.h I3.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <optional>

#include "env/file_system.h"
#include "posix/descriptor.h"

namespace exclave::posix {

class InputFile : public env::ReadableFile {
 public:
  // Opens the regular file `name` in `directory` (AT_FDCWD for a path). InvalidInput if it is of another type.
  enum class Links { Refuse, Follow };
  static Result<std::unique_ptr<InputFile>> open(int directory, const char* name, Links links);

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteView out) override;
  Result<env::FileInfo> info() override;
  Result<std::vector<env::Xattr>> xattrs() override;
  Result<std::optional<env::Extent>> next_data(std::uint64_t offset) override;
  void will_need() override;
  void sequential() override;

 private:
  InputFile(Descriptor file, const struct stat& at_opening) : file_(std::move(file)), at_opening_(at_opening) {}

  const Descriptor file_;
  const struct stat at_opening_;
  std::atomic<bool> opening_info_is_fresh_ = true;
};

class OutputFile : public env::WritableFile {
 public:
  // `end`: where append() goes on.
  OutputFile(Descriptor file, std::uint64_t end) : file_(std::move(file)), end_(end) {}
  // Wraps a descriptor open for writing, after checking that it is a regular file; append() goes on at its end.
  static Result<std::unique_ptr<OutputFile>> of_existing(Descriptor file);

  Status write_at(std::uint64_t offset, ByteView data) override;
  Status write_at_durably(std::uint64_t offset, ByteView data) override;
  Status append(ByteView data) override;
  Status resize(std::uint64_t size) override;
  Status set_attributes(const env::FileAttributes& attributes) override;
  Status sync() override;

  int descriptor() const { return file_.get(); }

 private:
  // The same file, open for writes that go to the disk at once and are durable then; invalid where there is no such thing.
  const Descriptor& direct();

  const Descriptor file_;
  std::optional<Descriptor> direct_;
  Bytes direct_room_;
  std::uint64_t end_;
  std::optional<Error> sync_failure_;
};

// fsync of a directory: makes names durable.
Status sync_names(int directory);

}  // namespace exclave::posix
