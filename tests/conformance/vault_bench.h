// A vault on the bench: one realm of tests, one vault of it, and callers that reach it through a chosen door.
// Hides: how a vault is created, opened, served and reached; sealed objects' looks; a writer's chain.
//
//   Embedded   caller -> EmbeddedVault -> Vault
//   Plain      caller -> HttpVault -> (pipe or loopback, identity by word) -> Server -> Vault
//   Tls        the same with mutual TLS
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/journal.h"
#include "format/object.h"
#include "policy/testing/realm.h"
#include "table/log_table.h"
#include "table/rocksdb_table.h"
#include "tests/conformance/world_under_test.h"
#include "vault/embedded_vault.h"
#include "vault/vault.h"
#include "wire/http_vault.h"
#include "wire/server.h"
#include "wire/testing/plain_transport.h"

namespace exclave::conformance {

using policy::testing::machine_key;
using policy::testing::seeded_id;

inline constexpr std::uint64_t kQuarterMebibyte = 1 << 18;

// Registries "land" and "people", each with a writer of its own; vaults lux, est, che, of which lux is on the bench.
struct BenchRealm {
  policy::testing::TestRealm realm = policy::testing::make_realm({.officials = 3, .threshold = 2, .vaults = 3});
  crypto::Ed25519SigningKey other_writer = machine_key("writer people");
  crypto::Ed25519SigningKey other_vault = machine_key("est identity");
  crypto::Ed25519SigningKey stranger = machine_key("stranger");
  policy::SignedPolicy first;
  policy::SignedEra era;

  BenchRealm() {
    policy::Policy& policy = realm.policy;
    policy.registries.front().quota_bytes = 100'000'000;
    policy.registries.push_back({"people", seeded_id<format::RegistryId>("registry people"), 2,
                                 other_writer.public_key(), 100'000'000, 1'000'000});
    first = realm.signed_by_all();
    era = policy::SignedEra::sign(era_document(land(), 1), realm.ceremony);
  }

  // One for the process: officials sign with fresh randomness, and a seed's trace shall not depend on it.
  static const BenchRealm& shared() {
    static const BenchRealm made;
    return made;
  }

  const policy::Policy& policy() const { return realm.policy; }
  const format::RegistryId& land() const { return realm.policy.registries[0].id; }
  const format::RegistryId& people() const { return realm.policy.registries[1].id; }
  const crypto::Ed25519SigningKey& writer() const { return realm.writer; }
  const crypto::Ed25519SigningKey& site() const { return realm.site; }

  // Three periods of a week.
  policy::Era era_document(const format::RegistryId& registry, std::uint32_t number) const {
    policy::Era document;
    document.realm = policy().realm;
    document.registry = registry;
    document.number = format::EraNumber(number);
    document.threshold = 2;
    document.starts_seconds = 1'700'000'000;
    document.period_seconds = 604'800;
    for (const policy::Official& official : policy().officials) document.officials.push_back(official.name);
    for (int period = 0; period < 3; ++period) {
      policy::EraPeriod keys;
      const std::string label = "period " + std::to_string(period);
      keys.encapsulation = crypto::x25519_public_key(policy::testing::seeded_secret<32>(label));
      for (const std::string& name : document.officials) {
        keys.commitments.push_back(seeded_id<policy::ShareCommitment>(label + name));
      }
      document.periods.push_back(std::move(keys));
    }
    return document;
  }

  // The next version after `current`, changed by `change` and signed by everybody.
  policy::SignedPolicy successor(const policy::SignedPolicy& current,
                                 const std::function<void(policy::Policy&)>& change) const {
    policy::Policy next = current.policy;
    next.version = format::PolicyVersion(current.policy.version.value() + 1);
    next.previous = current.hash;
    change(next);
    return realm.signed_by(next, {"alice", "bob", "carol"});
  }
};

// What a vault sees of a sealed object: a right header, and bytes that mean nothing to it.
struct SealedLooks {
  format::RegistryId registry;
  std::uint32_t era = 1;
  std::uint32_t period = 0;
  std::uint8_t size_class = 18;
  std::uint64_t fill = 0;
};
inline Bytes sealed_object(const SealedLooks& looks) {
  Bytes object(format::object_bytes(looks.size_class));
  const format::HeaderBytes header = format::encode_header(
      {looks.size_class, {looks.registry, format::EraNumber(looks.era), format::PeriodNumber(looks.period)}});
  std::copy(header.begin(), header.end(), object.begin());
  store_u64(MutableByteView(object).subspan(64), looks.fill);
  for (std::size_t i = 4096; i < object.size(); i += 512) object[i] = static_cast<Byte>(looks.fill + i / 512);
  return object;
}
// A writer's stream: signs entries that chain.
class WriterStream {
 public:
  WriterStream(const BenchRealm& realm, const crypto::Ed25519SigningKey& writer, const format::RegistryId& registry,
               std::string_view start = "start", format::StreamKind kind = format::StreamKind::Objects)
      : writer_(writer),
        stream_(format::SignedStream::sign({realm.policy().realm, writer.public_key(), registry, format::EraNumber(1),
                                            kind, seeded_id<format::StreamStart>(start)},
                                           writer)),
        chain_(format::chain_start(id())) {}

  const format::SignedStream& stream() const { return stream_; }
  format::StreamId id() const { return stream_.descriptor.id(); }
  const format::ChainHash& chain() const { return chain_; }

  format::SignedEntry next(const format::ObjectName& object, std::optional<format::PeriodNumber> snapshot = {}) {
    chain_ = format::next_chain(chain_, object, snapshot);
    return sign({id(), format::EntryIndex(index_++), object, chain_, snapshot});
  }
  format::SignedEntry sign(const format::Entry& entry) const { return format::SignedEntry::sign(entry, writer_); }

 private:
  const crypto::Ed25519SigningKey& writer_;
  const format::SignedStream stream_;
  format::ChainHash chain_;
  std::uint64_t index_ = 0;
};

// A journal's segment while its writer fills it: real frames, under a key that only tests have.
class SegmentMaker {
 public:
  struct Looks {
    format::RegistryId registry;
    format::StreamId stream;
    std::uint64_t index = 0;
    std::uint8_t size_class = 18;
    std::uint32_t period = 0;
    std::uint64_t first_number = 0;
    std::string label = "segment";
  };
  explicit SegmentMaker(const Looks& looks)
      : looks_(looks),
        sealer_(must(format::SegmentSealer::open(format::sealing_half(opening_key(looks.registry, looks.period)),
                                                 seeded_id<format::RealmId>("journal realm"),
                                                 {looks.stream, format::EntryIndex(looks.index)}, looks.size_class,
                                                 policy::testing::seeded_secret<32>("ephemeral " + looks.label)))),
        bytes_(format::object_bytes(looks.size_class)),
        next_(looks.first_number) {
    std::copy(sealer_.front().begin(), sealer_.front().end(), bytes_.begin());
  }

  static format::OpeningKey opening_key(const format::RegistryId& registry, std::uint32_t period = 0) {
    return format::derive_opening_key({registry, format::EraNumber(1), format::PeriodNumber(period)},
                                      policy::testing::seeded_secret<32>("journal period"));
  }

  // One more frame of so many content bytes; where the segment ends then.
  std::uint64_t add(std::size_t content_bytes, std::string_view random = "random") {
    Bytes plain(content_bytes);
    for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<Byte>(i + next_ + random.size());
    const auto sealed =
        must(sealer_.seal(format::FrameNumber(next_), plain, policy::testing::seeded_secret<32>(std::string(random)),
                          MutableByteView(bytes_).subspan(sealer_.end())));
    CHECK(sealed.has_value());
    ++next_;
    return sealer_.end();
  }

  format::SegmentPlace place() const { return {looks_.stream, format::EntryIndex(looks_.index)}; }
  std::uint8_t size_class() const { return looks_.size_class; }
  std::uint64_t end() const { return sealer_.end(); }
  std::uint64_t next_number() const { return next_; }
  const Bytes& whole() const { return bytes_; }
  ByteView from(std::uint64_t offset) const {
    return ByteView(bytes_).subspan(offset, static_cast<std::size_t>(sealer_.end() - offset));
  }
  // What the writer signs of it as it is now.
  format::Mark mark() const {
    return {place(), end(), next_, crypto::sha256(ByteView(bytes_).first(static_cast<std::size_t>(end()))),
            1'800'000'000};
  }
  // Appends what stands from `offset` on.
  Result<std::uint64_t> send(store::VaultApi& vault, std::uint64_t offset) const {
    return vault.append_frames(looks_.stream, format::EntryIndex(looks_.index), looks_.size_class, offset,
                               from(offset));
  }

 private:
  const Looks looks_;
  format::SegmentSealer sealer_;
  Bytes bytes_;
  std::uint64_t next_ = 0;
};

enum class Door { Embedded, Plain, Tls };
enum class Tables { Log, Rocksdb };

class VaultBench {
 public:
  VaultBench(env::Env world, std::string directory, Door through, Tables tables = Tables::Log)
      : env(world), directory_(std::move(directory)), door_(through), tables_(tables) {
    const std::vector<Bytes> acts = {to_bytes(realm.first.document), to_bytes(realm.era.document)};
    must(vault::create(vault_world(), directory_, acts, open_table()));
    must(open());
  }
  VaultBench(const VaultBench&) = delete;
  VaultBench& operator=(const VaultBench&) = delete;

  // Stops the vault (and its server) and starts it again. Doors made before are of no further use.
  void restart() { must(try_restart()); }
  Status try_restart() {
    close();
    return open();
  }
  void close() {
    server_.reset();
    vault_.reset();
  }

  std::unique_ptr<store::VaultApi> as(const crypto::Ed25519SigningKey& identity) {
    const policy::VaultEntry& self = realm.policy().vaults.front();
    if (door_ == Door::Embedded) {
      return std::make_unique<vault::EmbeddedVault>(*vault_, wire::Caller{identity.public_key()}, self,
                                                    realm.policy().realm);
    }
    transports_.push_back(transport_of(identity));
    policy::VaultEntry reached = self;
    reached.address = server_->address();
    return std::make_unique<wire::HttpVault>(
        wire::HttpVault::World{env.clock, env.random, env.network, env.threads}, *transports_.back(), reached,
        realm.policy().realm,
        wire::HttpVaultOptions{.connections = 4, .attempts = 3, .first_pause = std::chrono::milliseconds(20)});
  }

  vault::Vault& vault() { return *vault_; }
  std::string address() const { return server_->address(); }

  vault::World vault_world() const { return {env.files, env.clock, env.log, env.threads}; }
  vault::OpenTable open_table() const {
    if (tables_ == Tables::Rocksdb) return table::open_rocksdb;
    return [this](const std::string& path) { return table::open_log_table(env.files, env.threads, path); };
  }

  env::Env env;
  const BenchRealm& realm = BenchRealm::shared();

 private:
  std::unique_ptr<wire::Transport> transport_of(const crypto::Ed25519SigningKey& identity) const {
    if (door_ == Door::Tls) return wire::make_tls_transport(tls::Identity::from_key(identity));
    return std::make_unique<wire::testing::PlainTransport>(identity.public_key());
  }

  Status open() {
    vault_ = TRY(vault::Vault::open(vault_world(), directory_, machine_key("lux receipt"), open_table(),
                                    {.program = "exclave test", .store = {.reserve_bytes = 1 << 20}}));
    if (door_ == Door::Embedded) return {};
    transports_.push_back(transport_of(machine_key("lux identity")));
    server_ = TRY(wire::Server::start({env.clock, env.log, env.threads}, TRY(env.network.listen("127.0.0.1:0")),
                                      *transports_.back(), *vault_));
    return {};
  }

  const std::string directory_;
  const Door door_;
  const Tables tables_;
  std::vector<std::unique_ptr<wire::Transport>> transports_;
  std::unique_ptr<vault::Vault> vault_;
  std::unique_ptr<wire::Server> server_;
};

struct VaultKind {
  std::string name;
  WorldKind world;
  Door door = Door::Embedded;
  Tables tables = Tables::Log;
  friend void PrintTo(const VaultKind& kind, std::ostream* out) { *out << kind.name; }
};

// Runs `body` with a fresh vault of this kind.
inline void with_vault(const VaultKind& kind, const std::function<void(VaultBench&)>& body) {
  const auto world = kind.world.make();
  const std::string directory = world->directory();
  world->run([&](env::Env env) {
    try {
      VaultBench bench(env, directory + "/vault", kind.door, kind.tables);
      body(bench);
    } catch (const BodyAbandoned&) {
      SUCCEED() << "the failure is already recorded";
    }
  });
}

}  // namespace exclave::conformance
