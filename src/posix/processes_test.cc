#include "posix/processes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <stop_token>
#include <string>
#include <thread>

#include "posix/world.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::posix {
namespace {

using conformance::failed_with;
using conformance::must;

class ProcessesTest : public ::testing::Test {
 protected:
  std::unique_ptr<env::RunningCommand> start(const std::vector<std::string>& arguments) {
    return must(world_.env().processes.start(arguments));
  }
  static std::string output_of(env::RunningCommand& command) {
    std::string text;
    Bytes buffer(4096);
    while (true) {
      const std::size_t n = must(command.read_output(buffer, {}));
      if (n == 0) return text;
      text += as_text(ByteView(buffer).first(n));
    }
  }

  World world_;
};

TEST_F(ProcessesTest, output_and_exit_status_are_given) {
  auto command = start({"sh", "-c", "printf 'one\ntwo'; exit 7"});
  EXPECT_EQ(output_of(*command), "one\ntwo");
  EXPECT_EQ(must(command->wait()), 7);
  EXPECT_EQ(must(command->wait()), 7);
}

TEST_F(ProcessesTest, arguments_are_not_seen_by_a_shell) {
  auto command = start({"printf", "%s|", "$HOME", "a b", "`id`", "", "\xff"});
  EXPECT_EQ(output_of(*command), "$HOME|a b|`id`||\xff|");
  EXPECT_EQ(must(command->wait()), 0);
}

TEST_F(ProcessesTest, large_output_arrives_whole) {
  auto command = start({"head", "-c", "3000000", "/dev/zero"});
  EXPECT_EQ(output_of(*command), std::string(3'000'000, '\0'));
  EXPECT_EQ(must(command->wait()), 0);
}

TEST_F(ProcessesTest, death_by_signal_is_128_plus_its_number) {
  auto command = start({"sh", "-c", "kill -TERM $$"});
  EXPECT_EQ(output_of(*command), "");
  EXPECT_EQ(must(command->wait()), 128 + SIGTERM);
}

TEST_F(ProcessesTest, dropping_a_command_kills_it) {
  const env::Instant begin = world_.env().clock.monotonic();
  start({"sleep", "1000"});
  EXPECT_LT(world_.env().clock.monotonic() - begin, std::chrono::seconds(60));
}

TEST_F(ProcessesTest, a_silent_command_is_given_up_when_told_to_stop) {
  auto command = start({"sleep", "1000"});
  std::stop_source stop;
  std::thread teller([&] { stop.request_stop(); });
  Bytes buffer(16);
  EXPECT_TRUE(failed_with(command->read_output(buffer, stop.get_token()), Code::Cancelled));
  teller.join();
  EXPECT_TRUE(failed_with(command->read_output(buffer, stop.get_token()), Code::Cancelled)) << "asked once more";
}

TEST_F(ProcessesTest, what_cannot_start_says_why) {
  env::Processes& processes = world_.env().processes;
  EXPECT_TRUE(failed_with(processes.start({"/proc/no-such-command"}), Code::NotFound));
  EXPECT_TRUE(failed_with(processes.start({"/proc/version"}), Code::Denied));
  EXPECT_TRUE(failed_with(processes.start({}), Code::InvalidInput));
  EXPECT_TRUE(failed_with(processes.start({""}), Code::InvalidInput));
  EXPECT_TRUE(failed_with(processes.start({"echo", std::string("a\0b", 3)}), Code::InvalidInput));
}

TEST_F(ProcessesTest, nothing_that_is_open_here_is_open_in_the_command) {
  env::Env env = world_.env();
  const std::string root = ::testing::TempDir();
  auto draft = must(env.files.draft(root, 0600));
  auto directory = must(env.files.open_directory(root));
  auto file = must(env.files.open_file("/proc/version"));
  auto listener = must(env.network.listen("127.0.0.1:0"));
  auto client = must(env.network.connect(listener->address(), env.clock.monotonic() + std::chrono::seconds(60)));
  auto server = must(listener->accept());
  auto other = start({"cat"});  // its pipe
  auto command = start({"sh", "-c", "exec ls /proc/self/fd"});
  const std::string open = output_of(*command);
  EXPECT_EQ(must(command->wait()), 0);
  // ls itself opens the directory it lists, at the lowest free number.
  EXPECT_EQ(open, "0\n1\n2\n3\n");
}

TEST_F(ProcessesTest, command_starts_with_default_signals) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);  // as servers like to have it, and filters must not
  sigset_t terminate;
  ::sigemptyset(&terminate);
  ::sigaddset(&terminate, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &terminate, nullptr);
  auto command = start({"cat", "/proc/self/status"});
  ::pthread_sigmask(SIG_UNBLOCK, &terminate, nullptr);
  ::signal(SIGPIPE, before);
  const std::string status = output_of(*command);
  EXPECT_THAT(status, ::testing::HasSubstr("SigBlk:\t0000000000000000\n"));
  // Signals 32 and 33 are the C library's own.
  EXPECT_THAT(status, ::testing::ContainsRegex("SigIgn:\t[0-9a-f]*[08]0000000\n"));
}

}  // namespace
}  // namespace exclave::posix
