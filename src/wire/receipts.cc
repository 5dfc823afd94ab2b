#include "wire/receipts.h"

namespace exclave::wire {
namespace {

constexpr std::size_t kRemembered = 1024;

Error not_credible(const PinnedVault& vault, const std::string& why) {
  return {Code::Corrupt, "vault " + vault.name + " gave a receipt that " + why};
}

}  // namespace

Status check_receipt(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::StreamId& stream) {
  if (receipt.receipt.vault != vault.receipt_key) return not_credible(vault, "another key than its pinned one signed");
  if (receipt.receipt.realm != vault.realm) return not_credible(vault, "is of another realm");
  if (receipt.receipt.stream != stream) return not_credible(vault, "is for another stream");
  if (!receipt.check_signature().ok()) return not_credible(vault, "does not verify");
  return {};
}

void ReceiptMemory::remember(const format::Entry& entry) {
  const MutexLock lock(mutex_);
  entries_.push_back(entry);
  if (entries_.size() > kRemembered) entries_.pop_front();
}

Status ReceiptMemory::check(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::Entry& sent) {
  TRY(check_receipt(vault, receipt, sent.stream));
  const std::string index = std::to_string(receipt.receipt.index.value());
  if (receipt.receipt.index < sent.index) {
    return not_credible(vault, "ends at index " + index + ", before the entry it was given for");
  }
  const MutexLock lock(mutex_);
  for (const format::Entry& entry : entries_) {
    const bool is_it = entry.stream == receipt.receipt.stream && entry.index == receipt.receipt.index;
    if (is_it && entry.chain != receipt.receipt.chain) {
      return not_credible(vault, "names another chain at index " + index + " than the one that was sent");
    }
  }
  return {};
}

}  // namespace exclave::wire
