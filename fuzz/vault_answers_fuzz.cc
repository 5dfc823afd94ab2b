// All that a hostile vault may answer to an agent or a site: every call of an HttpVault gets the input as the vault's
// half of each connection, and returns an error or a result that keeps to its contract.
#include <algorithm>
#include <array>
#include <memory>

#include "base/check.h"
#include "crypto/hash.h"
#include "env/random.h"
#include "http/testing/scripted_connection.h"
#include "policy/testing/realm.h"
#include "posix/threads.h"
#include "wire/http_vault.h"

namespace {

using namespace exclave;  // a test program of one file

class Zeros final : public env::Random {
  Status fill(MutableByteView out) override {
    std::fill(out.begin(), out.end(), Byte{0});
    return {};
  }
};

// Every connection leads to a peer that says the same.
class OnePeer final : public env::Network {
 public:
  OnePeer(http::testing::FakeClock& clock, std::string_view says) : clock_(clock), says_(says) {}
  Result<std::unique_ptr<env::Listener>> listen(std::string_view) override { return Error(Code::Bug, "a client"); }
  Result<std::unique_ptr<env::Connection>> connect(std::string_view, env::Instant) override {
    auto connection = std::make_unique<http::testing::ScriptedConnection>(clock_);
    connection->sends(says_);
    return std::unique_ptr<env::Connection>(std::move(connection));
  }

 private:
  http::testing::FakeClock& clock_;
  const std::string_view says_;
};

class Trusting final : public wire::Transport {
  Result<wire::AcceptedPeer> accept(std::unique_ptr<env::Connection>, env::Instant) override {
    return Error(Code::Bug, "a client");
  }
  Result<std::unique_ptr<env::Connection>> connect(std::unique_ptr<env::Connection> inner,
                                                   const crypto::Ed25519PublicKey&, env::Instant) override {
    return inner;
  }
};

// The stream, entry and vault of the seeds.
struct Known {
  policy::testing::TestRealm realm = policy::testing::make_realm();
  format::SignedStream stream;
  format::SignedEntry entry;
  format::SignedMark mark;

  Known() {
    format::StreamDescriptor descriptor;
    descriptor.writer = realm.writer.public_key();
    descriptor.registry = realm.policy.registries[0].id;
    descriptor.era = format::EraNumber(1);
    descriptor.start = policy::testing::seeded_id<format::StreamStart>("start");
    stream = format::SignedStream::sign(descriptor, realm.writer);
    entry = format::SignedEntry::sign(
        {descriptor.id(), format::EntryIndex(0), policy::testing::seeded_id<format::ObjectName>("object"),
         policy::testing::seeded_id<format::ChainHash>("chain"), std::nullopt},
        realm.writer);
    mark = format::SignedMark::sign({{descriptor.id(), format::EntryIndex(0)}, 8192, 1, crypto::sha256({}), 0},
                                    realm.writer);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Known kKnown;
  static posix::Threads threads;
  http::testing::FakeClock clock;
  Zeros random;
  OnePeer network(clock, as_text({data, size}));
  Trusting transport;
  wire::HttpVaultOptions options;
  options.connections = 1;
  options.attempts = 2;
  wire::HttpVault vault({clock, random, network, threads}, transport, kKnown.realm.policy.vaults[0],
                        kKnown.realm.policy.realm, options);
  const format::RegistryId& registry = kKnown.realm.policy.registries[0].id;
  const format::StreamId& stream = kKnown.entry.entry.stream;

  std::array<Byte, 20> piece{};
  ignore(vault.status(), "both answers are right");
  ignore(vault.open_stream(kKnown.stream), "both answers are right");
  const auto receipt = vault.put(kKnown.entry, as_bytes("object"));
  if (receipt.ok() && receipt.value().has_value()) CHECK(receipt.value()->receipt.stream == stream);
  ignore(vault.quota(registry), "both answers are right");
  const auto heads = vault.heads(registry);
  if (heads.ok()) {
    for (const store::StreamHead& head : heads.value()) CHECK(head.stream.descriptor.registry == registry);
  }
  const auto entries = vault.entries(stream, format::EntryIndex(1), 2);
  if (entries.ok()) {
    CHECK(entries.value().size() <= 2);
    for (const store::HeldEntry& held : entries.value()) {
      CHECK(held.entry.entry.stream == stream && held.entry.entry.index.value() >= 1);
    }
  }
  const auto open = vault.open_segments(registry);
  if (open.ok()) {
    for (const store::OpenSegment& segment : open.value())
      CHECK(segment.end <= format::object_bytes(segment.size_class));
  }
  const auto end = vault.append_frames(stream, format::EntryIndex(0), 18, 4096, piece);
  if (end.ok()) CHECK(end.value() >= 4096 + piece.size());
  if (const auto pending = vault.begin_append(stream, format::EntryIndex(0), 18, 4096, piece, nullptr)) {
    const auto later = pending->finish(clock.monotonic() + std::chrono::milliseconds(2));
    if (later.ok()) CHECK(later.value() >= 4096 + piece.size());
  }
  const auto mark_receipt = vault.put_mark(kKnown.mark);
  if (mark_receipt.ok()) CHECK(mark_receipt.value().receipt.end == kKnown.mark.mark.end);
  ignore(vault.read_frames(stream, format::EntryIndex(0), 0, piece), "both answers are right");
  ignore(vault.acts(), "both answers are right");
  const crypto::Hash256 hash = crypto::sha256(as_bytes("an act\n"));
  const auto act = vault.act(hash);
  if (act.ok()) CHECK(crypto::sha256(act.value()) == hash);
  ignore(vault.put_act(as_bytes("an act\n")), "both answers are right");
  ignore(vault.has(kKnown.entry.entry.object), "both answers are right");
  ignore(vault.read(kKnown.entry.entry.object, 10, piece), "both answers are right");
  return 0;
}
