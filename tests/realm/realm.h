// A whole realm for tests of journeys: officials' keys, an era from a ceremony, three vaults, an agent and a site.
// Hides: how these are made and joined, so that a test shows what it captures, breaks and restores, and nothing else.
//
//   Agent --TapVault--> vault lux | est | che <--TapVault-- Site (keys combined from three officials' shares)
//
// I1  Keys follow from names and from the start of the era alone; only ECDSA signatures differ from run to run.
// Threads: one test. TapVault: as VaultApi, its switches are atomic.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "custody/testing/world.h"
#include "engine/capture.h"
#include "engine/restore.h"
#include "engine/snapshot_content.h"
#include "engine/snapshot_finder.h"
#include "spread/copies_reader.h"
#include "table/log_table.h"
#include "tests/conformance/world_under_test.h"
#include "vault/embedded_vault.h"
#include "vault/vault.h"

namespace exclave::realm_tests {

using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using policy::testing::machine_key;

// What a test's realm is made of.
struct RealmPlan {
  std::size_t vaults = 3;  // 3..7, with the quorums that policy::default_quorum gives
  std::uint32_t eras = 1;  // one after the other's keys, all held by the operator from the start
  std::string writer =
      "writer land";  // whose key the policy pins; another one makes the realm as a forger would write it
};

// Realm, eras and everybody's secrets. Each era's first period began three days before `now_seconds`.
class RealmKeys {
 public:
  static constexpr std::uint32_t kPeriods = 6;

  explicit RealmKeys(std::int64_t now_seconds, const RealmPlan& plan = {})
      : now_seconds_(now_seconds), realm_(policy::testing::make_realm({.vaults = plan.vaults})) {
    realm_.writer = machine_key(plan.writer);
    realm_.policy.registries.front().writer = realm_.writer.public_key();
    realm_.policy.expires_seconds = now_seconds + 31'536'000;
    policy_ = realm_.signed_by_all();
    for (std::uint32_t number = 1; number <= plan.eras; ++number) {
      custody::CeremonyRequest request = custody::testing::ceremony_request(policy_.policy, kPeriods);
      request.era = format::EraNumber(number);
      if (number > 1) request.previous_era = ceremonies_.back().era.hash;
      request.starts_seconds = now_seconds - 3 * 86'400;
      custody::testing::SeededRandom random(number == 1 ? "ceremony" : "ceremony " + std::to_string(number));
      ceremonies_.push_back(must(custody::hold_ceremony(random, request, realm_.ceremony)));
      opened_.push_back(combine_shares(ceremonies_.back()));
    }
  }

  const policy::Policy& policy() const { return policy_.policy; }
  const policy::Registry& registry() const { return policy_.policy.registries.front(); }
  engine::PinnedRegistry pinned() const {
    return {policy(), registry(), policy::writers_of({policy_}, registry().id),
            policy::retention_of({policy_}, registry().id)};
  }
  std::uint32_t eras() const { return static_cast<std::uint32_t>(ceremonies_.size()); }
  const policy::Era& era(format::EraNumber number = kFirstEra) const { return ceremony(number).era.era; }
  const crypto::Ed25519SigningKey& writer() const { return realm_.writer; }
  const crypto::Ed25519SigningKey& site() const { return realm_.site; }
  std::vector<Bytes> acts() const {
    std::vector<Bytes> all = {to_bytes(policy_.document)};
    for (const custody::CeremonyResult& each : ceremonies_) all.push_back(to_bytes(each.era.document));
    return all;
  }

  custody::AgentKeys agent_keys(format::EraNumber number = kFirstEra) const {
    const custody::AgentKeys& made = ceremony(number).agent_keys;
    custody::AgentKeys keys;
    keys.realm = made.realm;
    keys.registry = made.registry;
    keys.era = made.era;
    keys.starts_seconds = made.starts_seconds;
    keys.period_seconds = made.period_seconds;
    keys.dedup = made.dedup.clone();
    for (const format::SealingKey& key : made.periods) {
      keys.periods.push_back({key.id, key.symmetric.clone(), key.encapsulation});
    }
    return keys;
  }
  // Of every period of an era, as three officials' shares give them.
  std::vector<format::OpeningKey> opening_keys(format::EraNumber number = kFirstEra) const {
    std::vector<format::OpeningKey> keys;
    for (const format::OpeningKey& key : opened_.at(number.value() - 1)) {
      keys.push_back({key.id, key.symmetric.clone(), key.decapsulation.clone()});
    }
    return keys;
  }

 private:
  static constexpr format::EraNumber kFirstEra{1};

  const custody::CeremonyResult& ceremony(format::EraNumber number) const { return ceremonies_.at(number.value() - 1); }
  std::vector<format::OpeningKey> combine_shares(const custody::CeremonyResult& ceremony) const {
    const auto recipient = policy::testing::seeded_secret<32>("recipient");
    custody::ReleaseRequest request;
    request.realm = policy().realm;
    request.registry = registry().id;
    request.registry_name = registry().name;
    request.era = ceremony.era.era.number;
    for (std::uint32_t p = 0; p < kPeriods; ++p) request.periods.emplace_back(p);
    request.site = policy().sites.front().name;
    request.site_identity = realm_.site.public_key();
    request.recipient = crypto::x25519_public_key(recipient);
    request.policy_version = policy().version;
    request.policy_hash = policy_.hash;
    request.approvals = policy().release_threshold(registry());
    request.reason = "test";
    request.not_after_seconds = now_seconds_ + 3600;
    request.nonce = policy::testing::seeded_id<decltype(request.nonce)>("nonce");
    const auto release = custody::SignedRelease::sign(request, realm_.site).take();
    custody::testing::SeededRandom random("approvals");
    std::vector<custody::ApprovalFile> approvals;
    for (std::size_t i = 0; i < 3; ++i) {
      const policy::testing::TestOfficial& official = realm_.officials[i];
      custody::testing::TestCard card(official);
      const auto leaf = std::find_if(ceremony.leaves.begin(), ceremony.leaves.end(),
                                     [&](const auto& each) { return each.official == official.name; });
      CHECK(leaf != ceremony.leaves.end());
      approvals.push_back({official.name, to_bytes(must(custody::approve_release(random, {policy_}, release,
                                                                                 ceremony.era, as_bytes(leaf->document),
                                                                                 card, card, now_seconds_)))});
    }
    return must(custody::combine_release({policy_}, release, ceremony.era, approvals, recipient)).keys;
  }

  std::int64_t now_seconds_;
  policy::testing::TestRealm realm_;
  policy::SignedPolicy policy_;
  std::vector<custody::CeremonyResult> ceremonies_;
  std::vector<std::vector<format::OpeningKey>> opened_;  // by era
};

// One vault on one machine, with the table's twin. Doors of before a restart are of no further use.
class VaultHost {
 public:
  VaultHost(env::Env env, std::string directory, const RealmKeys& keys, std::size_t number)
      : env_(env), directory_(std::move(directory)), keys_(keys), entry_(keys.policy().vaults.at(number)) {
    must(vault::create(world(), directory_, keys_.acts(), open_table()));
    open();
  }
  void open() { must(try_open()); }
  Status try_open() {
    vault_ = TRY(vault::Vault::open(world(), directory_, receipt_key(), open_table(),
                                    {.program = "exclave test", .store = {.reserve_bytes = 1 << 20}}));
    return {};
  }
  void close() { vault_.reset(); }
  bool is_open() const { return vault_ != nullptr; }

  vault::Vault& vault() { return *vault_; }
  const policy::VaultEntry& entry() const { return entry_; }
  crypto::Ed25519SigningKey receipt_key() const { return machine_key(entry_.name + " receipt"); }
  std::unique_ptr<store::VaultApi> door(const crypto::Ed25519SigningKey& identity) {
    return std::make_unique<vault::EmbeddedVault>(*vault_, wire::Caller{identity.public_key()}, entry_,
                                                  keys_.policy().realm);
  }
  std::string path_of(const format::ObjectName& name) const {
    return directory_ + "/objects/" + name.hex().substr(0, 2) + "/" + name.hex();
  }

 private:
  vault::World world() const { return {env_.files, env_.clock, env_.log, env_.threads}; }
  vault::OpenTable open_table() const {
    return [this](const std::string& path) { return table::open_log_table(env_.files, env_.threads, path); };
  }

  env::Env env_;
  const std::string directory_;
  const RealmKeys& keys_;
  const policy::VaultEntry entry_;
  std::unique_ptr<vault::Vault> vault_;
};

// A vault seen through a tap: counts what is put, can be shut off, can spoil what is read.
class TapVault final : public store::VaultApi {
 public:
  explicit TapVault(std::unique_ptr<store::VaultApi> inner) : inner_(std::move(inner)) {}

  std::atomic<bool> is_down{false};
  std::atomic<bool> fails_puts{false};
  std::atomic<bool> tells_no_time{false};
  std::atomic<std::uint64_t> puts{0};                       // objects sent with their bytes
  std::atomic<std::uint64_t> puts_left{~std::uint64_t{0}};  // it goes down after so many
  std::atomic<std::uint64_t> entries_calls{0};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> spoiled_reads{0};
  std::atomic<std::uint64_t> swapped_reads{0};
  // Objects of which each answer has a flipped bit, and objects that the vault says it does not have. Set before use.
  std::function<bool(const format::ObjectName&)> spoils;
  std::function<bool(const format::ObjectName&)> loses;
  // The object whose bytes [0, end) are given out as those of the one asked for. Set before use.
  struct Swap {
    format::ObjectName with;
    std::uint64_t end = 0;
  };
  std::map<format::ObjectName, Swap> swaps;
  std::function<void(store::HeldEntry&)> retells;   // what it says of each entry
  std::function<void(store::StreamHead&)> reheads;  // and of each stream
  // Changes an answer as it likes. Set before use; called by all who read.
  std::function<void(const format::ObjectName&, std::uint64_t offset, MutableByteView answer)> alters;
  std::uint64_t pretended_bytes = 0;  // if any: how large it says that objects are; it makes them up

  const std::string& name() const override { return inner_->name(); }
  Result<store::VaultStatus> status() override {
    TRY(check_up());
    if (tells_no_time) return Error(Code::Unsupported, "vault " + name() + " has no clock");
    return inner_->status();
  }
  Status open_stream(const format::SignedStream& stream) override {
    TRY(check_up());
    return inner_->open_stream(stream);
  }
  Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) override {
    TRY(check_up());
    if (fails_puts || puts_left == 0) return Error(Code::Unavailable, "vault " + name() + " was shut off");
    --puts_left;
    if (!object.empty()) ++puts;
    return inner_->put(entry, object);
  }
  Result<bool> has(const format::ObjectName& object) override {
    TRY(check_up());
    return inner_->has(object);
  }
  Result<std::uint64_t> append_frames(const format::StreamId& stream, format::EntryIndex index, std::uint8_t size_class,
                                      std::uint64_t offset, ByteView bytes) override {
    TRY(check_up());
    return inner_->append_frames(stream, index, size_class, offset, bytes);
  }
  Result<format::SignedMarkReceipt> put_mark(const format::SignedMark& mark) override {
    TRY(check_up());
    return inner_->put_mark(mark);
  }
  Result<std::vector<store::OpenSegment>> open_segments(const format::RegistryId& registry) override {
    TRY(check_up());
    return inner_->open_segments(registry);
  }
  Status read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                     MutableByteView out) override {
    TRY(check_up());
    return inner_->read_frames(stream, index, offset, out);
  }
  Status announce_reading(const format::SignedReading& reading) override {
    TRY(check_up());
    return inner_->announce_reading(reading);
  }
  Result<store::QuotaUse> quota(const format::RegistryId& registry) override {
    TRY(check_up());
    return inner_->quota(registry);
  }
  Result<std::vector<store::StreamHead>> heads(const format::RegistryId& registry) override {
    TRY(check_up());
    auto heads = TRY(inner_->heads(registry));
    if (reheads) std::for_each(heads.begin(), heads.end(), reheads);
    return heads;
  }
  Result<std::vector<store::HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                std::size_t limit) override {
    TRY(check_up());
    ++entries_calls;
    auto entries = TRY(inner_->entries(stream, from, limit));
    if (retells) std::for_each(entries.begin(), entries.end(), retells);
    return entries;
  }
  Result<std::vector<store::Act>> acts() override {
    TRY(check_up());
    return inner_->acts();
  }
  Result<Bytes> act(const crypto::Hash256& hash) override {
    TRY(check_up());
    return inner_->act(hash);
  }
  Status put_act(ByteView document) override {
    TRY(check_up());
    return inner_->put_act(document);
  }
  Result<std::uint64_t> size_of(const format::ObjectName& object) override {
    TRY(check_up());
    if (pretended_bytes != 0) return pretended_bytes;
    return inner_->size_of(object);
  }
  Status read(const format::ObjectName& object, std::uint64_t offset, MutableByteView out) override {
    TRY(check_up());
    ++reads;
    if (loses && loses(object)) return Error(Code::NotFound, "object " + object.hex().substr(0, 16) + " is lost");
    if (pretended_bytes != 0) {
      std::fill(out.begin(), out.end(), Byte{0});
      return {};
    }
    TRY(inner_->read(object, offset, out));
    if (const auto swap = swaps.find(object); swap != swaps.end() && offset < swap->second.end) {
      ++swapped_reads;
      TRY(inner_->read(swap->second.with, offset, out.first(std::min(out.size(), swap->second.end - offset))));
    }
    if (alters) alters(object, offset, out);
    if (spoils && !out.empty() && spoils(object)) {
      ++spoiled_reads;
      out[out.size() / 2] ^= 0x10;
    }
    return {};
  }

 private:
  Status check_up() const {
    if (is_down) return Error(Code::Unavailable, "vault " + inner_->name() + " is down");
    return {};
  }
  std::unique_ptr<store::VaultApi> inner_;
};

inline std::vector<store::VaultApi*> pointers(const std::vector<std::unique_ptr<TapVault>>& taps) {
  std::vector<store::VaultApi*> all;
  for (const auto& tap : taps) all.push_back(tap.get());
  return all;
}

// The capturing side: state below `directory`, kept between captures and found again by a new Agent.
class Agent {
 public:
  Agent(env::Env env, std::string directory, const RealmKeys& keys, std::vector<store::VaultApi*> vaults,
        format::EraNumber era = format::EraNumber(1))
      : env_(env),
        directory_(std::move(directory)),
        keys_(keys),
        era_(era),
        agent_keys_(keys.agent_keys(era)),
        vaults_(std::move(vaults)) {}

  // Opens the state (again); captures do it by themselves.
  Status open() {
    if (table_ != nullptr) return {};
    TRY(env_.files.make_directories(directory_ + "/table", 0700));
    TRY(env_.files.make_directories(directory_ + "/catalogues", 0700));
    TRY(env_.files.remove_temporaries(catalogues()));
    table_ = TRY(table::open_log_table(env_.files, env_.threads, directory_ + "/table"));
    return {};
  }
  engine::CaptureContext context() {
    return {env_,           keys_.policy(), keys_.registry(), keys_.era(era_), agent_keys_,
            keys_.writer(), vaults_,        *table_,          catalogues(),    "test-host"};
  }
  Result<engine::CaptureReport> capture(const engine::TreeCaptureOptions& options, std::stop_token stop = {}) {
    TRY(open());
    engine::StageTimes times;
    const engine::CaptureContext with = context();
    return engine::capture_tree(with, options, times, {}, stop);
  }
  Result<engine::CaptureReport> capture(const std::string& source) {
    engine::TreeCaptureOptions options;
    options.source = source;
    return capture(options);
  }
  Result<engine::CaptureReport> capture_stream(const engine::ByteStreamOptions& options, const engine::ReadStream& read,
                                               const engine::EndedCleanly& ended, std::stop_token stop = {}) {
    TRY(open());
    engine::StageTimes times;
    const engine::CaptureContext with = context();
    return engine::capture_stream(with, options, read, ended, times, {}, stop);
  }
  std::string catalogues() const { return directory_ + "/catalogues"; }
  table::Table& table() { return *table_; }

 private:
  env::Env env_;
  const std::string directory_;
  const RealmKeys& keys_;
  const format::EraNumber era_;
  const custody::AgentKeys agent_keys_;
  std::vector<store::VaultApi*> vaults_;
  std::unique_ptr<table::Table> table_;
};

// The restoring side, with every period released.
class Site {
 public:
  Site(env::Env env, const RealmKeys& keys, std::vector<store::VaultApi*> vaults)
      : env_(env), keys_(keys), vaults_(std::move(vaults)), reader_(env_.threads, env_.clock, vaults_) {
    for (std::uint32_t era = 1; era <= keys.eras(); ++era) {
      openers_.push_back(std::make_unique<repo::ObjectOpener>(keys.policy().realm,
                                                              keys.opening_keys(format::EraNumber(era)), reader_));
    }
  }

  Result<engine::RegistryHoldings> holdings() {
    return engine::find_holdings(env_.clock, env_.threads, keys_.pinned(), vaults_);
  }
  Result<std::unique_ptr<engine::SnapshotContent>> open(const format::ObjectName& snapshot) {
    const auto found = TRY(holdings());
    return open(found, TRY(engine::choose_snapshot(found, snapshot.hex())));
  }
  Result<std::unique_ptr<engine::SnapshotContent>> open(const engine::RegistryHoldings& found,
                                                        const engine::FoundSnapshot& chosen) {
    return engine::SnapshotContent::open(opener(chosen.era), chosen.object, found.objects);
  }
  Result<engine::RestoreReport> restore(const format::ObjectName& snapshot, const engine::RestoreOptions& options,
                                        std::stop_token stop = {}) {
    const auto content = TRY(open(snapshot));
    notes = content->notes();
    engine::StageTimes times;
    return engine::restore_snapshot(env_, *content, snapshot, options, times, {}, stop);
  }
  Result<engine::RestoreReport> restore(const format::ObjectName& snapshot, const std::string& target) {
    engine::RestoreOptions options;
    options.target = target;
    options.syncing = engine::Syncing::LeaveToKernel;
    return restore(snapshot, options);
  }
  std::vector<spread::ReadIncident> incidents() const { return reader_.incidents(); }
  repo::ObjectOpener& opener(format::EraNumber era = format::EraNumber(1)) { return *openers_.at(era.value() - 1); }
  spread::CopiesReader& reader() { return reader_; }

  std::vector<std::string> notes;  // of the last restore

 private:
  env::Env env_;
  const RealmKeys& keys_;
  const std::vector<store::VaultApi*> vaults_;
  spread::CopiesReader reader_;
  std::vector<std::unique_ptr<repo::ObjectOpener>> openers_;  // by era
};

}  // namespace exclave::realm_tests
