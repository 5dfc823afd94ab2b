#include "agent/ack_ledger.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;

constexpr pg::Lsn kStart(100);

env::Instant at(std::chrono::nanoseconds time) {
  return env::Instant{} + time;
}
env::Timestamp civil(std::int64_t seconds) {
  return env::Timestamp::from_seconds(seconds);
}
void append(AckLedger& ledger, std::uint64_t number, std::uint64_t end, std::chrono::nanoseconds time) {
  ledger.appended(format::FrameNumber(number), pg::Lsn(end), at(time));
}

TEST(ack_ledger, sync_tells_the_server_only_what_k_vaults_hold) {
  AckLedger ledger(RpoPolicy::Sync, 0s, kStart);
  EXPECT_EQ(ledger.flush(), kStart);
  append(ledger, 0, 150, 1s);
  append(ledger, 1, 170, 2s);
  ledger.spooled();
  EXPECT_FALSE(ledger.look(at(1h), civil(3600)));
  EXPECT_EQ(ledger.flush(), kStart);  // an hour without vaults, and still no acknowledgement
  ledger.durable(1, at(30s));
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));
  ledger.durable(2, at(30s));
  EXPECT_EQ(ledger.flush(), pg::Lsn(170));
  EXPECT_FALSE(ledger.has_outstanding());
}

TEST(ack_ledger, knows_how_long_frames_have_waited_in_the_last_minute) {
  AckLedger ledger(RpoPolicy::Sync, 0s, kStart);
  EXPECT_FALSE(ledger.waits().summary(at(1s)).has_value());
  for (std::uint64_t i = 0; i < 2000; ++i) {
    append(ledger, i, 200 + i, 1s);
    ledger.durable(i + 1, at(1s + (i == 1990 ? 7ms : i % 2 == 0 ? 1ms : 2ms)));
  }
  const auto lately = ledger.waits().summary(at(10s));
  ASSERT_TRUE(lately.has_value());
  EXPECT_EQ(lately->frames, 1024U);
  EXPECT_EQ(lately->median, 2ms);
  EXPECT_EQ(lately->slow, 2ms);
  EXPECT_EQ(lately->longest, 7ms);
  EXPECT_FALSE(ledger.waits().summary(at(2min)).has_value());
  append(ledger, 2000, 3000, 2min);
  ledger.durable(2001, at(2min + 3ms));
  EXPECT_EQ(ledger.waits().summary(at(2min + 1s))->slow, 3ms);
}

TEST(ack_ledger, async_tells_the_server_what_is_synced_in_the_spool_and_nothing_earlier) {
  AckLedger ledger(RpoPolicy::Async, 0s, kStart);
  append(ledger, 0, 150, 1s);
  EXPECT_TRUE(ledger.wants_spool());
  EXPECT_EQ(ledger.flush(), kStart);
  ledger.spooled();
  EXPECT_FALSE(ledger.wants_spool());
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));
}

TEST(ack_ledger, bounded_waits_its_budget_then_degrades_and_says_from_where_to_where) {
  AckLedger ledger(RpoPolicy::Bounded, 2s, kStart);
  append(ledger, 0, 150, 1s);
  ledger.durable(1, at(30s));
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));
  append(ledger, 1, 170, 10s);
  EXPECT_FALSE(ledger.look(at(12s), civil(12)));
  EXPECT_FALSE(ledger.wants_spool());
  EXPECT_TRUE(ledger.look(at(12s + 1ns), civil(12)));
  EXPECT_TRUE(ledger.wants_spool());
  ledger.spooled();
  EXPECT_EQ(ledger.flush(), pg::Lsn(170));
  append(ledger, 2, 190, 13s);
  ledger.spooled();
  EXPECT_EQ(ledger.flush(), pg::Lsn(190));  // no second budget while it is degraded
  EXPECT_FALSE(ledger.look(at(14s), civil(14)));
  ledger.durable(2, at(30s));
  EXPECT_FALSE(ledger.look(at(14s), civil(14))) << "what was acknowledged is not all abroad yet";
  ledger.durable(3, at(30s));
  EXPECT_TRUE(ledger.look(at(15s), civil(15)));
  EXPECT_FALSE(ledger.is_degraded());
  const auto exposure = ledger.take_exposure();
  ASSERT_TRUE(exposure.has_value());
  EXPECT_EQ(exposure->from, format::LogPosition(150));
  EXPECT_EQ(exposure->to, format::LogPosition(190));
  EXPECT_EQ(exposure->began_ns, civil(12).nanoseconds);
  EXPECT_EQ(exposure->ended_ns, civil(15).nanoseconds);
  EXPECT_FALSE(ledger.take_exposure().has_value());
}

TEST(ack_ledger, a_degradation_in_which_nothing_was_acknowledged_exposes_nothing) {
  AckLedger ledger(RpoPolicy::Bounded, 1s, kStart);
  append(ledger, 0, 150, 1s);
  EXPECT_TRUE(ledger.look(at(3s), civil(3)));
  EXPECT_EQ(ledger.flush(), kStart) << "the spool was not synced";
  EXPECT_FALSE(ledger.exposure(civil(4)).has_value());
  ledger.durable(1, at(5s));
  EXPECT_TRUE(ledger.look(at(5s), civil(5)));
  EXPECT_FALSE(ledger.take_exposure().has_value());
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));
}

TEST(ack_ledger, flush_never_falls_when_protection_comes_back) {
  AckLedger ledger(RpoPolicy::Bounded, 1s, kStart);
  append(ledger, 0, 150, 1s);
  EXPECT_TRUE(ledger.look(at(3s), civil(3)));
  ledger.spooled();
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));
  append(ledger, 1, 160, 4s);
  ledger.durable(1, at(30s));
  EXPECT_TRUE(ledger.look(at(4s), civil(4)));  // frame 1 is young
  EXPECT_EQ(ledger.flush(), pg::Lsn(150));     // and is waited for again
  ledger.durable(2, at(30s));
  EXPECT_EQ(ledger.flush(), pg::Lsn(160));
}

}  // namespace
}  // namespace exclave::agent
