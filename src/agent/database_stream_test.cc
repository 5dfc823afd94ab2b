// What needs no server; the rest is in tests/system/database_*_test.py, tests/crash and tests/oracle.
#include "agent/database_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "posix/world.h"

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

}  // namespace
}  // namespace exclave::agent
