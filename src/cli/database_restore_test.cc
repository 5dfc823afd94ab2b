#include "cli/database_restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::cli {
namespace {

using ::testing::HasSubstr;

// The log's directory is locked while a restore is at work in it, as the target is: of one directory that would say
// that another restore is.
TEST(DatabaseRestorePlaces, a_log_that_would_lie_in_the_target_is_refused_by_name) {
  posix::World world;
  env::FileSystem& files = world.env().files;
  conformance::ScratchDirectory scratch("places");
  std::filesystem::create_directory_symlink(scratch.path(), scratch / "same");
  const RestoreTarget target = claim_restore_target(files, scratch / "back").take();
  std::filesystem::create_directory_symlink(scratch / "back", scratch / "link");
  for (const std::string log : {"back", "back/", "back/wal", "back/far/below", "same/back", "link", "link/wal"}) {
    const Status refused = check_lies_beside(files, target, scratch / log);
    ASSERT_FALSE(refused.ok()) << log;
    EXPECT_EQ(refused.error().code(), Code::InvalidInput);
    EXPECT_THAT(refused.error().message(), HasSubstr("would lie in the target"));
  }
  for (const std::string log : {"back.wal", "far/away", "back/../back.wal"})
    EXPECT_TRUE(check_lies_beside(files, target, scratch / log).ok()) << log;
}

}  // namespace
}  // namespace exclave::cli
