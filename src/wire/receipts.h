// Receipts as a client checks them: a vault's word is taken only if its pinned key signed it and it fits what was sent.
// Hides: how much of what was sent is remembered.
//
// I1  Accepted receipts are by the pinned key, of this realm, for the stream that was asked about.
// I2  A receipt that names the index of an entry that was sent names such an entry's chain too.
// Units/limits: the last 1,024 entries are remembered, but for those that were refused.
// Threads: check_receipt is pure; a ReceiptMemory from any thread.
// Errors: Corrupt, naming the vault: what it says is not to be relied upon.
#pragma once

#include <deque>
#include <string>

#include "base/mutex.h"
#include "format/mark.h"
#include "format/stream.h"

namespace exclave::wire {

// What the policy says about the vault, as far as receipts go.
struct PinnedVault {
  std::string name;
  crypto::Ed25519PublicKey receipt_key;
  format::RealmId realm;
};

// I1.
Status check_receipt(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::StreamId& stream);

// I1, for the mark that was sent.
Status check_mark_receipt(const PinnedVault& vault, const format::SignedMarkReceipt& receipt, const format::Mark& sent);

class ReceiptMemory {
 public:
  // Before an entry is sent.
  void remember(const format::Entry& entry);
  // After it was refused for good: the vault does not hold it.
  void forget(const format::Entry& entry);
  // I1 and I2, and that the receipt reaches the entry that it was given for.
  Status check(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::Entry& sent);

 private:
  Mutex mutex_;
  std::deque<format::Entry> entries_ GUARDED_BY(mutex_);
};

}  // namespace exclave::wire
