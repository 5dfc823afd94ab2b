#include "wire/receipts.h"

#include <algorithm>
#include <iterator>

namespace exclave::wire {
namespace {

constexpr std::size_t kRemembered = 1024;

bool is_same_place(const format::Entry& a, const format::Entry& b) {
  return a.stream == b.stream && a.index == b.index;
}

Error not_credible(const PinnedVault& vault, const std::string& why) {
  return {Code::Corrupt, "vault " + vault.name + " gave a receipt that " + why};
}

// `is_asked_for`: it is about what was asked; otherwise it is `about` something else.
template <typename Signed>
Status check_signed(const PinnedVault& vault, const Signed& receipt, bool is_asked_for, const std::string& about) {
  if (receipt.receipt.vault != vault.receipt_key) return not_credible(vault, "another key than its pinned one signed");
  if (receipt.receipt.realm != vault.realm) return not_credible(vault, "is of another realm");
  if (!is_asked_for) return not_credible(vault, "is for another " + about);
  if (!receipt.check_signature().ok()) return not_credible(vault, "does not verify");
  return {};
}

}  // namespace

Status check_receipt(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::StreamId& stream) {
  return check_signed(vault, receipt, receipt.receipt.stream == stream, "stream");
}

Status check_mark_receipt(const PinnedVault& vault, const format::SignedMarkReceipt& receipt,
                          const format::Mark& sent) {
  const format::MarkReceipt& said = receipt.receipt;
  const bool is_for_it = said.place == sent.place && said.end == sent.end && said.hash == sent.hash;
  return check_signed(vault, receipt, is_for_it, "mark");
}

void ReceiptMemory::remember(const format::Entry& entry) {
  const MutexLock lock(mutex_);
  entries_.push_back(entry);
  if (entries_.size() > kRemembered) entries_.pop_front();
}

void ReceiptMemory::forget(const format::Entry& entry) {
  const MutexLock lock(mutex_);
  const auto is_it = [&](const format::Entry& other) {
    return is_same_place(other, entry) && other.chain == entry.chain;
  };
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), is_it);
  if (found != entries_.rend()) entries_.erase(std::next(found).base());
}

Status ReceiptMemory::check(const PinnedVault& vault, const format::SignedReceipt& receipt, const format::Entry& sent) {
  TRY(check_receipt(vault, receipt, sent.stream));
  const std::string index = std::to_string(receipt.receipt.index.value());
  if (receipt.receipt.index < sent.index) {
    return not_credible(vault, "ends at index " + index + ", before the entry it was given for");
  }
  bool was_sent = false;
  const MutexLock lock(mutex_);
  for (const format::Entry& entry : entries_) {
    if (entry.stream != sent.stream || entry.index != receipt.receipt.index) continue;
    if (entry.chain == receipt.receipt.chain) return {};
    was_sent = true;
  }
  if (!was_sent) return {};
  return not_credible(vault, "names another chain at index " + index + " than the one that was sent");
}

}  // namespace exclave::wire
