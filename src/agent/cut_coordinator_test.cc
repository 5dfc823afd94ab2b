#include "agent/cut_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/log_terms.h"
#include "posix/world.h"

namespace exclave::agent {
namespace {

using ::testing::HasSubstr;

// A database without a server: what commits are acknowledged is what the test reports.
class Member final : public CutMember {
 public:
  Member(env::Clock& clock, std::string dataset) : gate_(clock), dataset_(std::move(dataset)) {
    gate_.connected(pg::Timeline(1), pg::Lsn(100));
    gate_.set_trusted(true);
    report(100);
  }
  std::uint64_t report(std::uint64_t position) {
    std::uint64_t reported = 0;
    EXPECT_TRUE(gate_
                    .pass(pg::Lsn(position),
                          [&](pg::Lsn allowed) {
                            reported = allowed.value();
                            return Status();
                          })
                    .ok());
    return reported;
  }
  const format::RegistryId& registry() const override { return registry_; }
  const std::string& dataset() const override { return dataset_; }
  Result<HeldPosition> hold(const format::CutId& cut) override {
    if (is_away) return Error(Code::Unavailable, "no answer");
    auto held = gate_.hold(cut);
    if (after_hold) after_hold();
    return held;
  }
  Result<HoldEnd> release(const format::CutId& cut) override { return gate_.release(cut); }
  Status confirm(const format::CutId& cut) override { return gate_.confirm(cut, settings, true); }
  Status keep(const format::Cut& cut) override {
    TRY(gate_.admit(cut.id, {pg::Timeline(1), own_position(cut)}));
    kept.push_back(cut);
    return {};
  }
  CutGate& gate() { return gate_; }

  bool is_away = false;
  std::function<void()> after_hold;
  std::string settings;  // loaded when
  std::vector<format::Cut> kept;

 private:
  pg::Lsn own_position(const format::Cut& cut) const {
    const auto own = std::ranges::find(cut.members, dataset_, &format::CutMember::dataset);
    return engine::lsn(own->position);
  }
  CutGate gate_;
  format::RegistryId registry_;
  std::string dataset_;
};

class Cuts : public ::testing::Test {
 protected:
  posix::World world_;
  env::Env env_ = world_.env();
  Member people_{env_.clock, "people"};
  Member land_{env_.clock, "land"};
};

TEST_F(Cuts, hold_the_position_reported_last_and_let_go_afterwards) {
  people_.report(150);
  people_.after_hold = [&] { EXPECT_EQ(people_.report(170), 150U) << "held"; };
  const auto taken = take_cut(env_, "group", {&people_, &land_});
  ASSERT_TRUE(taken.ok()) << taken.error().message();
  ASSERT_EQ(taken.value().cut.members.size(), 2U);
  EXPECT_EQ(taken.value().cut.members[0].position, format::LogPosition(150));
  EXPECT_EQ(taken.value().cut.members[1].position, format::LogPosition(100));
  EXPECT_EQ(people_.report(170), 170U);
  EXPECT_EQ(people_.kept.size(), 1U);
  EXPECT_EQ(land_.kept.size(), 1U);
}

// A cut in the seconds after synchronous_standby_names had lost the agent's name, even if it has it again.
TEST_F(Cuts, settings_that_were_loaded_meanwhile_void_the_cut) {
  land_.after_hold = [&] { land_.settings = "loaded again"; };
  const auto taken = take_cut(env_, "group", {&people_, &land_});
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message(), HasSubstr("land: the server loaded its settings meanwhile"));
  EXPECT_TRUE(people_.kept.empty()) << "a void cut is nowhere written";
}

TEST_F(Cuts, a_member_that_does_not_answer_voids_the_cut_and_holds_nobody_up) {
  land_.is_away = true;
  const auto taken = take_cut(env_, "group", {&people_, &land_});
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message(), HasSubstr("land: no answer"));
  EXPECT_EQ(people_.report(180), 180U);
  EXPECT_TRUE(people_.kept.empty());
}

TEST_F(Cuts, a_hold_that_expired_unnoticed_voids_the_cut) {
  land_.after_hold = [&] {
    EXPECT_TRUE(env_.clock.sleep_until(env_.clock.monotonic() + kLongestHold + std::chrono::milliseconds(20)).ok());
    EXPECT_EQ(land_.report(190), 190U) << "nobody waits longer for a cut";
  };
  const auto taken = take_cut(env_, "group", {&people_, &land_});
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message(), HasSubstr("let go before it was released"));
}

TEST_F(Cuts, who_reconnected_or_degraded_in_between_did_not_hold) {
  people_.after_hold = [&] {
    people_.gate().disconnected();
    people_.gate().connected(pg::Timeline(1), pg::Lsn(100));
    people_.gate().set_trusted(true);
    people_.report(200);
  };
  EXPECT_FALSE(take_cut(env_, "group", {&people_, &land_}).ok());
  land_.gate().disconnected();
  land_.gate().connected(pg::Timeline(1), pg::Lsn(500));
  land_.gate().set_trusted(true);
  land_.report(400);
  EXPECT_THAT(land_.hold(format::CutId()).error().message(), HasSubstr("order is unproven up to 0/1F4"));
  land_.gate().set_trusted(false);
  EXPECT_EQ(land_.hold(format::CutId()).error().code(), Code::Precondition);
}

}  // namespace
}  // namespace exclave::agent
