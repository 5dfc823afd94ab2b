#include "env/file_system.h"

#include <gtest/gtest.h>

namespace exclave::env {
namespace {

TEST(FileSystemTest, paths_are_joined_with_one_slash) {
  EXPECT_EQ(join_path("a", "b"), "a/b");
  EXPECT_EQ(join_path("a/", "b"), "a/b");
  EXPECT_EQ(join_path("/", "b"), "/b");
  EXPECT_EQ(join_path("", "b"), "b");
}

TEST(FileSystemTest, paths_are_split_at_the_last_slash) {
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("a/b"), "a");
  EXPECT_EQ(parent_path("a"), ".");
  EXPECT_EQ(base_name("/a/b"), "b");
  EXPECT_EQ(base_name("/a"), "a");
  EXPECT_EQ(base_name("a"), "a");
  EXPECT_EQ(without_slashes("/a/b//"), "/a/b");
  EXPECT_EQ(without_slashes("//"), "/");
  EXPECT_EQ(without_slashes("a"), "a");
}

TEST(FileSystemTest, a_path_is_its_parent_and_its_name) {
  for (const char* path : {"/a/b", "/a", "a/b", "a/b/c"}) {
    EXPECT_EQ(join_path(parent_path(path), base_name(path)), path);
  }
}

}  // namespace
}  // namespace exclave::env
