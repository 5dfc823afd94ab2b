#include <gtest/gtest.h>

#include "engine/detail/patience.h"

namespace exclave::engine {
namespace {

using namespace std::chrono_literals;
using detail::Patience;

class SetClock final : public env::Clock {
 public:
  env::Timestamp now() override { return {}; }
  env::Instant monotonic() override { return time; }
  Status sleep_until(env::Instant until) override {
    time = until;
    return {};
  }
  env::Instant time{};
};

TEST(Patience, everybody_is_waited_for_until_enough_have_answered) {
  SetClock clock;
  Patience patience(clock, 2);
  clock.time = clock.time + 24h;
  EXPECT_TRUE(patience.check().ok());
  patience.one_has_answered();
  clock.time = clock.time + 24h;
  EXPECT_TRUE(patience.check().ok());
  patience.one_has_answered();
  EXPECT_TRUE(patience.check().ok()) << "a day more is nothing then";
}

TEST(Patience, who_takes_many_times_as_long_as_the_others_is_not_waited_for) {
  SetClock clock;
  Patience quick(clock, 1);
  Patience slow(clock, 1);
  clock.time = clock.time + 1s;
  quick.one_has_answered();
  clock.time = clock.time + 58s;
  EXPECT_TRUE(quick.check().ok());
  slow.one_has_answered();  // after 59 seconds
  clock.time = clock.time + 2s;
  EXPECT_EQ(quick.check().error().code(), Code::Unavailable);
  clock.time = clock.time + 59s * 18;
  EXPECT_TRUE(slow.check().ok());
  clock.time = clock.time + 59s;
  EXPECT_FALSE(slow.check().ok());
}

}  // namespace
}  // namespace exclave::engine
