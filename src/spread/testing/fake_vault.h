// A vault of which a test decides every answer: slow, failing, lying or honest.
// Hides: the parts of VaultApi that streams and reads do not use.
//
// Threads: as VaultApi; behaviour is set before use.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "env/time.h"
#include "store/vault_api.h"

namespace exclave::spread::testing {

class FakeVault final : public store::VaultApi {
 public:
  FakeVault(std::string name, env::Clock& clock)
      : name_(std::move(name)),
        clock_(clock),
        key_(crypto::Ed25519SigningKey::from_seed(crypto::Secret<32>::from_view(Bytes(32, 7)))) {}

  // --- behaviour ---
  std::optional<Error> refuses_stream;
  std::chrono::nanoseconds takes{};      // for each call
  std::uint64_t fails_put_from = ~0ULL;  // entries from this index on fail
  std::uint64_t gives_no_receipt_for = ~0ULL;
  std::function<void(format::Receipt&)> lies;
  std::optional<Error> refuses_reads;
  std::map<format::ObjectName, Bytes> objects;
  std::optional<std::vector<store::OpenSegment>> shows_open;

  // --- what happened ---
  std::vector<std::uint64_t> received() const {
    const MutexLock lock(mutex_);
    return received_;
  }

  const std::string& name() const override { return name_; }
  Status open_stream(const format::SignedStream&) override {
    if (refuses_stream.has_value()) return *refuses_stream;
    return {};
  }
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView) override {
    pause();
    const std::uint64_t index = entry.entry.index.value();
    if (index >= fails_put_from) return Error(Code::Unavailable, "vault " + name_ + " has no power");
    {
      const MutexLock lock(mutex_);
      received_.push_back(index);
    }
    if (index == gives_no_receipt_for) return std::optional<format::SignedReceipt>();
    format::Receipt receipt;
    receipt.vault = key_.public_key();
    receipt.stream = entry.entry.stream;
    receipt.index = entry.entry.index;
    receipt.chain = entry.entry.chain;
    receipt.term = format::Term(1);
    if (lies) lies(receipt);
    return std::optional(format::SignedReceipt::sign(receipt, key_));
  }
  Result<std::vector<store::OpenSegment>> open_segments(const format::RegistryId&) override {
    if (!shows_open.has_value()) return Error(Code::Unavailable, "vault " + name_ + " has no power");
    return *shows_open;
  }
  Result<std::uint64_t> size_of(const format::ObjectName& object) override {
    if (refuses_reads.has_value()) return *refuses_reads;
    if (!objects.contains(object)) return Error(Code::NotFound, "no such object");
    return objects.at(object).size();
  }
  Status read(const format::ObjectName& object, std::uint64_t offset, MutableByteView out) override {
    pause();
    {
      const MutexLock lock(mutex_);
      received_.push_back(offset);
    }
    if (refuses_reads.has_value()) return *refuses_reads;
    const auto found = objects.find(object);
    if (found == objects.end()) return Error(Code::NotFound, "no such object");
    if (offset + out.size() > found->second.size()) return Error(Code::InvalidInput, "beyond the end");
    std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

  Result<store::VaultStatus> status() override { return unused(); }
  Result<bool> has(const format::ObjectName&) override { return unused(); }
  Status announce_reading(const format::SignedReading&) override { return unused(); }
  Result<store::QuotaUse> quota(const format::RegistryId&) override { return unused(); }
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId&) override { return unused(); }
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId&, format::EntryIndex, std::size_t) override {
    return unused();
  }
  Result<std::vector<store::Act>> acts() override { return unused(); }
  Result<Bytes> act(const crypto::Hash256&) override { return unused(); }
  Status put_act(ByteView) override { return unused(); }

 private:
  static Error unused() { return {Code::Bug, "streams and reads do not call this"}; }
  void pause() {
    if (takes.count() > 0) ignore(clock_.sleep_until(clock_.monotonic() + takes), "the machine may die");
  }

  const std::string name_;
  env::Clock& clock_;
  const crypto::Ed25519SigningKey key_;
  mutable Mutex mutex_;
  std::vector<std::uint64_t> received_ GUARDED_BY(mutex_);
};

}  // namespace exclave::spread::testing
