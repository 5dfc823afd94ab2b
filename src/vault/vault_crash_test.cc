// H7: power loss at every file call of a vault at work. What a receipt or an ok vouched for is there afterwards.
#include <gtest/gtest.h>

#include "sim/crash_points.h"
#include "tests/conformance/vault_bench.h"

namespace exclave::vault {
namespace {

using conformance::BenchRealm;
using conformance::sealed_object;
using conformance::WriterStream;

const BenchRealm& realm() {
  return BenchRealm::shared();
}

struct VaultOnADyingMachine {
  const wire::Caller writer{realm().writer().public_key()};
  const wire::Caller site{realm().site().public_key()};
  WriterStream stream{realm(), realm().writer(), realm().land()};
  WriterStream late_stream{realm(), realm().writer(), realm().land(), "late"};
  std::unique_ptr<Vault> vault;

  // What was promised to somebody outside the machine.
  bool is_opened = false;
  bool is_policy_adopted = false;
  std::optional<format::Receipt> receipt;
  std::vector<std::pair<format::SignedEntry, Bytes>> durable;  // also those that no head reaches yet

  static World world_of(sim::Machine& machine) {
    const env::Env env = machine.env();
    return {env.files, env.clock, env.log, env.threads};
  }
  static OpenTable table_on(sim::Machine& machine) {
    return [&machine](const std::string& path) {
      return table::open_log_table(machine.env().files, machine.env().threads, path);
    };
  }
  static Result<std::unique_ptr<Vault>> open(sim::Machine& machine) {
    return Vault::open(world_of(machine), "/srv/vault", policy::testing::machine_key("lux receipt"), table_on(machine),
                       {.program = "exclave test", .store = {}});
  }
  static const policy::SignedPolicy& second_policy() {
    static const policy::SignedPolicy made =
        realm().successor(realm().first, [](policy::Policy& next) { next.expires_seconds += 1; });
    return made;
  }

  void prepare(sim::Machine& machine) {
    const std::vector<Bytes> acts = {to_bytes(realm().first.document), to_bytes(realm().era.document)};
    CHECK(create(world_of(machine), "/srv/vault", acts, table_on(machine)).ok());
    vault = open(machine).take();
    CHECK(vault->open_stream(writer, stream.stream()).ok());
  }

  void put(const format::SignedEntry& entry, const Bytes& object) {
    EmbeddedVault door(*vault, writer, realm().policy().vaults.front(), realm().policy().realm);
    const auto put = door.put(entry, object);
    if (!put.ok()) return;
    durable.emplace_back(entry, object);
    if (put.value().has_value()) receipt = put.value()->receipt;
  }

  void work(sim::Machine& machine) {
    static_cast<void>(machine);
    std::vector<Bytes> objects;
    std::vector<format::SignedEntry> entries;
    for (std::uint64_t i = 0; i < 3; ++i) {
      objects.push_back(sealed_object({.registry = realm().land(), .fill = i}));
      entries.push_back(stream.next(format::name_of(objects.back())));
    }
    put(entries[0], objects[0]);
    put(entries[2], objects[2]);
    is_policy_adopted = vault->put_act(site, as_bytes(second_policy().document)).ok();
    put(entries[1], objects[1]);
    is_opened = vault->open_stream(writer, late_stream.stream()).ok();
    vault.reset();
  }
  Status finished(sim::Machine&) const {
    if (!is_opened || !is_policy_adopted) return Error(Code::Bug, "a stream or a policy was refused");
    if (durable.size() != 3) return Error(Code::Bug, std::to_string(durable.size()) + " of 3 objects were put");
    return receipt.has_value() && receipt->index == format::EntryIndex(2)
               ? Status()
               : Error(Code::Bug, "no receipt names the last entry");
  }

  Status check(sim::Machine& machine) {
    const auto found = TRY(open(machine));
    const auto status = TRY(found->status(site));
    if (is_policy_adopted && status.policy != format::PolicyVersion(2)) {
      return Error(Code::Corrupt, "the policy that was adopted is not in force");
    }
    const auto page = TRY(found->heads(site, realm().land(), {}));
    if (page.heads.size() != 2 && is_opened) return Error(Code::Corrupt, "a stream that was opened is gone");
    bool is_shown = false;
    for (const store::StreamHead& head : page.heads) {
      if (head.stream.descriptor.id() != stream.id()) continue;
      is_shown = true;
      TRY(check_head(head));
    }
    if (!is_shown) return Error(Code::Corrupt, "the stream that was opened before the work is gone");
    TRY(check_durable(*found));
    return check_everything_listed(*found, status.object_count);
  }

  Status check_head(const store::StreamHead& head) const {
    if (!receipt.has_value()) return {};
    if (!head.receipt.has_value()) return Error(Code::Corrupt, "a receipt was given, and there is no head");
    if (head.receipt->receipt.index < receipt->index) return Error(Code::Corrupt, "the head went back");
    if (head.receipt->receipt.index == receipt->index && head.receipt->receipt.chain != receipt->chain) {
      return Error(Code::Corrupt, "the head names another chain");
    }
    return {};
  }

  Status check_durable(Vault& found) const {
    for (const auto& [entry, object] : durable) {
      const auto held = TRY(found.entries(site, stream.id(), entry.entry.index, 1));
      if (held.empty() || held[0].entry.document() != entry.document()) {
        return Error(Code::Corrupt, "entry " + std::to_string(entry.entry.index.value()) + " is gone");
      }
    }
    return {};
  }

  // Also what was never promised must be whole if it is listed.
  Status check_everything_listed(Vault& found, std::uint64_t object_count) const {
    const auto entries = TRY(found.entries(site, stream.id(), {}, 10));
    for (const store::HeldEntry& held : entries) {
      Bytes object(held.object_bytes);
      TRY(found.read(site, held.entry.entry.object, 0, object));
      if (format::name_of(object) != held.entry.entry.object)
        return Error(Code::Corrupt, "an object's bytes are wrong");
    }
    if (object_count != entries.size()) return Error(Code::Corrupt, "the object count is wrong");
    const std::uint64_t streams = TRY(found.heads(site, realm().land(), {})).heads.size();
    const std::uint64_t expected = streams * kStreamCharge + entries.size() * (kEntryCharge + (1 << 18));
    if (TRY(found.quota(writer, realm().land())).used_bytes != expected) {
      return Error(Code::Corrupt, "the quota does not add up");
    }
    return {};
  }
};

TEST(VaultCrash, H7_receipts_entries_objects_and_acts_survive_power_loss_at_every_file_call) {
  const auto report = sim::for_each_crash_point<VaultOnADyingMachine>({.seed = 11, .lotteries = 2});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 30U) << "the work did not do what it should";
}

// After any crash while it is made, a vault can be made after all, by the same call.
struct CreationOnADyingMachine {
  bool is_created = false;

  static Status create_on(sim::Machine& machine) {
    return create(VaultOnADyingMachine::world_of(machine), "/srv/vault", {to_bytes(realm().first.document)},
                  VaultOnADyingMachine::table_on(machine));
  }
  // The object store's own creation has its own crash test, and 256 directories to make.
  void prepare(sim::Machine& machine) {
    CHECK(store::create_directory_store(machine.env().files, "/srv/vault/objects").ok());
  }
  void work(sim::Machine& machine) { is_created = create_on(machine).ok(); }
  Status finished(sim::Machine&) const { return is_created ? Status() : Error(Code::Bug, "the vault was not created"); }
  Status check(sim::Machine& machine) {
    const Status again = create_on(machine);
    if (!again.ok() && again.error().code() != Code::AlreadyExists) return again;
    if (again.ok() && is_created) return Error(Code::Corrupt, "the vault that was created is gone");
    is_created = true;
    return TRY(VaultOnADyingMachine::open(machine))->status({realm().site().public_key()}).ok()
               ? Status()
               : Error(Code::Corrupt, "the vault does not answer");
  }
};

TEST(VaultCrash, H7_creation_can_be_repeated_after_power_loss_at_a_file_call) {
  const auto report = sim::for_each_crash_point<CreationOnADyingMachine>({.seed = 5, .lotteries = 0});
  EXPECT_TRUE(report.ok()) << report;
}

// Its disk has spoiled a frame, and a mark finds it. Whoever was told so is told so after the crash, too; what stands
// before that frame is there, and the whole object closes the segment.
struct SpoiledSegmentOnADyingMachine : VaultOnADyingMachine {
  WriterStream journal{realm(), realm().writer(), realm().land(), "journal", format::StreamKind::Journal};
  conformance::SegmentMaker segment{{.registry = realm().land(), .stream = journal.id()}};
  const std::uint64_t good = segment.add(1000);
  bool is_told = false;
  bool is_closed = false;

  std::unique_ptr<EmbeddedVault> door() const {
    return std::make_unique<EmbeddedVault>(*vault, writer, realm().policy().vaults.front(), realm().policy().realm);
  }
  void prepare(sim::Machine& machine) {
    VaultOnADyingMachine::prepare(machine);
    CHECK(vault->open_stream(writer, journal.stream()).ok());
    const std::uint64_t end = segment.add(1000);
    CHECK(segment.send(*door(), 0).ok());
    CHECK(machine.disk().flip_bit("/srv/vault/journal/" + journal.id().hex() + "/0", end - 3500).ok());
  }
  void work(sim::Machine&) {
    const auto mark = format::SignedMark::sign(segment.mark(), realm().writer());
    const auto refused = door()->put_mark(mark);
    is_told = !refused.ok() && refused.error().code() == Code::Conflict;
    const Bytes& whole = segment.whole();
    is_closed = door()->put(entry(), whole).ok();
    vault.reset();
  }
  Status finished(sim::Machine&) const {
    if (!is_told) return Error(Code::Bug, "the mark was not answered by a conflict");
    return is_closed ? Status() : Error(Code::Bug, "the segment was not closed");
  }
  format::SignedEntry entry() const {
    WriterStream fresh(realm(), realm().writer(), realm().land(), "journal", format::StreamKind::Journal);
    return fresh.next(format::name_of(segment.whole()));
  }
  Status check(sim::Machine& machine) {
    vault = TRY(open(machine));
    Status found = look();
    vault.reset();
    return found;
  }
  Status look() {
    const auto held = TRY(vault->open_segments(site, realm().land()));
    if (held.empty()) {
      const bool is_entered = !TRY(vault->entries(site, journal.id(), {}, 1)).empty();
      return is_entered ? Status() : Error(Code::Corrupt, "the segment is gone");
    }
    if (is_closed) return Error(Code::Corrupt, "the segment that was closed is open");
    if (is_told && !held.at(0).is_damaged) return Error(Code::Corrupt, "the damage that was told of is forgotten");
    if (held.at(0).end < good) return Error(Code::Corrupt, "what stood before the damage is gone");
    TRY(segment.send(*door(), good));
    TRY(door()->put(entry(), {}));
    is_closed = true;
    return {};
  }
};

TEST(VaultCrash, H7_damage_that_a_mark_found_is_known_after_power_loss_at_every_file_call) {
  const auto report = sim::for_each_crash_point<SpoiledSegmentOnADyingMachine>({.seed = 7, .lotteries = 2});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 20U) << "the work did not do what it should";
}

}  // namespace
}  // namespace exclave::vault
