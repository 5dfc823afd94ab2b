// What is captured comes back as it was: bytes, names, holes, links and every attribute.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <optional>

#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using RoundTrip = PosixRealm;

void set_time(const std::string& path, std::int64_t seconds, long nanoseconds) {
  const ::timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  CHECK(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

TEST_F(RoundTrip, files_of_every_size_class_come_back_bit_for_bit) {
  constexpr std::size_t kSmall = 256 << 10;
  write("empty", "");
  write("one", "x");
  write("just_small", noise(kSmall - 1, 1));
  write("just_large", noise(kSmall, 2));
  write("several_slabs", noise((9 << 20) + 17, 3));
  write("zeros", Bytes(3 << 20));
  for (int i = 0; i < 50; ++i) write("group" + std::to_string(i), noise(60'000 + 13 * static_cast<std::size_t>(i), 99));
  const auto report = capture();
  EXPECT_FALSE(report.is_partial());
  EXPECT_EQ(report.totals.files, 56U);
  EXPECT_EQ(report.vaults_behind(), std::vector<std::string>());
  expect_restores_as_source(report.snapshot);
}

TEST_F(RoundTrip, a_sparse_file_of_five_gigabytes_costs_only_its_data) {
  constexpr std::uint64_t kSize = 5'000'000'000;
  {
    const auto directory = must(files().open_directory(source()));
    const auto file = must(directory->create_file("sparse", 0600));
    must(file->resize(kSize));
    must(file->write_at(0, noise(4096, 1)));
    must(file->write_at(1'234'567'890, noise(300'000, 2)));
    must(file->write_at(kSize - 10, noise(10, 3)));
    const auto hole = must(directory->create_file("only_a_hole", 0600));
    must(hole->resize(kSize));
  }
  const auto report = capture();
  EXPECT_LT(report.packs.object_bytes, 4U << 20);
  const std::string target = restored(report.snapshot);
  expect_equal(source(), target);
  EXPECT_LT(must(files().stat(target + "/sparse")).allocated_bytes, 2U << 20);
  EXPECT_EQ(must(files().stat(target + "/only_a_hole")).allocated_bytes, 0U);
}

TEST_F(RoundTrip, names_are_bytes_of_any_kind_and_length) {
  write(std::string(255, 'n'), "long");
  write("not \xff\xfe utf-8", "bytes");
  write("line\nfeed and \t tab", "control");
  write("-rf", "dash");
  write(" ", "blank");
  make_directory("source/a");
  make_directory("source/a.b");
  make_directory("source/a\x01");
  write("a/z", "below");
  write("a.b/z", "beside");
  write("a\x01/z", "before the slash");
  expect_restores_as_source(capture().snapshot);
}

TEST_F(RoundTrip, links_of_both_kinds_keep_their_shape) {
  make_directory("source/one");
  make_directory("source/two");
  write("one/file", noise(300'000, 5));
  write("one/small", "small");
  CHECK(::link(source("one/file").c_str(), source("two/same").c_str()) == 0);
  CHECK(::link(source("one/file").c_str(), source("again").c_str()) == 0);
  CHECK(::link(source("one/small").c_str(), source("two/small").c_str()) == 0);
  CHECK(::symlink("nowhere at all", source("dangling").c_str()) == 0);
  CHECK(::symlink("loop_b", source("loop_a").c_str()) == 0);
  CHECK(::symlink("loop_a", source("loop_b").c_str()) == 0);
  CHECK(::symlink("../..", source("one/up").c_str()) == 0);
  CHECK(::symlink(std::string(4000, 't').c_str(), source("long_target").c_str()) == 0);
  CHECK(::link(source("dangling").c_str(), source("two/dangling_too").c_str()) == 0);
  set_time(source("dangling"), 1'000'000'000, 123'456'789);
  const auto report = capture();
  EXPECT_EQ(report.totals.files, 5U);
  expect_restores_as_source(report.snapshot);
}

TEST_F(RoundTrip, attributes_of_files_directories_and_special_files_come_back) {
  write("plain", "x");
  CHECK(::setxattr(source("plain").c_str(), "user.colour", "blue\0green", 10, 0) == 0);
  CHECK(::setxattr(source("plain").c_str(), "user.empty", "", 0, 0) == 0);
  make_directory("source/directory");
  CHECK(::setxattr(source("directory").c_str(), "user.note", "kept", 4, 0) == 0);
  // version 2, entries {tag, permissions, id}: owner rw-, user 1 r--, group r--, mask r--, others ---
  const unsigned char acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                               0, 1, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                               4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
  write("with_acl", "x");
  const bool acls = ::setxattr(source("with_acl").c_str(), "system.posix_acl_access", acl, sizeof acl, 0) == 0;
  write("setuid", "x");
  CHECK(::chmod(source("setuid").c_str(), 06755) == 0);
  make_directory("source/sticky", 01777);
  make_directory("source/setgid", 02755);
  make_directory("source/locked");
  write("locked/inside", "still restored");
  CHECK(::chmod(source("locked").c_str(), 0555) == 0);
  write("no_rights", "x");
  CHECK(::chmod(source("no_rights").c_str(), is_root() ? 0 : 0400) == 0);
  CHECK(::mkfifo(source("fifo").c_str(), 0640) == 0);
  if (is_root()) {
    CHECK(::mknod(source("null").c_str(), S_IFCHR | 0666, ::makedev(1, 3)) == 0);
    CHECK(::mknod(source("block").c_str(), S_IFBLK | 0600, ::makedev(7, 300)) == 0);
    CHECK(::chown(source("plain").c_str(), 12'345, 54'321) == 0);
    CHECK(::lchown(source("fifo").c_str(), 7, 8) == 0);
  }
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  source("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  CHECK(::bind(listener, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0);
  ::close(listener);
  set_time(source("plain"), 0, 1);
  set_time(source("directory"), 7'258'118'400, 999'999'999);  // 2200
  set_time(source("with_acl"), -86'400, 500'000'000);         // 1969
  set_time(source("locked"), 1, 0);
  set_time(source(), 1'234'567'890, 42);
  const auto report = capture();
  EXPECT_FALSE(report.is_partial()) << report.problems.front().why;
  expect_restores_as_source(report.snapshot);
  CHECK(::chmod(source("locked").c_str(), 0755) == 0);
  if (!acls) GTEST_LOG_(INFO) << "this file system has no POSIX ACLs: not tested";
}

// In memory, where there is room: so many files take minutes on a disk.
class InMemory {
 public:
  InMemory() {
    struct ::statvfs room {};
    const bool has_room = ::statvfs(kMemory, &room) == 0 && room.f_bavail * room.f_frsize > kNeededBytes;
    const char* const before = ::getenv(kVariable);
    if (before != nullptr) before_ = before;
    if (has_room) ::setenv(kVariable, kMemory, 1);
  }
  void put_back() const {
    if (before_.has_value()) {
      ::setenv(kVariable, before_->c_str(), 1);
    } else {
      ::unsetenv(kVariable);
    }
  }

 private:
  static constexpr const char* kMemory = "/dev/shm";
  static constexpr const char* kVariable = "TMPDIR";
  static constexpr std::uint64_t kNeededBytes = 1 << 30;
  std::optional<std::string> before_;
};

class WideRoundTrip : private InMemory, public PosixRealm {
 protected:
  WideRoundTrip() { put_back(); }
};

TEST_F(WideRoundTrip, a_directory_of_200000_entries_comes_back_whole) {
  constexpr int kCount = 200'000;
  make_directory("source/wide");
  const auto wide = must(files().open_directory(source("wide")));
  for (int i = 0; i < kCount; ++i) {
    const auto file = must(wide->create_file("entry" + std::to_string(i), 0600));
    if (i % 10 == 0) must(file->write_at(0, as_bytes(std::to_string(i))));
  }
  const auto report = capture();
  EXPECT_EQ(report.totals.files, static_cast<std::uint64_t>(kCount));
  expect_restores_as_source(report.snapshot);
}

// Lowers the number of files that may be open, and puts it back.
class FewDescriptors {
 public:
  explicit FewDescriptors(::rlim_t count) {
    CHECK(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const ::rlimit lowered{count, before_.rlim_max};
    CHECK(::setrlimit(RLIMIT_NOFILE, &lowered) == 0);
  }
  ~FewDescriptors() { CHECK(::setrlimit(RLIMIT_NOFILE, &before_) == 0); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  ::rlimit before_{};
};

TEST_F(RoundTrip, a_tree_of_fifteen_hundred_levels_needs_few_descriptors) {
  constexpr int kLevels = 1500;
  {
    std::shared_ptr<env::Directory> level = must(files().open_directory(source()));
    for (int i = 0; i < kLevels; ++i) {
      must(level->create_directory("d", 0755));
      if (i % 100 == 0) must(must(level->create_file("file", 0644))->write_at(0, as_bytes(std::to_string(i))));
      if (i % 100 == 0) must(level->create_directory("e", 0755));
      level = must(level->open_directory("d"));
    }
  }
  engine::CaptureReport report;
  std::string target;
  {
    const FewDescriptors few(200);
    report = capture();
    target = restored(report.snapshot);
  }
  EXPECT_EQ(report.totals.directories, kLevels + 15U + 1);
  EXPECT_EQ(report.totals.files, 15U);
  ::rlimit limit{};
  CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const ::rlimit raised{limit.rlim_max, limit.rlim_max};
  CHECK(::setrlimit(RLIMIT_NOFILE, &raised) == 0);  // the comparer goes down both trees at once
  expect_equal(source(), target);
  CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

}  // namespace
}  // namespace exclave::realm_tests
