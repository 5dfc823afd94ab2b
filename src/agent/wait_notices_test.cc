#include "agent/wait_notices.h"

#include <gtest/gtest.h>

namespace exclave::agent {
namespace {

using namespace std::chrono_literals;
using Kind = WaitNotices::Notice::Kind;

env::Instant moment(std::chrono::nanoseconds time) {
  return env::Instant{} + time;
}

TEST(wait_notices, a_short_wait_is_not_told_and_neither_is_its_end) {
  WaitNotices notices;
  for (const auto now : {1s, 2s, 5s}) EXPECT_FALSE(notices.look(moment(now), moment(1s)).has_value());
  EXPECT_FALSE(notices.look(moment(6s - 1ns), moment(1s)).has_value());
  EXPECT_FALSE(notices.look(moment(7s), std::nullopt).has_value());
}

TEST(wait_notices, a_long_wait_is_told_once_then_each_minute_and_once_when_it_is_over) {
  WaitNotices notices;
  std::vector<std::pair<Kind, std::chrono::nanoseconds>> told;
  const auto look = [&](std::chrono::nanoseconds now, std::optional<env::Instant> oldest) {
    if (const auto notice = notices.look(moment(now), oldest)) told.emplace_back(notice->kind, notice->lasted);
  };
  for (std::chrono::nanoseconds now = 0s; now < 130s; now += 20ms) look(now, moment(0s));
  // What gathered behind it goes on bit by bit.
  look(131s, moment(60s));
  look(132s, moment(120s));
  for (std::chrono::nanoseconds now = 133s; now < 200s; now += 20ms) look(now, moment(now - 1s));
  const std::vector<std::pair<Kind, std::chrono::nanoseconds>> wanted = {
      {Kind::Waits, 5s}, {Kind::Waits, 65s}, {Kind::Waits, 125s}, {Kind::Over, 133s}};
  EXPECT_EQ(told, wanted);
}

TEST(wait_notices, words_name_each_vault_that_is_waited_for_and_why) {
  spread::JournalProgress journal;
  journal.durable = 7;
  journal.vaults.resize(3);
  journal.vaults[0].vault = "lux";
  journal.vaults[0].frames = 7;
  journal.vaults[0].failure = Error(Code::Unavailable, "vault lux: connection refused");
  journal.vaults[1].vault = "oslo";
  journal.vaults[1].frames = 9;
  journal.vaults[2].vault = "rome";
  EXPECT_EQ(in_words({Kind::Waits, 65s}, journal, 2),
            "commits have waited for 65.0 s: 1 of 3 vaults have confirmed them, 2 are needed (lux: connection "
            "refused; rome: is slow)");
  EXPECT_EQ(in_words({Kind::Over, 70s}, journal, 2), "commits go on; they had waited for 70.0 s");
}

}  // namespace
}  // namespace exclave::agent
