// Vaults that were away, were emptied or have rotten disks, and what the others make good.
#include <gmock/gmock.h>

#include "engine/verify.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class Repair : public PosixRealm {
 protected:
  static constexpr std::size_t kEst = 1;

  engine::CaptureReport capture_noise(std::uint64_t seed) {
    make_directory("source/d");
    for (std::uint64_t i = 0; i < 3; ++i) write("d/f" + std::to_string(i), noise(700'000, 10 * seed + i));
    let_time_pass();
    return capture();
  }
  // The other vaults as est reaches them, through taps.
  std::vector<std::unique_ptr<TapVault>> others_of(VaultHost& host) {
    std::vector<std::unique_ptr<TapVault>> others;
    for (const auto& other : hosts_) {
      if (other->entry().name == host.entry().name) continue;
      others.push_back(std::make_unique<TapVault>(other->door(machine_key(host.entry().name + " identity"))));
    }
    return others;
  }
  vault::RepairReport repair(VaultHost& host, const std::vector<std::unique_ptr<TapVault>>& others,
                             vault::Scrub scrub = vault::Scrub::No) {
    vault::RepairOptions options;
    options.scrub = scrub;
    const auto report = host.vault().repair(pointers(others), options, {});
    EXPECT_FALSE(report.error.has_value()) << report.error->message();
    return report;
  }
  vault::RepairReport repair_est(vault::Scrub scrub = vault::Scrub::No) {
    return repair(*hosts_[kEst], others_of(*hosts_[kEst]), scrub);
  }
  engine::HoldingsVerdict verdict() {
    return must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::EveryByte, {}));
  }
  // From this vault's bytes alone.
  void expect_restores_alone(VaultHost& host, const format::ObjectName& snapshot) {
    std::vector<std::unique_ptr<TapVault>> door;
    door.push_back(std::make_unique<TapVault>(host.door(keys().site())));
    Site alone(env(), keys(), pointers(door));
    const std::string target = at("alone" + std::to_string(++restores_));
    ASSERT_TRUE(is_ok(alone.restore(snapshot, target)));
    expect_equal(source(), target);
  }
  std::vector<format::ObjectName> objects_at_est() {
    std::vector<format::ObjectName> names;
    for (const auto& object : must(site().holdings()).objects) names.push_back(object.name);
    return names;
  }
  void overwrite(const std::string& path, ByteView content) {
    must(files().remove_file(path));
    write_file(files(), path, content, 0400);
  }
  int restores_ = 0;
};

TEST_F(Repair, a_vault_that_missed_a_capture_is_filled_from_the_others) {
  capture_noise(1);
  writer_taps_[kEst]->is_down = true;
  const auto missed = capture_noise(2);
  writer_taps_[kEst]->is_down = false;
  EXPECT_TRUE(verdict().is_behind());

  const auto report = repair_est();
  EXPECT_TRUE(report.is_whole());
  EXPECT_EQ(report.entries, missed.entries);
  EXPECT_EQ(report.objects, missed.entries);
  EXPECT_TRUE(verdict().is_clean());
  expect_restores_alone(*hosts_[kEst], missed.snapshot);
  EXPECT_FALSE(repair_est().did_anything()) << "nothing is left to do";
}

TEST_F(Repair, a_burnt_vault_is_filled_whole_and_carries_on_taking_captures) {
  capture_noise(1);
  const auto last = capture_noise(2);
  VaultHost fresh(env(), at("fresh"), keys(), kEst);
  const auto report = repair(fresh, others_of(fresh));
  EXPECT_TRUE(report.is_whole());
  expect_restores_alone(fresh, last.snapshot);

  std::vector<std::unique_ptr<TapVault>> doors;
  for (const auto& host : hosts_) {
    VaultHost& door_of = host->entry().name == fresh.entry().name ? fresh : *host;
    doors.push_back(std::make_unique<TapVault>(door_of.door(keys().writer())));
  }
  agent_.reset();
  Agent agent(env(), at("agent"), keys(), pointers(doors));
  write("d/new", noise(100'000, 99));
  let_time_pass();
  const auto next = must(agent.capture(source()));
  EXPECT_TRUE(next.vaults_behind().empty());
  expect_restores_alone(fresh, next.snapshot);
}

TEST_F(Repair, L6_a_scrub_finds_every_kind_of_rot_and_replaces_it_from_another_vault) {
  const auto last = capture_noise(1);
  VaultHost& est = *hosts_[kEst];
  const auto names = objects_at_est();
  ASSERT_GE(names.size(), 3U);
  Bytes flipped = must(files().read_file(est.path_of(names[0]), 1 << 25));
  flipped[flipped.size() / 3] ^= 1;
  overwrite(est.path_of(names[0]), flipped);
  const Bytes whole = must(files().read_file(est.path_of(names[1]), 1 << 25));
  overwrite(est.path_of(names[1]), ByteView(whole).first(whole.size() / 2));
  must(files().remove_file(est.path_of(names[2])));
  const auto damaged = verdict();
  EXPECT_TRUE(damaged.is_damaged());
  std::vector<std::string> findings;
  for (const auto& each : damaged.vaults) findings.insert(findings.end(), each.findings.begin(), each.findings.end());
  EXPECT_THAT(findings, Contains(format::object_words(names[2]) + " is missing"));

  const auto report = repair_est(vault::Scrub::FromTheStart);
  EXPECT_TRUE(report.is_whole());
  EXPECT_EQ(report.checked_objects, names.size());
  EXPECT_EQ(report.damaged, 3U);
  EXPECT_EQ(report.replaced, 3U);
  EXPECT_TRUE(verdict().is_clean());
  expect_restores_alone(est, last.snapshot);
  const std::string objects(env::parent_path(env::parent_path(est.path_of(names[0]))));
  const std::string aside = objects + "/damaged/" + names[0].hex() + "-1";
  EXPECT_EQ(must(files().read_file(aside, 1 << 25)), flipped) << "repair never destroys evidence";
}

TEST_F(Repair, what_no_other_vault_holds_whole_is_named_and_left_as_it_is) {
  capture_noise(1);
  const auto name = objects_at_est().front();
  for (const auto& host : hosts_) {
    Bytes rotten = must(files().read_file(host->path_of(name), 1 << 25));
    rotten[200] ^= 1;
    overwrite(host->path_of(name), rotten);
  }
  const auto report = repair_est(vault::Scrub::FromTheStart);
  EXPECT_EQ(report.damaged, 1U);
  EXPECT_EQ(report.replaced, 0U);
  EXPECT_THAT(report.problems, Contains(HasSubstr("no other vault gives a good copy")));
  EXPECT_TRUE(files().stat(hosts_[kEst]->path_of(name)).ok());
}

TEST_F(Repair, a_vault_that_gives_wrong_bytes_is_named_and_gone_round) {
  writer_taps_[kEst]->is_down = true;
  const auto missed = capture_noise(1);
  const auto others = others_of(*hosts_[kEst]);
  others[0]->spoils = [](const format::ObjectName&) { return true; };
  const auto report = repair(*hosts_[kEst], others);
  EXPECT_EQ(report.entries, missed.entries);
  EXPECT_THAT(report.problems, Contains(HasSubstr("its bytes have another name")));
  expect_restores_alone(*hosts_[kEst], missed.snapshot);
}

TEST_F(Repair, a_vault_that_does_not_answer_is_named_and_the_other_one_is_enough) {
  writer_taps_[kEst]->is_down = true;
  const auto missed = capture_noise(1);
  const auto others = others_of(*hosts_[kEst]);
  others[0]->is_down = true;
  const auto report = repair(*hosts_[kEst], others);
  EXPECT_EQ(report.unreachable.size(), 1U);
  EXPECT_EQ(report.entries, missed.entries);
  expect_restores_alone(*hosts_[kEst], missed.snapshot);
}

TEST_F(Repair, H10_a_stream_that_no_pinned_writer_signed_is_not_taken_over) {
  capture_noise(1);
  const RealmKeys forged(keys().era().starts_seconds + 3 * 86'400, {.writer = "writer forger"});
  std::vector<std::unique_ptr<VaultHost>> hosts;
  std::vector<std::unique_ptr<TapVault>> doors;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    hosts.push_back(std::make_unique<VaultHost>(env(), at("forger" + std::to_string(i)), forged, i));
    doors.push_back(std::make_unique<TapVault>(hosts.back()->door(forged.writer())));
  }
  Agent agent(env(), at("forgers-agent"), forged, pointers(doors));
  must(agent.capture(source()));
  std::vector<std::unique_ptr<TapVault>> others;
  others.push_back(std::make_unique<TapVault>(hosts[0]->door(machine_key("est identity"))));
  const auto report = repair(*hosts_[kEst], others);
  EXPECT_EQ(report.entries, 0U);
  EXPECT_THAT(report.problems, Contains(HasSubstr("nobody who ever was its registry's writer")));
  EXPECT_TRUE(verdict().is_clean());
}

TEST_F(Repair, L1_each_reading_between_vaults_is_signed_counted_and_shown) {
  writer_taps_[kEst]->is_down = true;
  const auto missed = capture_noise(1);
  const auto report = repair_est();
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    for (const auto& reader : must(site_taps_[i]->status()).readings) {
      EXPECT_EQ(reader.vault, "est");
      objects += reader.objects;
      bytes += reader.bytes;
    }
  }
  EXPECT_EQ(objects, missed.entries);
  EXPECT_EQ(bytes, report.bytes);
}

TEST_F(Repair, L1_a_vault_reads_nothing_that_it_has_not_announced_and_that_once) {
  capture_noise(1);
  const auto name = objects_at_est().front();
  const auto& reader = hosts_[kEst]->entry();
  const auto& holder = hosts_[0]->entry();
  const auto door = hosts_[0]->door(machine_key(reader.name + " identity"));
  Bytes object(static_cast<std::size_t>(must(door->size_of(name))));
  EXPECT_TRUE(failed_with(door->read(name, 0, object), Code::Denied));

  format::Reading reading{keys().policy().realm, reader.receipt, holder.receipt, name, 1};
  const auto receipt_key = machine_key(reader.name + " receipt");
  EXPECT_TRUE(failed_with(door->announce_reading(format::SignedReading::sign(reading, machine_key("che receipt"))),
                          Code::Denied))
      << "signed by somebody else";
  reading.holder = hosts_[2]->entry().receipt;
  EXPECT_TRUE(failed_with(door->announce_reading(format::SignedReading::sign(reading, receipt_key)), Code::Denied))
      << "meant for another vault";
  reading.holder = holder.receipt;
  EXPECT_TRUE(is_ok(door->announce_reading(format::SignedReading::sign(reading, receipt_key))));
  EXPECT_TRUE(is_ok(door->read(name, 0, object)));
  EXPECT_TRUE(failed_with(door->read(name, 0, object), Code::Denied)) << "bought once, read once";
}

}  // namespace
}  // namespace exclave::realm_tests
