#include "engine/detail/mark_file.h"

#include <gtest/gtest.h>

#include "sim/universe.h"

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

// Whoever owns what is above it gives the directory's path to another one.
TEST(MarkFileTest, E_what_was_done_survives_where_it_was_done_whatever_has_the_directorys_path_by_then) {
  sim::Universe universe(1);
  sim::Machine& machine = universe.machine("site");
  machine.set_survival(sim::Survival::Nothing);
  CHECK(machine.env().files.make_directories("/above", 0755).ok());
  const auto turn = [&](const std::string& from, const std::string& to) {
    env::FileSystem& files = machine.env().files;
    const auto root = files.open_directory("/").take();
    CHECK(root->rename(from, to).ok());
    CHECK(files.make_directories("/" + from, 0755).ok());
    CHECK(root->sync_all().ok());
  };
  const auto lose_power = [&] {
    machine.crash();
    machine.wait();
    machine.restart();
  };
  {
    const MarkFile file = MarkFile::beside(machine.env().files, "/above/target").take();
    turn("above", "first");
    ASSERT_TRUE(file.write(kHere).ok());
  }
  lose_power();
  EXPECT_TRUE(machine.env().files.stat("/first/target.exclave-restore").ok());
  EXPECT_EQ(machine.env().files.list("/above").value(), std::vector<std::string>());
  {
    const MarkFile file = MarkFile::beside(machine.env().files, "/first/target").take();
    turn("first", "second");
    ASSERT_TRUE(file.remove().ok());
  }
  lose_power();
  EXPECT_EQ(machine.env().files.list("/second").value(), std::vector<std::string>());
}

}  // namespace
}  // namespace exclave::engine
