#include "posix/detail/paths.h"

#include <gtest/gtest.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "tests/conformance/world_under_test.h"

namespace exclave::posix {
namespace {

using conformance::failed_with;
using conformance::must;

TEST(PathsTest, short_path_is_passed_on_as_it_is) {
  const Path path = must(Path::from("a/../b/"));
  EXPECT_EQ(path.at(), AT_FDCWD);
  EXPECT_STREQ(path.rest(), "a/../b/");
}

TEST(PathsTest, long_path_is_cut_at_a_slash_into_pieces_the_system_takes) {
  std::string long_path = "/proc";
  while (long_path.size() < 20'000) long_path += "/./../proc";
  const Path path = must(Path::from(long_path + "/version"));
  EXPECT_NE(path.at(), AT_FDCWD);
  EXPECT_LT(std::strlen(path.rest()), static_cast<std::size_t>(PATH_MAX));
  struct stat by_pieces {};
  struct stat direct {};
  ASSERT_EQ(::fstatat(path.at(), path.rest(), &by_pieces, 0), 0);
  ASSERT_EQ(::stat("/proc/version", &direct), 0);
  EXPECT_EQ(by_pieces.st_ino, direct.st_ino);
}

TEST(PathsTest, path_of_exactly_the_limit_and_around_it_works) {
  for (std::size_t size = PATH_MAX - 3; size <= PATH_MAX + 3; ++size) {
    const std::string path = "/proc/" + std::string(size - 13, '/') + "version";
    ASSERT_EQ(path.size(), size);
    const Path pieces = must(Path::from(path));
    EXPECT_EQ(::faccessat(pieces.at(), pieces.rest(), F_OK, 0), 0) << size;
  }
}

TEST(PathsTest, long_path_that_ends_in_slashes_is_the_directory) {
  const Path path = must(Path::from("/proc" + std::string(10'000, '/')));
  struct stat info {};
  ASSERT_EQ(::fstatat(path.at(), path.rest(), &info, 0), 0);
  EXPECT_TRUE(S_ISDIR(info.st_mode));
}

TEST(PathsTest, wrong_paths_are_refused) {
  EXPECT_TRUE(failed_with(Path::from(""), Code::InvalidInput));
  EXPECT_TRUE(failed_with(Path::from(std::string("a\0b", 3)), Code::InvalidInput));
  EXPECT_TRUE(failed_with(Path::from("/proc/" + std::string(5'000, 'x')), Code::InvalidInput));
  EXPECT_TRUE(failed_with(Path::from(std::string(5'000, 'x')), Code::InvalidInput));
  std::string missing = "/proc/no such directory";
  while (missing.size() < 5'000) missing += "/x";
  EXPECT_TRUE(failed_with(Path::from(missing), Code::NotFound));
}

TEST(PathsTest, names_are_checked) {
  EXPECT_EQ(must(checked_name("...")), "...");
  EXPECT_EQ(must(checked_name(std::string(255, 'x'))).size(), 255U);
  for (const char* wrong : {"", ".", "..", "/", "a/b"})
    EXPECT_TRUE(failed_with(checked_name(wrong), Code::InvalidInput));
  EXPECT_TRUE(failed_with(checked_name(std::string(256, 'x')), Code::InvalidInput));
  EXPECT_TRUE(failed_with(checked_name(std::string_view("a\0", 2)), Code::InvalidInput));
}

TEST(PathsTest, canonical_path_of_a_relative_path_is_absolute) {
  char* const here = ::getcwd(nullptr, 0);
  EXPECT_EQ(must(canonical_path(".")), here);
  ::free(here);
  EXPECT_EQ(must(canonical_path("/proc/..")), "/");
  EXPECT_EQ(must(canonical_path("/../../proc/.")), "/proc");
  EXPECT_TRUE(failed_with(canonical_path(""), Code::InvalidInput));
  EXPECT_TRUE(failed_with(canonical_path("/proc/version/.."), Code::InvalidInput)) << "as the kernel sees it";
}

}  // namespace
}  // namespace exclave::posix
