// What needs no server; the rest is in tests/system/database_*_test.py, tests/crash and tests/oracle.
#include "agent/database_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::agent {
namespace {

// A stream of a server that is not there.
class DatabaseStreamTest : public ::testing::Test {
 protected:
  DatabaseStream& open(const std::string& directory) {
    DatabaseOptions options;
    options.dataset = "people";
    options.endpoint.conninfo = "host=/nowhere";
    options.endpoint.application_name = "exclave_people";
    stream_ = std::make_unique<DatabaseStream>(
        DatabaseStream::Place{env_, policy_, registry_, era_, writer_, {}, periods_, watch_, directory}, options,
        env_.network.make_waker().take());
    return *stream_;
  }

  posix::World world_;
  env::Env env_ = world_.env();

 private:
  const policy::Policy policy_;
  const policy::Registry registry_;
  const policy::Era era_;
  const crypto::Ed25519SigningKey writer_ = policy::testing::machine_key("writer");
  VaultClocks clocks_{env_, 1, {}};
  PeriodSource periods_{env_.files, era_, clocks_, ""};
  WriterWatch watch_{env_, writer_.public_key(), registry_.id, {}};
  std::unique_ptr<DatabaseStream> stream_;
};

// Found by the crash matrix: its state stayed "connecting", and nobody said why.
TEST_F(DatabaseStreamTest, a_stream_that_cannot_begin_says_that_it_has_stopped_and_why) {
  DatabaseStream& stream = open("/dev/null/people");
  EXPECT_FALSE(stream.run({}).ok());
  const DatabaseStatus status = stream.status();
  EXPECT_EQ(status.state, StreamState::Stopped);
  EXPECT_THAT(status.alarms, ::testing::ElementsAre(::testing::HasSubstr("/dev/null")));
}

// It was dropped, and the trouble with the server alone was told: nobody looked for what waited in the spool.
TEST_F(DatabaseStreamTest, a_position_that_cannot_be_read_is_told_while_the_server_does_not_answer) {
  const conformance::ScratchDirectory scratch("position");
  ASSERT_TRUE(
      env::create_file_durably(env_.files, scratch / "position", as_bytes("no position"), env::kPrivateFile).ok());
  DatabaseStream& stream = open(scratch.path());
  std::stop_source stop;
  const auto thread = env_.threads.start("stream", [&] { EXPECT_TRUE(stream.run(stop.get_token()).ok()); }).take();
  const auto deadline = env_.clock.monotonic() + std::chrono::seconds(30);
  while (stream.status().alarms.size() < 2 && env_.clock.monotonic() < deadline)
    ASSERT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + std::chrono::milliseconds(20)).ok());
  EXPECT_THAT(stream.status().alarms, ::testing::ElementsAre(::testing::HasSubstr("/position' holds no position"),
                                                             ::testing::HasSubstr("/nowhere")));
  stop.request_stop();
  thread->join();
}

}  // namespace
}  // namespace exclave::agent
