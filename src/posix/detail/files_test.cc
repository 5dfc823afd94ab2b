// What the conformance suite cannot reach: failing syncs, file systems without holes, files without a size.
#include "posix/detail/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "posix/detail/errors.h"
#include "posix/world.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::posix {
namespace {

using conformance::failed_with;
using conformance::is_ok;

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "/exclave-files-XXXXXX";
    file_ = Descriptor(::mkostemp(path_.data(), O_CLOEXEC));
    ASSERT_TRUE(file_.valid());
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  std::string path_;
  Descriptor file_;
  World world_;
};

TEST_F(FilesTest, sync_that_failed_once_fails_for_ever) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const Descriptor read_end(pipe[0]);
  OutputFile output(Descriptor(pipe[1]), 0);
  const Status first = output.sync();  // a pipe cannot be synced
  ASSERT_FALSE(first.ok());
  ASSERT_EQ(::dup3(file_.get(), pipe[1], O_CLOEXEC), pipe[1]);  // from here on the kernel would say ok
  ASSERT_EQ(::fdatasync(pipe[1]), 0);
  const Status second = output.sync();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), first.error().code());
  EXPECT_EQ(second.error().message(), first.error().message());
}

TEST_F(FilesTest, sync_of_a_regular_file_succeeds_again_and_again) {
  OutputFile output(std::move(file_), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_ok(output.append(as_bytes("x"))));
    EXPECT_TRUE(is_ok(output.sync()));
  }
}

TEST_F(FilesTest, blocks_written_durably_go_through_a_descriptor_that_waits_for_the_disk) {
  const int plain = file_.get();
  const bool has_direct = Descriptor(::open(path_.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC)).valid();
  if (!has_direct) GTEST_SKIP() << "no direct writes here";
  OutputFile output(std::move(file_), 0);
  ASSERT_TRUE(is_ok(output.write_at_durably(0, Bytes(env::WritableFile::kBlockBytes))));
  int direct = -1;
  for (const std::string& name : conformance::must(world_.env().files.list("/proc/self/fd"))) {
    const int descriptor = std::stoi(name);
    if (descriptor != plain && path_of(descriptor) == path_of(plain)) direct = descriptor;
  }
  ASSERT_GE(direct, 0);
  const int flags = ::fcntl(direct, F_GETFL);
  EXPECT_EQ(flags & O_DIRECT, O_DIRECT);
  EXPECT_EQ(flags & O_DSYNC, O_DSYNC) << "durable is what the call promises when it returns";
}

TEST_F(FilesTest, what_is_no_whole_block_is_synced_and_a_failure_is_told) {
  const Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));  // takes every byte, and cannot be synced
  ASSERT_TRUE(null.valid());
  OutputFile output(Descriptor(::fcntl(null.get(), F_DUPFD_CLOEXEC, 0)), 0);
  ASSERT_TRUE(is_ok(output.write_at(0, as_bytes("x"))));
  EXPECT_FALSE(output.write_at_durably(0, as_bytes("x")).ok());
}

TEST_F(FilesTest, names_that_cannot_be_synced_are_an_error) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  const Descriptor read_end(pipe[0]);
  const Descriptor write_end(pipe[1]);
  EXPECT_FALSE(sync_names(write_end.get()).ok());
}

TEST_F(FilesTest, failed_append_is_overwritten_by_the_next) {
  const Descriptor read_only(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  const int target = ::fcntl(read_only.get(), F_DUPFD_CLOEXEC, 0);
  OutputFile output((Descriptor(target)), 0);
  EXPECT_FALSE(output.append(as_bytes("lost")).ok());
  ASSERT_EQ(::dup3(file_.get(), target, O_CLOEXEC), target);
  EXPECT_TRUE(is_ok(output.append(as_bytes("kept"))));
  EXPECT_EQ(conformance::must(world_.env().files.read_file(path_, 100)), to_bytes("kept"));
}

TEST_F(FilesTest, offsets_beyond_the_system_are_refused) {
  OutputFile output(std::move(file_), 0);
  EXPECT_TRUE(failed_with(output.write_at(~std::uint64_t{0}, as_bytes("x")), Code::InvalidInput));
  EXPECT_TRUE(failed_with(output.write_at(std::uint64_t{1} << 63, as_bytes("x")), Code::InvalidInput));
  EXPECT_TRUE(failed_with(output.resize(std::uint64_t{1} << 63), Code::InvalidInput));
  auto input = conformance::must(world_.env().files.open_file(path_));
  Bytes out(10);
  EXPECT_EQ(conformance::must(input->read_at(~std::uint64_t{0}, out)), 0U);
  EXPECT_FALSE(conformance::must(input->next_data(~std::uint64_t{0})).has_value());
}

TEST_F(FilesTest, full_device_is_exhausted) {
  const Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (!full.valid()) GTEST_SKIP() << "no /dev/full";
  OutputFile output(Descriptor(::fcntl(full.get(), F_DUPFD_CLOEXEC, 0)), 0);
  EXPECT_TRUE(failed_with(output.append(as_bytes("x")), Code::Exhausted));
}

TEST_F(FilesTest, file_system_without_holes_reports_one_extent) {
  const std::string path = "/sys/devices/system/cpu/online";  // sysfs: a size, but no SEEK_DATA
  auto input = world_.env().files.open_file(path);
  if (!input.ok()) GTEST_SKIP() << "no sysfs";
  const std::uint64_t size = conformance::must(input.value()->info()).size;
  const auto extent = conformance::must(input.value()->next_data(0));
  ASSERT_TRUE(extent.has_value());
  EXPECT_EQ(extent->begin, 0U);
  EXPECT_EQ(extent->end, size);
  EXPECT_FALSE(conformance::must(input.value()->next_data(size)).has_value());
}

TEST_F(FilesTest, files_that_do_not_tell_their_size_are_read_to_their_end) {
  const Bytes status = conformance::must(world_.env().files.read_file("/proc/self/status", 100'000));
  EXPECT_TRUE(as_text(status).starts_with("Name:"));
  EXPECT_EQ(status.back(), '\n');
  EXPECT_TRUE(failed_with(world_.env().files.read_file("/proc/self/status", 20), Code::Exhausted));
}

TEST_F(FilesTest, errors_name_the_file) {
  const auto missing = world_.env().files.open_file("/nowhere/a\nb");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message(), "cannot open '/nowhere/a\\x0ab': No such file or directory");
  auto directory = conformance::must(world_.env().files.open_directory("/proc"));
  const auto inside = directory->open_file("no such name");
  ASSERT_FALSE(inside.ok());
  EXPECT_EQ(inside.error().message(), "cannot open '/proc/no such name': No such file or directory");
}

TEST_F(FilesTest, no_call_keeps_a_descriptor) {
  env::FileSystem& files = world_.env().files;
  const std::string root = path_ + "-tree";
  const std::string long_path = root + "/" + std::string(250, 'a') + "/" + std::string(5'000, '/') + "x";
  const auto use_everything = [&] {
    for (const std::string& path : {root, root + "/f", root + "/missing", long_path, std::string()}) {
      ignore(files.open_directory(path), "only whether it leaks counts");
      ignore(files.open_file(path), "only whether it leaks counts");
      ignore(files.read_file(path, 1), "only whether it leaks counts");
      ignore(files.open_log(path), "only whether it leaks counts");
      ignore(files.lock(path), "only whether it leaks counts");
      ignore(files.draft(path, 0600), "only whether it leaks counts");
      ignore(files.list(path), "only whether it leaks counts");
      ignore(files.make_directories(path + "/sub", 0700), "only whether it leaks counts");
      ignore(files.free_bytes(path), "only whether it leaks counts");
      ignore(files.canonical(path), "only whether it leaks counts");
      ignore(files.remove_temporaries(path), "only whether it leaks counts");
    }
    auto directory = conformance::must(files.open_directory(root));
    for (const char* name : {"f", "sub", "missing", ".."}) {
      ignore(directory->open_directory(name), "only whether it leaks counts");
      ignore(directory->open_file(name), "only whether it leaks counts");
      ignore(directory->open_for_write(name), "only whether it leaks counts");
      ignore(directory->set_attributes(name, {}), "only whether it leaks counts");
      ignore(directory->xattrs(name), "only whether it leaks counts");
    }
    ignore(world_.env().processes.start({"true"}), "only whether it leaks counts");
    ignore(world_.env().processes.start({"/proc/version"}), "only whether it leaks counts");
  };
  ASSERT_TRUE(is_ok(files.make_directories(root, 0700)));
  ASSERT_TRUE(is_ok(env::create_file_durably(files, root + "/f", as_bytes("content"), 0600)));
  const std::size_t before = conformance::must(files.list("/proc/self/fd")).size();
  for (int i = 0; i < 3; ++i) use_everything();
  EXPECT_EQ(conformance::must(files.list("/proc/self/fd")).size(), before);
  auto removal = conformance::must(world_.env().processes.start({"rm", "-rf", "--", root}));
  EXPECT_EQ(conformance::must(removal->wait()), 0);
}

}  // namespace
}  // namespace exclave::posix
