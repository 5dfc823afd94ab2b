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

}  // namespace
}  // namespace exclave::store
