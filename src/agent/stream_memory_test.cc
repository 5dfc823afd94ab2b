#include "agent/stream_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::agent {
namespace {

using ::testing::HasSubstr;

class StreamMemoryTest : public ::testing::Test {
 protected:
  StreamMemory memory() { return {world_.env().files, directory_.path(), "people"}; }
  void put(const std::string& file, const std::string& text) { std::ofstream(directory_ / file) << text; }
  posix::World world_;
  conformance::ScratchDirectory directory_{"memory"};
};

TEST_F(StreamMemoryTest, the_first_system_is_the_only_one) {
  ASSERT_TRUE(memory().check_system(pg::SystemIdentifier(7)).ok());
  EXPECT_TRUE(memory().check_system(pg::SystemIdentifier(7)).ok());
  const Status other = memory().check_system(pg::SystemIdentifier(8));
  EXPECT_EQ(other.error().code(), Code::Precondition);
  EXPECT_THAT(other.error().message(), HasSubstr("dataset people is of 7"));
}

TEST_F(StreamMemoryTest, who_only_reads_a_server_is_told_of_another_one_and_remembers_none) {
  EXPECT_TRUE(memory().check_known_system(pg::SystemIdentifier(8)).ok()) << "none is known";
  ASSERT_TRUE(memory().check_system(pg::SystemIdentifier(7)).ok()) << "8 was not remembered";
  EXPECT_TRUE(memory().check_known_system(pg::SystemIdentifier(7)).ok());
  EXPECT_EQ(memory().check_known_system(pg::SystemIdentifier(8)).error().code(), Code::Precondition);
}

TEST_F(StreamMemoryTest, a_server_that_replaces_another_begins_without_its_position) {
  ASSERT_TRUE(memory().check_system(pg::SystemIdentifier(7)).ok());
  ASSERT_TRUE(memory().keep({{pg::Timeline(1), {}}, pg::Lsn(0x700), {}, std::nullopt, std::nullopt}).ok());
  ASSERT_TRUE(memory().check_system(pg::SystemIdentifier(7)).ok());
  EXPECT_TRUE(memory().position().take().has_value());
  std::filesystem::remove(directory_ / "system");  // as the hint says
  ASSERT_TRUE(memory().check_system(pg::SystemIdentifier(8)).ok());
  EXPECT_FALSE(memory().position().take().has_value());
}

TEST_F(StreamMemoryTest, a_position_comes_back_as_it_was_kept) {
  EXPECT_FALSE(memory().position().take().has_value());
  StreamPosition position{{pg::Timeline(4), {{pg::Timeline(1), pg::Lsn(0x300)}, {pg::Timeline(3), pg::Lsn(0x500)}}},
                          pg::Lsn(0x1'0000'0700),
                          pg::Lsn(0x1'0000'0650),
                          std::nullopt,
                          std::nullopt};
  ASSERT_TRUE(memory().keep(position).ok());
  EXPECT_EQ(memory().position().take(), position);
  position.exposed = Exposure{pg::Lsn(0x600), pg::Lsn(0x1'0000'0700), env::Timestamp::from_seconds(1'700'000'000)};
  ASSERT_TRUE(memory().keep(position).ok());
  EXPECT_EQ(memory().position().take(), position);
  position.exposed->journals = {{1'700'000'000'000'000'000, 12}, {1'700'000'000'000'000'001, 0}};
  ASSERT_TRUE(memory().keep(position).ok());
  EXPECT_EQ(memory().position().take(), position);
  position.tail = LogStretch{pg::Lsn(0x1'0000'0600), pg::Lsn(0x1'0000'0650), crypto::sha256(as_bytes("log"))};
  ASSERT_TRUE(memory().keep(position).ok());
  EXPECT_EQ(memory().position().take(), position);
  ASSERT_TRUE(memory().forget_position().ok());
  ASSERT_TRUE(memory().forget_position().ok()) << "twice";
  EXPECT_FALSE(memory().position().take().has_value());
}

TEST_F(StreamMemoryTest, what_is_no_position_is_named_with_its_file) {
  for (const char* bad : {"", "1 0/700", "exclave/stream-position/v1\nacknowledged: 0/700\n",
                          "exclave/stream-position/v1\nacknowledged: 0/700\ncommit: 0/0\ntimeline: 2\nswitch: 1\n"}) {
    put("position", bad);
    const auto read = memory().position();
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_EQ(read.error().code(), Code::Corrupt);
    EXPECT_THAT(read.error().message(), HasSubstr("position' holds no position"));
  }
}

TEST_F(StreamMemoryTest, journals_begin_in_order_whatever_the_clock_says) {
  const auto start = [&](std::int64_t now) { return memory().next_journal_start(env::Timestamp{now}).take(); };
  EXPECT_EQ(start(1000), 1000U);
  EXPECT_EQ(start(9000), 9000U) << "a clock that is ahead";
  EXPECT_EQ(start(2000), 9001U);
  EXPECT_EQ(start(2001), 9002U);
  EXPECT_EQ(start(-5), 9003U);
  put("journal", "tomorrow");
  EXPECT_EQ(memory().next_journal_start(env::Timestamp{1}).error().code(), Code::Corrupt);
}

}  // namespace
}  // namespace exclave::agent
