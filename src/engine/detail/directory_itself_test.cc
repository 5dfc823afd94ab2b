#include "engine/detail/directory_itself.h"

#include <gtest/gtest.h>

#include "sim/universe.h"

namespace exclave::engine {
namespace {

class DirectoryItself : public ::testing::Test {
 protected:
  DirectoryItself() {
    CHECK(files_.make_directories("/above/real", 0755).ok());
    CHECK(files_.open_directory("/above").take()->create_symlink("link", "real").ok());
  }
  // As for a user who may come through the directory above, and not look into it.
  void deny_the_directory_above() {
    machine_.inject({.call = sim::FileCall::Open, .path_part = "/above", .code = Code::Denied});
  }

  sim::Universe universe_{1};
  sim::Machine& machine_ = universe_.machine("site");
  env::FileSystem& files_ = machine_.env().files;
};

TEST_F(DirectoryItself, a_link_that_has_the_name_is_not_followed_from_a_directory_that_may_not_be_read) {
  EXPECT_EQ(open_itself(files_, "/above/link").error().code(), Code::InvalidInput);
  for (const std::string path : {"/above/link", "/above/link/"}) {
    deny_the_directory_above();
    const auto opened = open_itself(files_, path);
    ASSERT_FALSE(opened.ok()) << path;
    EXPECT_EQ(opened.error().code(), Code::InvalidInput);
  }
}

TEST_F(DirectoryItself, a_directory_is_opened_from_one_that_may_not_be_read) {
  deny_the_directory_above();
  const auto opened = open_itself(files_, "/above/real/");
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  EXPECT_EQ(opened.value()->info().value().inode, files_.stat("/above/real").value().inode);
}

TEST_F(DirectoryItself, comes_with_the_directory_in_which_it_has_its_name_where_that_may_be_read) {
  const auto place = open_in_place(files_, "/above/real");
  ASSERT_TRUE(place.ok()) << place.error().message();
  ASSERT_NE(place.value().above, nullptr);
  EXPECT_EQ(place.value().above->stat("real").value().inode, place.value().itself->info().value().inode);
  deny_the_directory_above();
  const auto alone = open_in_place(files_, "/above/real");
  ASSERT_TRUE(alone.ok()) << alone.error().message();
  EXPECT_EQ(alone.value().above, nullptr);
}

}  // namespace
}  // namespace exclave::engine
