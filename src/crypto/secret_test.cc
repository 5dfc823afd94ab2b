#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <new>
#include <type_traits>

namespace exclave::crypto {
namespace {

Bytes some_bytes(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<Byte>(i + 1);
  return bytes;
}

static_assert(!std::is_copy_constructible_v<Secret<32>> && !std::is_copy_assignable_v<Secret<32>>);
static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);
static_assert(!std::equality_comparable<Secret<32>> && !std::equality_comparable<SecretBytes>);

TEST(Secret, moved_from_secret_holds_zeros) {
  auto source = Secret<32>::from_view(some_bytes(32));
  const Secret<32> target = std::move(source);
  EXPECT_TRUE(is_all_zero(source.view()));  // NOLINT(bugprone-use-after-move): this is what is tested
  EXPECT_TRUE(equal(target.view(), some_bytes(32)));
}

TEST(Secret, assignment_moves_and_zeroes_the_source) {
  auto source = Secret<16>::from_view(some_bytes(16));
  Secret<16> target;
  target = std::move(source);
  EXPECT_TRUE(is_all_zero(source.view()));  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(equal(target.view(), some_bytes(16)));
}

TEST(Secret, assignment_to_itself_keeps_the_value) {
  auto secret = Secret<16>::from_view(some_bytes(16));
  Secret<16>& same = secret;
  secret = std::move(same);
  EXPECT_TRUE(equal(secret.view(), some_bytes(16)));
}

TEST(Secret, destroyed_secret_leaves_zeros_in_memory) {
  alignas(Secret<32>) Byte memory[sizeof(Secret<32>)];
  auto* secret = new (memory) Secret<32>(Secret<32>::from_view(some_bytes(32)));
  secret->~Secret<32>();
  const volatile Byte* after = memory;
  for (std::size_t i = 0; i < sizeof memory; ++i) EXPECT_EQ(after[i], 0) << i;
}

TEST(Secret, clone_is_equal_and_independent) {
  auto original = Secret<8>::from_view(some_bytes(8));
  Secret<8> copy = original.clone();
  wipe(original.mutable_view());
  EXPECT_TRUE(equal(copy.view(), some_bytes(8)));
}

TEST(SecretBytes, moved_from_secret_is_empty) {
  SecretBytes source(some_bytes(100));
  SecretBytes target(std::move(source));
  EXPECT_EQ(source.size(), 0U);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(equal(target.view(), some_bytes(100)));
  SecretBytes third(some_bytes(3));
  third = std::move(target);
  EXPECT_EQ(target.size(), 0U);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(equal(third.view(), some_bytes(100)));
}

TEST(Secret, wipe_zeroes_exactly_the_given_bytes) {
  Bytes bytes = some_bytes(10);
  wipe(MutableByteView(bytes).subspan(2, 5));
  const Bytes expected = {1, 2, 0, 0, 0, 0, 0, 8, 9, 10};
  EXPECT_EQ(bytes, expected);
  wipe({});
}

TEST(Secret, constant_time_comparison_agrees_with_plain_comparison) {
  const Bytes base = some_bytes(33);
  EXPECT_TRUE(equal_in_constant_time(base, base));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
  EXPECT_FALSE(equal_in_constant_time(base, ByteView(base).first(32)));
  for (std::size_t i = 0; i < base.size() * 8; ++i) {
    Bytes other = base;
    other[i / 8] ^= static_cast<Byte>(1U << (i % 8));
    EXPECT_FALSE(equal_in_constant_time(base, other)) << i;
  }
}

}  // namespace
}  // namespace exclave::crypto
