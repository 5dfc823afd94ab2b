#include "vault/embedded_vault.h"

#include "vault/memory_source.h"

namespace exclave::vault {

Result<std::optional<format::SignedReceipt>> EmbeddedVault::put(const format::SignedEntry& entry, ByteView object) {
  MemorySource source(object);
  return put_from(entry, source);
}

Result<std::optional<format::SignedReceipt>> EmbeddedVault::put_sealed(const format::SignedEntry& entry,
                                                                       const store::SealedObject& object) {
  MemorySource source(object.view(), object.name);
  return put_from(entry, source);
}

Result<std::optional<format::SignedReceipt>> EmbeddedVault::put_from(const format::SignedEntry& entry,
                                                                     wire::ObjectSource& source) {
  receipts_.remember(entry.entry);
  auto put = handler_.put(caller_, entry, source);
  if (!put.ok()) {
    receipts_.forget(entry.entry);  // a commit that failed is sent again before any receipt can be about it
    return put;
  }
  if (put.value().has_value()) TRY(receipts_.check(pinned_, *put.value(), entry.entry));
  return put;
}

Result<format::SignedMarkReceipt> EmbeddedVault::put_mark(const format::SignedMark& mark) {
  auto receipt = TRY(handler_.put_mark(caller_, mark));
  TRY(wire::check_mark_receipt(pinned_, receipt, mark.mark));
  return receipt;
}

Result<bool> EmbeddedVault::has(const format::ObjectName& name) {
  const auto size = handler_.size_of(caller_, name);
  if (size.ok()) return true;
  if (size.error().code() == Code::NotFound) return false;
  return size.error();
}

Result<std::vector<store::StreamHead>> EmbeddedVault::heads(const format::RegistryId& registry) {
  std::vector<store::StreamHead> heads;
  std::optional<format::StreamId> from;
  do {
    wire::HeadsPage page = TRY(handler_.heads(caller_, registry, from));
    for (store::StreamHead& head : page.heads) {
      if (head.receipt.has_value()) {
        TRY(wire::check_receipt(pinned_, *head.receipt, head.stream.descriptor.id()));
      }
      heads.push_back(std::move(head));
    }
    from = page.next;
  } while (from.has_value());
  return heads;
}

}  // namespace exclave::vault
