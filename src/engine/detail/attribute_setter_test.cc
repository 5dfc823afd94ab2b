#include "engine/detail/attribute_setter.h"

#include <gtest/gtest.h>

namespace exclave::engine {
namespace {

format::ListingEntry program_of(std::uint32_t user) {
  format::ListingEntry entry;
  entry.path = "program";
  entry.type = format::EntryType::Regular;
  entry.mode = 04755;
  entry.owner.user = user;
  return entry;
}

// A container that knows some users, and others not.
TEST(AttributeSetter, an_owner_that_is_refused_costs_its_own_files_their_owner_and_no_others) {
  RestoreFindings findings;
  AttributeSetter setter(findings, std::nullopt);
  constexpr std::uint32_t kUnknown = 70'000;
  int tries = 0;
  env::FileAttributes last;
  const auto set = [&](const env::FileAttributes& wanted) -> Status {
    ++tries;
    if (wanted.owner.has_value() && wanted.owner->first == kUnknown) return Error(Code::Denied, "no such user");
    last = wanted;
    return {};
  };
  for (int file = 0; file < 2; ++file) {
    ASSERT_TRUE(setter.apply("program", setter.attributes_for(program_of(kUnknown)), set).ok());
    EXPECT_FALSE(last.owner.has_value());
    EXPECT_EQ(last.mode, 0755U) << "it would serve the wrong owner";
  }
  EXPECT_EQ(tries, 3) << "it is learnt once";
  EXPECT_TRUE(setter.skipped_owner());
  ASSERT_TRUE(setter.apply("program", setter.attributes_for(program_of(1000)), set).ok());
  ASSERT_TRUE(last.owner.has_value());
  EXPECT_EQ(last.owner->first, 1000U);
  EXPECT_EQ(last.mode, 04755U);
  EXPECT_EQ(findings.problems().count, 0U);
}

}  // namespace
}  // namespace exclave::engine
