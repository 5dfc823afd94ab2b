#include "engine/detail/mark_file.h"

#include <gtest/gtest.h>

namespace exclave::engine {
namespace {

const Mark kHere{"aa", "boot1", "128", "7", "1000", "boot1", ""};

Mark with(std::string Mark::*part, std::string value, Mark mark = kHere) {
  mark.*part = std::move(value);
  return mark;
}

TEST(MarkTest, is_of_the_directory_with_its_inode_and_time_of_creation) {
  EXPECT_TRUE(kHere.is_of_directory_of(kHere));
  EXPECT_FALSE(with(&Mark::inode, "129").is_of_directory_of(kHere));
  EXPECT_FALSE(with(&Mark::created, "1001").is_of_directory_of(kHere));
  EXPECT_FALSE(with(&Mark::device, "8").is_of_directory_of(kHere)) << "in one boot a device keeps its number";
  const Mark before = with(&Mark::boot, "boot0");
  EXPECT_TRUE(before.is_of_directory_of(kHere));
  EXPECT_TRUE(with(&Mark::device, "8", before).is_of_directory_of(kHere)) << "with each boot it can get another one";
}

TEST(MarkTest, without_a_time_of_creation_counts_until_the_machine_is_restarted) {
  const Mark here = with(&Mark::created, "-");
  EXPECT_TRUE(here.is_of_directory_of(here));
  EXPECT_FALSE(with(&Mark::device, "8", here).is_of_directory_of(here));
  EXPECT_FALSE(with(&Mark::boot, "boot0", here).is_of_directory_of(here));
  const Mark nobody_tells = with(&Mark::boot, "-", here);
  EXPECT_FALSE(nobody_tells.is_of_directory_of(nobody_tells)) << "the machine may have been restarted";
}

TEST(MarkTest, one_with_parts_missing_is_of_no_directory) {
  EXPECT_FALSE(Mark::parse("aa boot1 128 7").is_of_directory_of(kHere));
  EXPECT_FALSE(Mark::parse("").is_of_directory_of(kHere));
  EXPECT_TRUE(Mark::parse(kHere.text()).is_of_directory_of(kHere));
}

}  // namespace
}  // namespace exclave::engine
