// What needs no server; the rest is in tests/system/database_*_test.py, tests/crash and tests/oracle.
#include "agent/database_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::agent {
namespace {

// Found by the crash matrix: its state stayed "connecting", and nobody said why.
TEST(DatabaseStream, a_stream_that_cannot_begin_says_that_it_has_stopped_and_why) {
  posix::World world;
  env::Env env = world.env();
  const policy::Policy policy;
  const policy::Registry registry;
  const policy::Era era;
  const crypto::Ed25519SigningKey writer = policy::testing::machine_key("writer");
  VaultClocks clocks(env, 1, {});
  PeriodSource periods(env.files, era, clocks, "");
  DatabaseOptions options;
  options.dataset = "people";
  DatabaseStream stream({env, policy, registry, era, writer, {}, periods, "/dev/null/people"}, options,
                        env.network.make_waker().take());
  EXPECT_FALSE(stream.run({}).ok());
  const DatabaseStatus status = stream.status();
  EXPECT_EQ(status.state, StreamState::Stopped);
  EXPECT_THAT(status.alarms, ::testing::ElementsAre(::testing::HasSubstr("/dev/null")));
}

// It was dropped, and the trouble with the server alone was told: nobody looked for what waited in the spool.
TEST(DatabaseStream, a_position_that_cannot_be_read_is_told_while_the_server_does_not_answer) {
  posix::World world;
  env::Env env = world.env();
  const conformance::ScratchDirectory scratch("position");
  ASSERT_TRUE(
      env::create_file_durably(env.files, scratch / "position", as_bytes("no position"), env::kPrivateFile).ok());
  const policy::Policy policy;
  const policy::Registry registry;
  const policy::Era era;
  const crypto::Ed25519SigningKey writer = policy::testing::machine_key("writer");
  VaultClocks clocks(env, 1, {});
  PeriodSource periods(env.files, era, clocks, "");
  DatabaseOptions options;
  options.dataset = "people";
  options.endpoint.conninfo = "host=/nowhere";
  options.endpoint.application_name = "exclave_people";
  DatabaseStream stream({env, policy, registry, era, writer, {}, periods, scratch.path()}, options,
                        env.network.make_waker().take());
  std::stop_source stop;
  const auto thread = env.threads.start("stream", [&] { EXPECT_TRUE(stream.run(stop.get_token()).ok()); }).take();
  const auto deadline = env.clock.monotonic() + std::chrono::seconds(30);
  while (stream.status().alarms.size() < 2 && env.clock.monotonic() < deadline)
    ASSERT_TRUE(env.clock.sleep_until(env.clock.monotonic() + std::chrono::milliseconds(20)).ok());
  EXPECT_THAT(stream.status().alarms, ::testing::ElementsAre(::testing::HasSubstr("/position' holds no position"),
                                                             ::testing::HasSubstr("/nowhere")));
  stop.request_stop();
  thread->join();
}

}  // namespace
}  // namespace exclave::agent
