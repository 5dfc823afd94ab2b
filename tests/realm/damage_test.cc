// Vaults that lie, lose or are away: what capture and restore make of it.
#include <gmock/gmock.h>

#include <map>

#include "engine/verify.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

class Damage : public PosixRealm {
 protected:
  // Incompressible files; every pack and index object is known afterwards.
  engine::CaptureReport capture_noise() {
    make_directory("source/d");
    for (int i = 0; i < 6; ++i) write("d/f" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 1));
    let_time_pass();
    return capture();
  }
  std::set<format::ObjectName> indexes_of(const format::ObjectName& snapshot) {
    std::set<format::ObjectName> names;
    const auto content = must(site().open(snapshot));
    for (const auto& index : content->record().indexes) names.insert(index.name);
    CHECK(!names.empty());
    return names;
  }
  std::set<format::ObjectName> packs_of(const format::ObjectName& snapshot) {
    std::set<format::ObjectName> names;
    const auto content = must(site().open(snapshot));
    for (std::uint32_t i = 0; i < content->chunks().pack_count(); ++i) names.insert(content->chunks().pack(i).name);
    CHECK(!names.empty());
    return names;
  }
  // What lies in the target is right as far as it goes: a file is missing, unfinished (zeros), or as it was.
  void expect_no_wrong_bytes(const std::string& target) {
    if (!files().stat(target + "/d").ok()) return;
    for (const std::string& name : must(files().list(target + "/d"))) {
      const Bytes found = must(files().read_file(target + "/d/" + name, 1 << 30));
      const Bytes wanted = must(files().read_file(source("d/" + name), 1 << 30));
      ASSERT_LE(found.size(), wanted.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        if (found[i] != 0 && found[i] != wanted[i]) FAIL() << name << " has a wrong byte at " << i;
      }
    }
  }
};

TEST_F(Damage, a_lost_index_object_is_rebuilt_from_the_packs_and_said_so) {
  const auto report = capture_noise();
  const auto lost = indexes_of(report.snapshot);
  for (const auto& tap : site_taps_) tap->loses = [lost](const auto& name) { return lost.contains(name); };
  expect_restores_as_source(report.snapshot);
  ASSERT_FALSE(site().notes.empty());
  EXPECT_THAT(site().notes.front(), testing::HasSubstr("index"));
}

TEST_F(Damage, a_spoiled_index_object_is_rebuilt_too) {
  const auto report = capture_noise();
  const auto lost = indexes_of(report.snapshot);
  for (const auto& tap : site_taps_) tap->spoils = [lost](const auto& name) { return lost.contains(name); };
  expect_restores_as_source(report.snapshot);
  EXPECT_FALSE(site().notes.empty());
}

TEST_F(Damage, a_copy_that_fails_its_check_is_gone_round_and_named) {
  const auto report = capture_noise();
  site_taps_[0]->spoils = [](const auto&) { return true; };
  site_taps_[2]->spoils = [](const auto&) { return true; };
  expect_restores_as_source(report.snapshot);
  EXPECT_GT(site_taps_[0]->spoiled_reads + site_taps_[2]->spoiled_reads, 0U);
  const auto incidents = site().incidents();
  ASSERT_FALSE(incidents.empty());
  for (const auto& incident : incidents) {
    EXPECT_NE(incident.vault, "est");
    EXPECT_EQ(incident.error.code(), Code::Corrupt);
  }
}

TEST_F(Damage, a_pack_spoiled_at_every_vault_is_corrupt_and_leaves_no_wrong_byte) {
  const auto report = capture_noise();
  const auto packs = packs_of(report.snapshot);
  for (const auto& victim : packs) {
    for (const auto& tap : site_taps_) tap->spoils = [victim](const auto& name) { return name == victim; };
    const std::string target = at("spoiled-" + victim.hex().substr(0, 8));
    EXPECT_TRUE(failed_with(site().restore(report.snapshot, target), Code::Corrupt));
    expect_no_wrong_bytes(target);
  }
  for (const auto& tap : site_taps_) tap->spoils = {};
  expect_restores_as_source(report.snapshot);
}

// Found by a first user: every segment of a swapped object is authentic, so only the chunk's id and the object's name
// tell. Fails without ChunkSource::decode's second fetch.
TEST_F(Damage, genuine_objects_swapped_on_one_vaults_disk_are_gone_round) {
  for (int i = 0; i < 3; ++i) {
    write("swap" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 50));
    let_time_pass();
    capture();
  }
  const auto report = capture_noise();
  std::map<std::size_t, std::vector<format::ObjectName>> by_size;
  for (const auto& pack : packs_of(report.snapshot)) {
    by_size[must(files().read_file(hosts_[1]->path_of(pack), 1 << 30)).size()].push_back(pack);
  }
  std::size_t swapped = 0;
  for (const auto& [size, names] : by_size) {
    if (names.size() < 2) continue;
    std::vector<Bytes> contents;
    for (const auto& name : names) contents.push_back(must(files().read_file(hosts_[1]->path_of(name), 1 << 30)));
    for (std::size_t i = 0; i < names.size(); ++i) {
      must(files().remove_file(hosts_[1]->path_of(names[i])));
      write_file(files(), hosts_[1]->path_of(names[i]), contents[(i + 1) % contents.size()], 0400);
      ++swapped;
    }
  }
  ASSERT_GT(swapped, 1U) << "nothing could be swapped: the test shows nothing";
  for (int i = 0; i < 4; ++i) expect_restores_as_source(report.snapshot);  // whichever vault is asked first
  const auto content = must(site().open(report.snapshot));
  EXPECT_TRUE(must(engine::verify_content(*content, {})).findings.empty());
}

TEST_F(Damage, bits_flipped_on_a_vaults_disk_are_found_by_verify_and_gone_round_by_restore) {
  const auto report = capture_noise();
  for (const auto& pack : packs_of(report.snapshot)) {
    const std::string path = hosts_[1]->path_of(pack);
    Bytes bytes = must(files().read_file(path, 1 << 30));
    bytes[bytes.size() / 3] ^= 4;
    must(files().remove_file(path));
    write_file(files(), path, bytes, 0400);
  }
  expect_restores_as_source(report.snapshot);
  const auto verdict =
      must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::EveryByte, {}));
  EXPECT_FALSE(verdict.is_clean());
  for (const auto& vault : verdict.vaults) {
    EXPECT_EQ(vault.finding_count > 0, vault.vault == "est") << vault.vault;
  }
  const auto content = must(site().open(report.snapshot));
  EXPECT_TRUE(must(engine::verify_content(*content, {})).findings.empty()) << "two copies are good";
}

TEST_F(Damage, verify_finds_nothing_where_nothing_is_wrong) {
  const auto report = capture_noise();
  const auto verdict =
      must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::EveryByte, {}));
  EXPECT_TRUE(verdict.is_clean());
  const auto content = must(site().open(report.snapshot));
  const auto read = must(engine::verify_content(*content, {}));
  EXPECT_TRUE(read.findings.empty());
  EXPECT_EQ(read.entries, 8U);
}

TEST_F(Damage, a_capture_with_one_vault_away_is_durable_and_names_it) {
  writer_taps_[1]->is_down = true;
  const auto report = capture_noise();
  EXPECT_EQ(report.vaults_behind(), std::vector<std::string>{"est"});
  site_taps_[1]->is_down = true;
  site_taps_[0]->is_down = true;
  expect_restores_as_source(report.snapshot);
}

TEST_F(Damage, a_vault_that_goes_away_during_a_capture_is_behind_and_the_capture_goes_on) {
  writer_taps_[2]->puts_left = 1;
  const auto report = capture_noise();
  EXPECT_EQ(report.vaults_behind(), std::vector<std::string>{writer_taps_[2]->name()});
  expect_restores_as_source(report.snapshot);
}

TEST_F(Damage, with_two_of_three_vaults_away_nothing_is_captured) {
  capture_noise();
  write("d/new", noise(500'000, 50));
  writer_taps_[0]->is_down = true;
  writer_taps_[1]->fails_puts = true;
  EXPECT_TRUE(failed_with(agent_->capture(source()), Code::Unavailable));
  EXPECT_EQ(must(site().holdings()).snapshots.size(), 1U);
}

TEST_F(Damage, a_capture_after_an_interrupted_one_does_not_send_again_what_has_receipts) {
  // Four packs of 16 MiB; two vaults go away after two of them.
  for (int i = 0; i < 6; ++i) write("f" + std::to_string(i), noise(10 << 20, static_cast<std::uint64_t>(i) + 1));
  let_time_pass();
  writer_taps_[0]->puts_left = 2;
  writer_taps_[1]->puts_left = 2;
  EXPECT_TRUE(failed_with(agent_->capture(source()), Code::Unavailable));
  EXPECT_EQ(must(site().holdings()).snapshots.size(), 0U);
  for (const auto& tap : writer_taps_) {
    tap->puts = 0;
    tap->puts_left = 1000;
  }
  const auto report = capture();
  EXPECT_LE(report.packs.chunk_bytes, 48U << 20) << "at least one pack was known to be held";
  EXPECT_GT(report.packs.chunk_bytes, 10U << 20);
  expect_restores_as_source(report.snapshot);
}

TEST_F(Damage, no_vault_at_all_is_unavailable_on_both_sides) {
  const auto report = capture_noise();
  for (const auto& tap : site_taps_) tap->is_down = true;
  EXPECT_TRUE(failed_with(site().restore(report.snapshot, at("target")), Code::Unavailable));
  for (const auto& tap : writer_taps_) tap->is_down = true;
  EXPECT_TRUE(failed_with(agent_->capture(source()), Code::Unavailable));
}

}  // namespace
}  // namespace exclave::realm_tests
