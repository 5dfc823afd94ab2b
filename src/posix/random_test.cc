#include "posix/random.h"

#include <gtest/gtest.h>

#include <set>

namespace exclave::posix {
namespace {

TEST(RandomTest, fills_every_byte_of_large_and_small_requests) {
  Random random;
  for (const std::size_t size : {1U, 7U, 256U, 257U, 100'000U}) {
    // A byte that stays zero eight times in a row was not filled (one chance in 2^64 each).
    Bytes seen(size);
    for (int round = 0; round < 8; ++round) {
      Bytes out(size);
      ASSERT_TRUE(random.fill(out).ok());
      for (std::size_t i = 0; i < size; ++i) seen[i] = static_cast<Byte>(seen[i] | out[i]);
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << size;
  }
}

TEST(RandomTest, never_repeats) {
  Random random;
  std::set<Bytes> drawn;
  for (int i = 0; i < 1'000; ++i) {
    Bytes out(16);
    ASSERT_TRUE(random.fill(out).ok());
    EXPECT_TRUE(drawn.insert(out).second);
  }
}

TEST(RandomTest, nothing_asked_is_fine) {
  Random random;
  EXPECT_TRUE(random.fill({}).ok());
}

}  // namespace
}  // namespace exclave::posix
