#include "agent/cut_gate.h"

#include <gtest/gtest.h>

#include "posix/world.h"
#include "sim/universe.h"

namespace exclave::agent {
namespace {

class CutGateTest : public ::testing::Test {
 protected:
  void report(std::uint64_t position) {
    EXPECT_TRUE(gate_.pass(pg::Lsn(position), [](pg::Lsn) { return Status(); }).ok());
  }
  // Whether a hold is taken now. Each cut has an id of its own.
  bool can_hold() {
    format::CutId id;
    id.mutable_view()[0] = static_cast<Byte>(++cuts_);
    const auto held = gate_.hold(id);
    if (held.ok()) {
      gate_.release(id);
      return true;
    }
    EXPECT_EQ(held.error().code(), Code::Precondition) << held.error().message();
    return false;
  }
  posix::World world_;
  CutGate gate_{world_.env().clock};
  int cuts_ = 0;
};

TEST_F(CutGateTest, a_hold_needs_a_connection_and_acknowledgements_by_vaults) {
  EXPECT_FALSE(can_hold());
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  report(100);
  EXPECT_FALSE(can_hold());
  gate_.set_trusted(true);
  EXPECT_TRUE(can_hold());
  gate_.disconnected();
  EXPECT_FALSE(can_hold());
}

TEST_F(CutGateTest, what_the_server_had_when_it_connected_must_be_acknowledged_first) {
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  gate_.set_trusted(true);
  report(99);
  EXPECT_FALSE(can_hold());
  report(100);
  EXPECT_TRUE(can_hold());
}

// Found by review: what commits left behind that waited for nobody was in a cut, and its causes were not.
TEST_F(CutGateTest, what_was_visible_before_commits_waited_again_must_be_acknowledged_first) {
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  gate_.set_trusted(true);
  report(150);
  gate_.set_trusted(false);
  gate_.unproven_below(pg::Lsn(300));  // the server waits again, and has this
  gate_.set_trusted(true);
  report(200);
  EXPECT_FALSE(can_hold());
  report(300);
  EXPECT_TRUE(can_hold());
}

TEST_F(CutGateTest, settings_that_were_loaded_a_moment_ago_settle_first) {
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  gate_.set_trusted(true);
  report(150);
  gate_.unproven_until(world_.env().clock.monotonic() + std::chrono::milliseconds(50));
  EXPECT_FALSE(can_hold());
  ASSERT_TRUE(world_.env().clock.sleep_until(world_.env().clock.monotonic() + std::chrono::milliseconds(60)).ok());
  EXPECT_TRUE(can_hold());
}

// Whoever may take cuts could otherwise hold every commit for ever, a quarter of a second at a time.
TEST(CutGateInTime, two_holds_are_a_second_apart_however_the_first_one_ended) {
  sim::Universe universe(1);
  env::Clock& clock = universe.machine("home").env().clock;
  CutGate gate(clock);
  gate.connected(pg::Timeline(1), pg::Lsn(100));
  gate.set_trusted(true);
  ASSERT_TRUE(gate.pass(pg::Lsn(100), [](pg::Lsn) { return Status(); }).ok());
  format::CutId id;
  for (const bool is_released : {true, false}) {
    ++id.mutable_view()[0];
    ASSERT_TRUE(gate.hold(id).ok());
    if (is_released) {
      EXPECT_EQ(gate.release(id), HoldEnd::Held);
    }
    const env::Instant held_at = clock.monotonic();
    ASSERT_TRUE(clock.sleep_until(held_at + (kHoldsApart - std::chrono::milliseconds(1))).ok());
    EXPECT_FALSE(gate.is_held());
    ++id.mutable_view()[0];
    EXPECT_EQ(gate.hold(id).error().code(), Code::Conflict);
    ASSERT_TRUE(clock.sleep_until(held_at + kHoldsApart).ok());
  }
}

// Found by review: a coordinator was believed whatever it said.
TEST_F(CutGateTest, only_a_cut_that_was_held_and_confirmed_here_is_admitted_at_its_position_and_once) {
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  gate_.set_trusted(true);
  gate_.saw_settings("loaded at noon");
  report(150);
  format::CutId id;
  const HeldPosition position{pg::Timeline(1), pg::Lsn(150)};
  EXPECT_EQ(gate_.confirm(id, "loaded at noon", true).error().code(), Code::Precondition) << "nobody held";
  ASSERT_TRUE(gate_.hold(id).ok());
  EXPECT_EQ(gate_.confirm(id, "loaded at noon", true).error().code(), Code::Precondition) << "not released";
  ASSERT_EQ(gate_.release(id), HoldEnd::Held);
  EXPECT_EQ(gate_.admit(id, position).error().code(), Code::Precondition) << "not confirmed";
  ASSERT_TRUE(gate_.confirm(id, "loaded at noon", true).ok());
  EXPECT_EQ(gate_.admit(id, {pg::Timeline(1), pg::Lsn(151)}).error().code(), Code::Precondition);
  EXPECT_EQ(gate_.admit(id, {pg::Timeline(2), pg::Lsn(150)}).error().code(), Code::Precondition);
  EXPECT_TRUE(gate_.admit(id, position).ok());
  EXPECT_EQ(gate_.admit(id, position).error().code(), Code::Precondition) << "once";
}

TEST_F(CutGateTest, a_cut_beside_somebody_who_could_release_commits_is_refused_for_good) {
  gate_.connected(pg::Timeline(1), pg::Lsn(100));
  gate_.set_trusted(true);
  gate_.saw_settings("loaded at noon");
  report(150);
  format::CutId id;
  ASSERT_TRUE(gate_.hold(id).ok());
  ASSERT_EQ(gate_.release(id), HoldEnd::Held);
  EXPECT_EQ(gate_.confirm(id, "loaded at noon", false).error().code(), Code::Precondition);
  EXPECT_EQ(gate_.confirm(id, "loaded at noon", true).error().code(), Code::Precondition) << "asked again";
  EXPECT_EQ(gate_.admit(id, {pg::Timeline(1), pg::Lsn(150)}).error().code(), Code::Precondition);
}

}  // namespace
}  // namespace exclave::agent
