// Embedded vault: a vault in the same process, as a VaultApi ("dir:/path" in the policy). One caller per object.
// Hides: that there is no network. The rules are the same: it goes through the same Handler with a named caller.
//
// I1  A SealedObject's name is relied upon and not computed once more (ADR-0032); bytes of any other origin are hashed.
// I2  Receipts are checked against the pinned key here too, so that a mixed-up directory is found at once.
// Threads: as VaultApi.
// Errors: as VaultApi.
#pragma once

#include <string>

#include "policy/policy.h"
#include "store/vault_api.h"
#include "wire/handler.h"
#include "wire/receipts.h"

namespace exclave::vault {

class EmbeddedVault final : public store::VaultApi {
 public:
  // `handler` outlives it. `vault`: what the policy says about it.
  EmbeddedVault(wire::Handler& handler, const wire::Caller& caller, const policy::VaultEntry& vault,
                const format::RealmId& realm)
      : handler_(handler), caller_(caller), pinned_{vault.name, vault.receipt, realm} {}

  const std::string& name() const override { return pinned_.name; }
  Result<store::VaultStatus> status() override { return handler_.status(caller_); }
  Status open_stream(const format::SignedStream& stream) override { return handler_.open_stream(caller_, stream); }
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) override;
  Result<std::optional<format::SignedReceipt>> put_sealed(const format::SignedEntry& entry,
                                                          const store::SealedObject& object) override;
  Result<bool> has(const format::ObjectName& name) override;
  Result<std::uint64_t> append_frames(const format::StreamId& stream, format::EntryIndex index, std::uint8_t size_class,
                                      std::uint64_t offset, ByteView bytes) override {
    return handler_.append_frames(caller_, {stream, index}, size_class, offset, bytes);
  }
  Result<format::SignedMarkReceipt> put_mark(const format::SignedMark& mark) override;
  Result<std::vector<store::OpenSegment>> open_segments(const format::RegistryId& registry) override {
    return handler_.open_segments(caller_, registry);
  }
  Status read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                     MutableByteView out) override {
    return handler_.read_frames(caller_, {stream, index}, offset, out);
  }
  Status announce_reading(const format::SignedReading& reading) override {
    return handler_.announce_reading(caller_, reading);
  }
  Result<store::QuotaUse> quota(const format::RegistryId& registry) override {
    return handler_.quota(caller_, registry);
  }
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId& registry) override;
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                std::size_t limit) override {
    return handler_.entries(caller_, stream, from, limit);
  }
  Result<std::vector<store::Act>> acts() override { return handler_.acts(caller_); }
  Result<Bytes> act(const crypto::Hash256& hash) override { return handler_.act(caller_, hash); }
  Status put_act(ByteView document) override { return handler_.put_act(caller_, document); }
  Result<std::uint64_t> size_of(const format::ObjectName& name) override { return handler_.size_of(caller_, name); }
  Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) override {
    return handler_.read(caller_, name, offset, out);
  }

 private:
  Result<std::optional<format::SignedReceipt>> put_from(const format::SignedEntry& entry, wire::ObjectSource& source);

  wire::Handler& handler_;
  const wire::Caller caller_;
  const wire::PinnedVault pinned_;
  wire::ReceiptMemory receipts_;
};

}  // namespace exclave::vault
