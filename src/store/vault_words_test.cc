#include "store/vault_words.h"

#include <gtest/gtest.h>

namespace exclave::store {
namespace {

Error unavailable(const char* message) {
  return {Code::Unavailable, message};
}

TEST(vault_words, name_a_vault_once_whoever_named_it_before) {
  EXPECT_EQ(of_vault("lux", unavailable("connection refused")).message(), "vault lux: connection refused");
  EXPECT_EQ(of_vault("lux", unavailable("vault lux: connection refused")).message(), "vault lux: connection refused");
  EXPECT_EQ(of_vault("lux", unavailable("vault lux gave none")).message(), "vault lux gave none");
  EXPECT_EQ(of_vault("lux", unavailable("vault luxor: lost")).message(), "vault lux: vault luxor: lost");
  EXPECT_EQ(in_list("lux", unavailable("connection refused")), "lux: connection refused");
  EXPECT_EQ(in_list("lux", unavailable("vault lux: connection refused")), "lux: connection refused");
  EXPECT_EQ(in_list("lux", unavailable("vault lux gave none")), "lux: gave none");
  EXPECT_EQ(in_list("lux", unavailable("vault luxor: lost")), "lux: vault luxor: lost");
}

TEST(vault_words, too_few_vaults_are_counted_and_each_says_why) {
  TooFewVaults too_few;
  too_few.add("lux", unavailable("vault lux: connection refused"));
  too_few.add("nyc", {Code::Denied, "is full"});
  const Error error = too_few.error(1, 3, 2, "accept objects", "interrupted while objects were sent");
  EXPECT_EQ(error.message(), "only 1 of 3 vaults accept objects, 2 are needed (lux: connection refused; nyc: is full)");
  EXPECT_EQ(error.code(), Code::Denied);
}

TEST(vault_words, who_was_told_to_stop_does_not_blame_the_vaults) {
  TooFewVaults too_few;
  too_few.add("lux", {Code::Cancelled, "told to stop"});
  too_few.add("nyc", unavailable("connection refused"));
  const Error error = too_few.error(1, 3, 2, "accept objects", "interrupted while objects were sent");
  EXPECT_EQ(error.message(), "interrupted while objects were sent");
  EXPECT_EQ(error.code(), Code::Cancelled);
}

}  // namespace
}  // namespace exclave::store
