#include "posix/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "posix/descriptor.h"

namespace exclave::posix {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read_end_ = Descriptor(ends[0]);
    write_end_ = Descriptor(ends[1]);
  }
  std::string written() {
    std::string text(100'000, '\0');
    const auto n = ::read(read_end_.get(), text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  Log log_from(env::LogLevel level) { return Log(level, write_end_.get()); }

  Descriptor read_end_;
  Descriptor write_end_;
};

TEST_F(LogTest, line_has_time_level_and_message) {
  log_from(env::LogLevel::Info).write(env::LogLevel::Warning, "vault oslo is away");
  EXPECT_THAT(written(), ::testing::MatchesRegex("20..-..-..T..:..:..Z warning: vault oslo is away\n"));
}

TEST_F(LogTest, lines_below_the_level_are_not_written) {
  Log log = log_from(env::LogLevel::Warning);
  log.write(env::LogLevel::Debug, "a");
  log.write(env::LogLevel::Info, "b");
  EXPECT_EQ(written(), "");
  log.write(env::LogLevel::Error, "c");
  EXPECT_THAT(written(), ::testing::EndsWith(" error: c\n"));
}

TEST_F(LogTest, message_cannot_forge_a_line_or_drive_a_terminal) {
  log_from(env::LogLevel::Info).write(env::LogLevel::Info, "a\nerror: forged\x1b[2J\r\xff");
  EXPECT_THAT(written(), ::testing::EndsWith(" info: a\\x0aerror: forged\\x1b[2J\\x0d\\xff\n"));
}

TEST_F(LogTest, very_long_message_is_cut_and_stays_one_line) {
  log_from(env::LogLevel::Info).write(env::LogLevel::Info, std::string(50'000, '\n'));
  const std::string line = written();
  EXPECT_LE(line.size(), 8U * 1024);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, ::testing::EndsWith("...\n"));
}

}  // namespace
}  // namespace exclave::posix
