#include "wire/receipts.h"

#include <gtest/gtest.h>

#include "policy/testing/realm.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::wire {
namespace {

using conformance::failed_with;
using conformance::is_ok;
using policy::testing::machine_key;
using policy::testing::seeded_id;

class ReceiptsTest : public ::testing::Test {
 protected:
  format::Entry entry(std::uint64_t index, std::string_view chain) const {
    return {stream_, format::EntryIndex(index), {}, seeded_id<format::ChainHash>(chain), {}};
  }
  format::Receipt receipt(std::uint64_t index, std::string_view chain) const {
    format::Receipt receipt;
    receipt.vault = key_.public_key();
    receipt.realm = vault_.realm;
    receipt.stream = stream_;
    receipt.index = format::EntryIndex(index);
    receipt.chain = seeded_id<format::ChainHash>(chain);
    receipt.term = format::Term(1);
    return receipt;
  }
  Status check(const format::Receipt& receipt, const format::Entry& sent) {
    return memory_.check(vault_, format::SignedReceipt::sign(receipt, key_), sent);
  }

  const crypto::Ed25519SigningKey key_ = machine_key("lux receipt");
  const PinnedVault vault_{"lux", key_.public_key(), seeded_id<format::RealmId>("realm")};
  const format::StreamId stream_ = seeded_id<format::StreamId>("stream");
  ReceiptMemory memory_;
};

TEST_F(ReceiptsTest, a_receipt_for_the_entry_or_beyond_is_credible) {
  memory_.remember(entry(3, "c3"));
  memory_.remember(entry(4, "c4"));
  EXPECT_TRUE(is_ok(check(receipt(3, "c3"), entry(3, "c3"))));
  EXPECT_TRUE(is_ok(check(receipt(4, "c4"), entry(3, "c3"))));
  EXPECT_TRUE(is_ok(check(receipt(9, "unknown"), entry(3, "c3")))) << "what this client never sent, it cannot judge";
}

TEST_F(ReceiptsTest, a_receipt_that_does_not_reach_the_entry_is_corrupt) {
  EXPECT_TRUE(failed_with(check(receipt(2, "c2"), entry(3, "c3")), Code::Corrupt));
}

TEST_F(ReceiptsTest, a_receipt_with_another_chain_than_was_sent_is_corrupt) {
  memory_.remember(entry(3, "c3"));
  memory_.remember(entry(4, "c4"));
  EXPECT_TRUE(failed_with(check(receipt(3, "x"), entry(3, "c3")), Code::Corrupt));
  EXPECT_TRUE(failed_with(check(receipt(4, "x"), entry(3, "c3")), Code::Corrupt));
}

TEST_F(ReceiptsTest, a_receipt_by_another_key_realm_stream_or_with_a_broken_signature_is_corrupt) {
  const format::Receipt good = receipt(3, "c3");
  const auto other_key = machine_key("est receipt");
  format::Receipt by_other = good;
  by_other.vault = other_key.public_key();
  EXPECT_TRUE(
      failed_with(check_receipt(vault_, format::SignedReceipt::sign(by_other, other_key), stream_), Code::Corrupt));
  EXPECT_TRUE(failed_with(check_receipt(vault_, format::SignedReceipt::sign(good, other_key), stream_), Code::Corrupt));
  format::Receipt elsewhere = good;
  elsewhere.realm = seeded_id<format::RealmId>("another");
  EXPECT_TRUE(failed_with(check(elsewhere, entry(3, "c3")), Code::Corrupt));
  format::Receipt of_other_stream = good;
  of_other_stream.stream = seeded_id<format::StreamId>("another");
  EXPECT_TRUE(failed_with(check(of_other_stream, entry(3, "c3")), Code::Corrupt));
  auto changed = format::SignedReceipt::sign(good, key_);
  changed.receipt.index = format::EntryIndex(4);
  EXPECT_TRUE(failed_with(check_receipt(vault_, changed, stream_), Code::Corrupt));
}

TEST_F(ReceiptsTest, an_entry_that_was_refused_binds_nobody) {
  memory_.remember(entry(3, "refused"));
  memory_.forget(entry(3, "refused"));
  memory_.forget(entry(4, "never sent"));
  EXPECT_TRUE(is_ok(check(receipt(3, "c3"), entry(3, "c3"))));
  memory_.remember(entry(3, "c3"));
  memory_.remember(entry(3, "fork on its way"));
  EXPECT_TRUE(is_ok(check(receipt(3, "c3"), entry(3, "c3"))));
  EXPECT_TRUE(failed_with(check(receipt(3, "neither"), entry(3, "c3")), Code::Corrupt));
}

TEST_F(ReceiptsTest, memory_is_bounded_and_forgets_the_oldest) {
  for (std::uint64_t i = 0; i < 1'100; ++i) memory_.remember(entry(i, "c"));
  EXPECT_TRUE(is_ok(check(receipt(0, "x"), entry(0, "c")))) << "long forgotten";
  EXPECT_TRUE(failed_with(check(receipt(1'099, "x"), entry(0, "c")), Code::Corrupt));
}

}  // namespace
}  // namespace exclave::wire
