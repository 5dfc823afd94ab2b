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

// The ledger is the process's, so what switches it on runs in a process of its own (EXPECT_EXIT and EXPECT_DEATH fork).

TEST(NonceLedger, records_nothing_unless_enabled) {
  record_nonce(kKey, kNonce);
  record_nonce(kKey, kNonce);
  EXPECT_EQ(recorded_nonces(), 0U);
}

TEST(NonceLedger, counts_distinct_pairs_once_enabled) {
  EXPECT_EXIT(
      {
        enable_nonce_ledger();
        record_nonce(kKey, kNonce);
        record_nonce(kKey, kOtherNonce);
        record_nonce(kOtherKey, kNonce);
        std::exit(static_cast<int>(recorded_nonces()));
      },
      ::testing::ExitedWithCode(3), "");
}

TEST(NonceLedger, aborts_on_a_repeated_pair) {
  EXPECT_DEATH(
      {
        enable_nonce_ledger();
        record_nonce(kKey, kNonce);
        record_nonce(kOtherKey, kNonce);
        record_nonce(kKey, kNonce);
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
