#include "vault/repairer.h"

#include <gmock/gmock.h>

#include "tests/conformance/vault_bench.h"
#include "tests/conformance/worlds.h"

namespace exclave::vault {
namespace {

using conformance::BenchRealm;
using conformance::machine_key;
using conformance::must;
using conformance::sealed_object;
using conformance::WriterStream;
using ::testing::Contains;
using ::testing::HasSubstr;

// One vault on a simulated machine of its own.
class Host {
 public:
  Host(sim::Machine& machine, const BenchRealm& realm, std::string name)
      : machine_(machine), realm_(realm), name_(std::move(name)) {
    auto people = policy::SignedEra::sign(realm.era_document(realm.people(), 1), realm.realm.ceremony);
    must(create(world(), "/srv/vault",
                {to_bytes(realm.first.document), to_bytes(realm.era.document), to_bytes(people.document)}, tables()));
    restart();
  }
  Result<std::unique_ptr<Vault>> reopen() {
    vault_.reset();
    return Vault::open(world(), "/srv/vault", machine_key(name_ + " receipt"), tables(),
                       {.program = "exclave test", .store = {.reserve_bytes = 1 << 20}});
  }
  void restart() { vault_ = must(reopen()); }

  Vault& vault() { return *vault_; }
  sim::Machine& machine() { return machine_; }
  env::FileSystem& files() { return machine_.env().files; }
  std::unique_ptr<store::VaultApi> as(const crypto::Ed25519SigningKey& identity) {
    return std::make_unique<EmbeddedVault>(*vault_, wire::Caller{identity.public_key()}, *realm_.policy().vault(name_),
                                           realm_.policy().realm);
  }
  std::string path_of(const format::ObjectName& name) const {
    return "/srv/vault/objects/" + name.hex().substr(0, 2) + "/" + name.hex();
  }
  Bytes file_of(const format::ObjectName& name) { return must(files().read_file(path_of(name), 1 << 25)); }
  void overwrite(const format::ObjectName& name, ByteView bytes) {
    must(files().remove_file(path_of(name)));
    must(env::create_file_durably(files(), path_of(name), bytes, 0400));
  }
  void rot(const format::ObjectName& name) {
    Bytes bytes = file_of(name);
    bytes[bytes.size() / 3] ^= 1;
    overwrite(name, bytes);
  }
  std::size_t set_aside() {
    const auto aside = files().list("/srv/vault/objects/damaged");
    return aside.ok() ? aside.value().size() : 0;
  }

 private:
  World world() const {
    const env::Env env = machine_.env();
    return {env.files, env.clock, env.log, env.threads};
  }
  OpenTable tables() const {
    return [this](const std::string& path) {
      return table::open_log_table(machine_.env().files, machine_.env().threads, path);
    };
  }

  sim::Machine& machine_;
  const BenchRealm& realm_;
  const std::string name_;
  std::unique_ptr<Vault> vault_;
};

// lux is repaired from est and che.
class RepairerTest : public ::testing::Test {
 protected:
  Bytes object(std::uint64_t fill) const { return sealed_object({.registry = realm_.land(), .fill = fill}); }
  // The stream's next entry with this object, at these vaults.
  void put(WriterStream& stream, const crypto::Ed25519SigningKey& writer, ByteView sealed,
           const std::vector<Host*>& hosts) {
    const auto entry = stream.next(format::name_of(sealed));
    for (Host* host : hosts) {
      const auto door = host->as(writer);
      must(door->open_stream(stream.stream()));
      must(door->put(entry, sealed));
    }
  }
  void put(std::uint64_t fill, const std::vector<Host*>& hosts) { put(stream_, realm_.writer(), object(fill), hosts); }
  RepairReport repair(const RepairOptions& options = {}) {
    const auto from_est = est_.as(machine_key("lux identity"));
    const auto from_che = che_.as(machine_key("lux identity"));
    return lux_.vault().repair({from_est.get(), from_che.get()}, options, {});
  }
  store::StreamHead head_at_lux() { return must(lux_.as(realm_.site())->heads(realm_.land())).at(0); }
  std::uint64_t read_by_lux(Host& host) {
    const auto readings = must(host.as(realm_.site())->status()).readings;
    return readings.empty() ? 0 : readings[0].objects;
  }

  const BenchRealm realm_;
  sim::Universe universe_{1};
  Host lux_{universe_.machine("lux"), realm_, "lux"};
  Host est_{universe_.machine("est"), realm_, "est"};
  Host che_{universe_.machine("che"), realm_, "che"};
  WriterStream stream_{realm_, realm_.writer(), realm_.land()};
};

TEST_F(RepairerTest, L1_a_registry_at_its_quota_stops_neither_other_registries_nor_the_scrub) {
  put(1, {&lux_, &est_});
  lux_.rot(format::name_of(object(1)));
  put(2, {&est_});
  WriterStream people(realm_, realm_.other_writer, realm_.people());
  put(people, realm_.other_writer, sealed_object({.registry = realm_.people(), .fill = 3}), {&est_});
  const auto small =
      realm_.successor(realm_.first, [](policy::Policy& next) { next.registries[0].quota_bytes = 300'000; });
  must(lux_.as(realm_.site())->put_act(as_bytes(small.document)));

  const auto report = repair({.scrub = Scrub::FromTheStart});
  EXPECT_FALSE(report.error.has_value());
  EXPECT_THAT(report.problems, Contains(HasSubstr("quota of registry " + realm_.land().hex())));
  EXPECT_EQ(report.entries, 1U) << "the other registry's";
  EXPECT_EQ(report.replaced, 1U);
}

TEST_F(RepairerTest, L1_a_full_disk_ends_the_filling_but_not_the_scrub_and_the_report_comes_with_the_error) {
  put(1, {&lux_, &est_});
  must(lux_.files().remove_file(lux_.path_of(format::name_of(object(1)))));
  put(2, {&est_});
  put(3, {&est_});
  lux_.machine().disk().set_capacity_bytes(lux_.machine().disk().used_bytes() + (1 << 20));
  const auto report = repair({.scrub = Scrub::FromTheStart});
  ASSERT_TRUE(report.error.has_value());
  EXPECT_EQ(report.error->code(), Code::Exhausted);
  EXPECT_EQ(report.checked_objects, 1U);
  EXPECT_EQ(report.damaged, 1U);
}

TEST_F(RepairerTest, L1_repair_goes_on_behind_an_object_that_nobody_has) {
  for (std::uint64_t fill = 0; fill < 5; ++fill) put(fill, {&est_, &che_});
  const Bytes gone = object(2);
  est_.rot(format::name_of(gone));
  che_.rot(format::name_of(gone));
  const auto report = repair();
  EXPECT_FALSE(report.error.has_value());
  EXPECT_EQ(report.entries, 4U);
  EXPECT_THAT(report.problems, Contains(HasSubstr("no other vault gives a good copy")));
  EXPECT_EQ(head_at_lux().entries, 4U);
  EXPECT_EQ(head_at_lux().receipt->receipt.index, format::EntryIndex(1)) << "no head reaches beyond the gap";
  EXPECT_EQ(read_by_lux(est_) + read_by_lux(che_), 4U + 2U) << "what is missing was asked for once at each";

  est_.overwrite(format::name_of(gone), gone);
  EXPECT_EQ(repair().entries, 1U);
  EXPECT_EQ(head_at_lux().receipt->receipt.index, format::EntryIndex(4));
}

// EMFILE says nothing about the objects.
TEST_F(RepairerTest, a_scrub_that_cannot_open_files_changes_nothing) {
  for (std::uint64_t fill = 0; fill < 3; ++fill) put(fill, {&lux_, &est_});
  lux_.machine().inject(
      {.call = sim::FileCall::Open, .path_part = "/objects/", .times = sim::kForEver, .code = Code::Exhausted});
  const auto report = repair({.scrub = Scrub::FromTheStart});
  lux_.machine().clear_faults();
  ASSERT_TRUE(report.error.has_value());
  EXPECT_EQ(report.error->code(), Code::Exhausted) << report.error->message();
  EXPECT_EQ(report.damaged, 0U);
  EXPECT_EQ(lux_.set_aside(), 0U);
  EXPECT_EQ(read_by_lux(est_), 0U);
  for (std::uint64_t fill = 0; fill < 3; ++fill) EXPECT_EQ(lux_.file_of(format::name_of(object(fill))), object(fill));
}

TEST_F(RepairerTest, a_damaged_object_stays_in_place_until_the_good_copy_has_room) {
  put(1, {&lux_, &est_});
  lux_.rot(format::name_of(object(1)));
  const Bytes rotten = lux_.file_of(format::name_of(object(1)));
  lux_.machine().disk().set_capacity_bytes(lux_.machine().disk().used_bytes() + (1 << 20));
  const auto full = repair({.scrub = Scrub::FromTheStart});
  EXPECT_FALSE(full.error.has_value());
  EXPECT_THAT(full.problems, Contains(HasSubstr("there is no room for a good copy")));
  EXPECT_EQ(lux_.file_of(format::name_of(object(1))), rotten);
  EXPECT_EQ(lux_.set_aside(), 0U);
  lux_.machine().disk().set_capacity_bytes(std::uint64_t{1} << 40);
  EXPECT_EQ(repair({.scrub = Scrub::FromTheStart}).replaced, 1U);
  EXPECT_EQ(lux_.file_of(format::name_of(object(1))), object(1));
  EXPECT_EQ(lux_.set_aside(), 1U);
}

TEST_F(RepairerTest, a_damaged_era_document_is_fetched_again_and_does_not_stop_the_vault) {
  const std::string era = "/srv/vault/acts/" + realm_.era.hash.hex();
  const auto longer = realm_.successor(realm_.first, [](policy::Policy& next) { next.expires_seconds += 1; });
  for (Host* host : {&lux_, &est_}) must(host->as(realm_.site())->put_act(as_bytes(longer.document)));
  must(lux_.machine().disk().flip_bit(era, 40));
  must(lux_.files().remove_file("/srv/vault/acts/" + realm_.first.file_hash.hex()));
  lux_.restart();
  const auto site = lux_.as(realm_.site());
  EXPECT_EQ(must(site->acts()).size(), 2U) << "the others are in force, and these two are not shown";
  EXPECT_TRUE(lux_.machine().has_logged("it is missing here until somebody hands it in"));

  EXPECT_EQ(repair().acts, 2U);
  EXPECT_EQ(must(site->acts()).size(), 4U);
  EXPECT_EQ(must(site->act(realm_.era.hash)), to_bytes(realm_.era.document));
  put(1, {&lux_});
  lux_.restart();
  EXPECT_EQ(must(lux_.as(realm_.site())->acts()).size(), 4U) << "for good";

  must(lux_.machine().disk().flip_bit("/srv/vault/acts/" + longer.file_hash.hex(), 40));
  EXPECT_TRUE(conformance::failed_with(lux_.reopen(), Code::Corrupt)) << "what rules here must be known";
}

TEST_F(RepairerTest, a_scrub_that_was_asked_for_reads_every_object) {
  constexpr std::uint64_t kObjects = kScrubStep + 6;
  for (std::uint64_t fill = 0; fill < kObjects; ++fill) put(fill, {&lux_});
  RepairOptions little_by_little;
  little_by_little.scrub = Scrub::Resume;
  little_by_little.scrub_bytes_per_second = 1 << 20;
  little_by_little.scrub_time = std::chrono::seconds(1);
  EXPECT_EQ(repair(little_by_little).checked_objects, kScrubStep);
  EXPECT_EQ(repair({.scrub = Scrub::FromTheStart}).checked_objects, kObjects);
  EXPECT_EQ(repair(little_by_little).checked_objects, kScrubStep);
  EXPECT_EQ(repair(little_by_little).checked_objects, kObjects - kScrubStep) << "and goes on where it was";
}

TEST_F(RepairerTest, L6_an_object_lost_everywhere_shows_in_status_until_it_is_back) {
  put(1, {&lux_, &est_});
  put(2, {&lux_, &est_});
  const Bytes lost = object(1);
  lux_.rot(format::name_of(lost));
  est_.rot(format::name_of(lost));
  const auto damaged = [&] { return must(lux_.as(realm_.site())->status()).damaged_objects; };
  EXPECT_EQ(damaged(), 0U);
  EXPECT_EQ(repair({.scrub = Scrub::FromTheStart}).replaced, 0U);
  EXPECT_EQ(damaged(), 1U);

  for (int start = 0; start < 2; ++start) {
    const Bytes later = object(3 + static_cast<std::uint64_t>(start));
    EXPECT_FALSE(must(lux_.as(realm_.writer())->put(stream_.next(format::name_of(later)), later)).has_value())
        << "nothing new is signed above what is lost";
    EXPECT_EQ(head_at_lux().receipt->receipt.index, format::EntryIndex(1)) << "what was signed stays said";
    EXPECT_EQ(repair().replaced, 0U);
    lux_.restart();
    EXPECT_EQ(damaged(), 1U);
  }
  est_.overwrite(format::name_of(lost), lost);
  EXPECT_EQ(repair().replaced, 1U) << "without a scrub: it is known what to look for";
  EXPECT_EQ(damaged(), 0U);
  EXPECT_EQ(head_at_lux().receipt->receipt.index, format::EntryIndex(3));
}

TEST_F(RepairerTest, L6_a_writer_that_still_has_a_lost_object_heals_it) {
  put(1, {&lux_});
  const Bytes lost = object(1);
  lux_.rot(format::name_of(lost));
  repair({.scrub = Scrub::FromTheStart});
  const auto writer = lux_.as(realm_.writer());
  const auto again = stream_.next(format::name_of(lost));
  EXPECT_TRUE(conformance::failed_with(writer->put(again, {}), Code::NotFound)) << "what is lost is not held";
  EXPECT_TRUE(must(writer->put(again, lost)).has_value());
  EXPECT_EQ(must(lux_.as(realm_.site())->status()).damaged_objects, 0U);
  EXPECT_EQ(lux_.file_of(format::name_of(lost)), lost);
}

}  // namespace
}  // namespace exclave::vault
