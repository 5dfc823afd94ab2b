// A Handler that knows every key but those it is told not to, and answers what a test tells it to. For tests.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>

#include "wire/handler.h"

namespace exclave::wire::testing {

inline store::VaultStatus status_named(std::string name) {
  store::VaultStatus status;
  status.name = std::move(name);
  return status;
}

class FakeHandler : public Handler {
 public:
  std::set<crypto::Ed25519PublicKey> unknown;
  std::function<Result<store::VaultStatus>()> on_status = [] { return status_named("fake"); };

  const std::string& name() const override { return name_; }
  bool knows(const Caller& caller) override { return !unknown.contains(caller.identity); }
  Result<store::VaultStatus> status(const Caller&) override { return on_status(); }
  Status open_stream(const Caller&, const format::SignedStream&) override { return {}; }
  Result<std::optional<format::SignedReceipt>> put(const Caller&, const format::SignedEntry&, ObjectSource&) override {
    return nothing();
  }
  Result<store::QuotaUse> quota(const Caller&, const format::RegistryId&) override { return nothing(); }
  Status announce_reading(const Caller&, const format::SignedReading&) override { return nothing(); }
  Result<std::uint64_t> size_of(const Caller&, const format::ObjectName&) override { return nothing(); }
  Status read(const Caller&, const format::ObjectName&, std::uint64_t, MutableByteView) override { return nothing(); }
  Result<HeadsPage> heads(const Caller&, const format::RegistryId&, const std::optional<format::StreamId>&) override {
    return nothing();
  }
  Result<std::vector<store::HeldEntry>> entries(const Caller&, const format::StreamId&, format::EntryIndex,
                                                std::size_t) override {
    return nothing();
  }
  Result<std::vector<store::Act>> acts(const Caller&) override { return std::vector<store::Act>(); }
  Result<Bytes> act(const Caller&, const crypto::Hash256&) override { return nothing(); }
  Status put_act(const Caller&, ByteView) override { return nothing(); }

 private:
  static Error nothing() { return {Code::NotFound, "nothing"}; }
  const std::string name_ = "fake";
};

}  // namespace exclave::wire::testing
