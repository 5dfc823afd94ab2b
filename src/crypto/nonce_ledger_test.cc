#include "crypto/nonce_ledger.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "crypto/aead.h"

namespace exclave::crypto {
namespace {

const Bytes kKey(32, 1);
const Bytes kOtherKey(32, 2);
const Bytes kNonce(12, 3);
const Bytes kOtherNonce(12, 4);
const Bytes kTag(16, 5);
const Bytes kOtherTag(16, 6);

// The ledger is the process's, so what switches it on runs in a process of its own (EXPECT_EXIT and EXPECT_DEATH fork).

TEST(NonceLedger, records_nothing_unless_enabled) {
  record_nonce(kKey, kNonce, kTag);
  record_nonce(kKey, kNonce, kOtherTag);
  EXPECT_EQ(recorded_nonces(), 0U);
}

TEST(NonceLedger, counts_distinct_pairs_once_enabled) {
  EXPECT_EXIT(
      {
        enable_nonce_ledger();
        record_nonce(kKey, kNonce, kTag);
        record_nonce(kKey, kOtherNonce, kTag);
        record_nonce(kOtherKey, kNonce, kTag);
        std::exit(static_cast<int>(recorded_nonces()));
      },
      ::testing::ExitedWithCode(3), "");
}

TEST(NonceLedger, aborts_on_a_repeated_pair) {
  EXPECT_DEATH(
      {
        enable_nonce_ledger();
        record_nonce(kKey, kNonce, kTag);
        record_nonce(kOtherKey, kNonce, kTag);
        record_nonce(kKey, kNonce, kOtherTag);
      },
      "sealed a message before");
}

TEST(NonceLedger, sees_a_repeat_across_two_ciphers_of_one_key) {
  EXPECT_DEATH(
      {
        enable_nonce_ledger();
        Bytes text(10);
        Bytes tag(kTagBytes);
        Aes256Gcm(kKey).seal_in_place(Nonce{}, {}, text, tag);
        Aes256Gcm(kKey).seal_in_place(Nonce{}, {}, text, tag);
      },
      "sealed a message before");
}

TEST(NonceLedger, lets_the_same_message_be_sealed_again_and_no_other) {
  const auto seal = [](Byte first, Byte associated) {
    Bytes text(10);
    text[0] = first;
    Bytes tag(kTagBytes);
    Aes256Gcm(kKey).seal_in_place(Nonce{}, Bytes{associated}, text, tag);
  };
  EXPECT_EXIT(
      {
        enable_nonce_ledger();
        seal(1, 1);
        seal(1, 1);
        std::exit(recorded_nonces() == 1 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_DEATH(
      {
        enable_nonce_ledger();
        seal(1, 1);
        seal(2, 1);
      },
      "sealed a message before");
  EXPECT_DEATH(
      {
        enable_nonce_ledger();
        seal(1, 1);
        seal(1, 2);
      },
      "sealed a message before");
}

TEST(NonceLedger, lets_the_same_message_be_opened_twice) {
  EXPECT_EXIT(
      {
        enable_nonce_ledger();
        Aes256Gcm aead(kKey);
        Bytes text(10);
        Bytes tag(kTagBytes);
        aead.seal_in_place(Nonce{}, {}, text, tag);
        Bytes out(10);
        const bool twice = aead.open(Nonce{}, {}, text, tag, out).ok() && aead.open(Nonce{}, {}, text, tag, out).ok();
        std::exit(twice && recorded_nonces() == 1 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace exclave::crypto
