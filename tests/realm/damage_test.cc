// Vaults that lie, lose or are away: what capture and restore make of it.
#include <gmock/gmock.h>

#include <map>
#include <mutex>
#include <set>
#include <utility>

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
  // The second snapshot shares packs of the first: `grown` begins in one of those and ends in a new one.
  engine::CaptureReport capture_twice() {
    make_directory("source/d");
    for (int i = 0; i < 3; ++i) write("d/old" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 1));
    Bytes grown = noise(2'000'000, 10);
    write("d/grown", grown);
    let_time_pass();
    capture();
    for (int i = 0; i < 3; ++i) write("d/new" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 20));
    const Bytes more = noise(2'000'000, 11);
    grown.insert(grown.end(), more.begin(), more.end());
    write("d/grown", grown);
    let_time_pass();
    return capture();
  }
  // By pack: the files that need it. Packs that the listing needs are left out.
  std::map<format::ObjectName, std::set<std::string>> files_by_pack(const format::ObjectName& snapshot) {
    std::map<format::ObjectName, std::set<std::string>> files;
    const auto content = must(site().open(snapshot));
    const auto pack_of = [&](const format::ChunkId& id) {
      return content->chunks().pack(must(content->chunks().locate(id)).pack).name;
    };
    must(content->for_each_entry([&](const format::ListingEntry& entry) -> Status {
      for (const format::Slice& slice : entry.slices) files[pack_of(slice.chunk)].insert(entry.path);
      return {};
    }));
    for (const auto& part : content->record().listing) files.erase(pack_of(part.id));
    CHECK(!files.empty());
    return files;
  }
  // The restore is whole but for `paths`, which are named once each and not there.
  void expect_left_out(const Result<engine::RestoreReport>& result, const std::string& target,
                       const std::set<std::string>& paths, Code code = Code::Corrupt) {
    ASSERT_TRUE(failed_with(result, code));
    std::vector<std::string> wanted;
    for (const std::string& path : paths) {
      const std::string line = "\n  " + path + ": ";
      const std::size_t at = result.error().message().find(line);
      EXPECT_NE(at, std::string::npos) << path << "\n" << result.error().message();
      EXPECT_EQ(result.error().message().find(line, at + 1), std::string::npos) << path << " is named twice";
      wanted.push_back("'" + path + "': is missing");
    }
    EXPECT_EQ(differences(files(), source(), target), wanted);
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
  EXPECT_THAT(site().notes.front(), ::testing::HasSubstr("index"));
}

TEST_F(Damage, a_spoiled_index_object_is_rebuilt_too) {
  const auto report = capture_noise();
  const auto lost = indexes_of(report.snapshot);
  for (const auto& tap : site_taps_) tap->spoils = [lost](const auto& name) { return lost.contains(name); };
  expect_restores_as_source(report.snapshot);
  EXPECT_FALSE(site().notes.empty());
}

// The first vault that was asked for a header was believed: no good copy of the pack had the period that it named.
TEST_F(Damage, an_index_is_rebuilt_although_one_vault_lies_about_headers) {
  const auto report = capture_noise();
  const auto lost = indexes_of(report.snapshot);
  const auto packs = packs_of(report.snapshot);
  constexpr std::size_t kLowestByteOfPeriod = 39;
  Mutex mutex;
  std::set<format::ObjectName> honest_about = lost;  // the vault that is asked first lies, whichever it is
  const auto lie_once = [&](const format::ObjectName& name, std::uint64_t offset, MutableByteView answer) {
    const MutexLock lock(mutex);
    if (offset == 0 && packs.contains(name) && honest_about.insert(name).second) answer[kLowestByteOfPeriod] ^= 1;
  };
  for (const auto& tap : site_taps_) tap->alters = lie_once;
  for (const auto& tap : site_taps_) tap->loses = [lost](const auto& name) { return lost.contains(name); };
  expect_restores_as_source(report.snapshot);
  EXPECT_EQ(honest_about.size(), packs.size() + lost.size()) << "each pack was lied about";
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

TEST_F(Damage, a_pack_spoiled_at_every_vault_costs_the_files_that_need_it_and_no_others) {
  const auto report = capture_twice();
  std::size_t packs_of_grown = 0;
  for (const auto& [victim, paths] : files_by_pack(report.snapshot)) {
    for (const auto& tap : site_taps_) tap->spoils = [victim = victim](const auto& name) { return name == victim; };
    const std::string target = at("spoiled-" + victim.hex().substr(0, 8));
    expect_left_out(site().restore(report.snapshot, target), target, paths);
    for (const auto& tap : site_taps_) tap->spoils = {};
    EXPECT_EQ(must(site().restore(report.snapshot, target)).kept_files, 7 - paths.size()) << "it is gone on with";
    expect_equal(source(), target);
    if (paths.contains("d/grown")) ++packs_of_grown;
  }
  EXPECT_GT(packs_of_grown, 1U) << "no file was left out that is whole in part";
}

TEST_F(Damage, a_pack_lost_at_every_vault_costs_the_same_even_when_the_index_is_lost_with_it) {
  const auto report = capture_twice();
  const auto indexes = indexes_of(report.snapshot);
  for (const auto& [victim, paths] : files_by_pack(report.snapshot)) {
    for (const std::string with : {"pack", "index"}) {
      for (const auto& tap : site_taps_) {
        tap->loses = [&indexes, with, victim = victim](const auto& name) {
          return name == victim || (with == "index" && indexes.contains(name));
        };
      }
      const std::string target = at("lost-" + victim.hex().substr(0, 8) + with);
      expect_left_out(site().restore(report.snapshot, target), target, paths);
    }
  }
}

TEST_F(Damage, a_byte_flipped_at_every_vault_costs_one_file_of_the_pack) {
  const auto report = capture_twice();
  const auto [victim, paths] = *files_by_pack(report.snapshot).begin();
  for (const auto& host : hosts_) {
    Bytes bytes = must(files().read_file(host->path_of(victim), 1 << 30));
    bytes[400'000] ^= 4;
    must(files().remove_file(host->path_of(victim)));
    write_file(files(), host->path_of(victim), bytes, 0400);
  }
  const auto result = site().restore(report.snapshot, at("target"));
  const auto missing = differences(files(), source(), at("target"));
  ASSERT_EQ(missing.size(), 1U);
  expect_left_out(result, at("target"), {missing.front().substr(1, missing.front().find("':") - 1)});
}

TEST_F(Damage, a_damaged_listing_stops_a_restore_and_leaves_no_wrong_byte) {
  const auto report = capture_noise();
  for (const auto& victim : packs_of(report.snapshot)) {
    for (const auto& tap : site_taps_) tap->spoils = [victim](const auto& name) { return name == victim; };
    const std::string target = at("spoiled-" + victim.hex().substr(0, 8));
    EXPECT_TRUE(failed_with(site().restore(report.snapshot, target), Code::Corrupt));
    expect_no_wrong_bytes(target);
  }
}

TEST_F(Damage, every_name_of_a_file_that_is_left_out_goes_but_not_what_others_put_there) {
  write("x", noise(2'000'000, 1));
  CHECK(::link(source("x").c_str(), source("y").c_str()) == 0);
  CHECK(::link(source("x").c_str(), source("z").c_str()) == 0);
  let_time_pass();
  capture();
  for (int f = 0; f < 300; ++f) write("f" + std::to_string(1000 + f), "small");
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  auto lost = files_by_pack(report.snapshot);
  std::erase_if(lost, [](const auto& pack) { return !pack.second.contains("x"); });
  ASSERT_FALSE(lost.empty());
  for (const auto& tap : site_taps_) tap->loses = [&lost](const auto& name) { return lost.contains(name); };
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  const auto plant = [&](const engine::CaptureProgress&) { write_file(files(), at("target/y"), as_bytes("theirs")); };
  const auto result = engine::restore_snapshot(env_, *content, report.snapshot, options, times, plant, {});
  ASSERT_TRUE(failed_with(result, Code::Corrupt));
  EXPECT_THAT(result.error().message(),
              ::testing::AllOf(::testing::HasSubstr("all is restored but 2 files"), ::testing::HasSubstr("\n  x: "),
                               ::testing::HasSubstr("\n  y: its name is taken"),
                               ::testing::HasSubstr("\n  z: is another name of 'x'")));
  EXPECT_EQ(must(files().list(at("target"))).size(), 301U);
  EXPECT_EQ(as_text(must(files().read_file(at("target/y"), 100))), "theirs");
}

TEST_F(Damage, what_only_an_absent_vault_may_have_costs_its_files_and_the_rest_is_restored) {
  const auto report = capture_twice();
  const auto [victim, paths] = *files_by_pack(report.snapshot).begin();
  const auto content = must(site().open(report.snapshot));
  for (const auto& tap : site_taps_) tap->loses = [victim = victim](const auto& name) { return name == victim; };
  site_taps_[1]->is_down = true;
  engine::RestoreOptions options;
  options.target = at("target");
  engine::StageTimes times;
  expect_left_out(engine::restore_snapshot(env_, *content, report.snapshot, options, times, {}, {}), at("target"),
                  paths, Code::Unavailable);
  for (const auto& tap : site_taps_) tap->is_down = true;
  EXPECT_TRUE(failed_with(engine::restore_snapshot(env_, *content, report.snapshot, options, times, {}, {}),
                          Code::Unavailable));
  for (const auto& tap : site_taps_) tap->is_down = false;
  for (const auto& tap : site_taps_) tap->loses = {};
  must(site().restore(report.snapshot, at("target")));
  expect_equal(source(), at("target"));
}

TEST_F(Damage, a_pack_that_cannot_be_had_costs_a_rebuilt_index_what_lies_in_it_and_no_more) {
  make_directory("source/d");
  for (int i = 0; i < 3; ++i) write("d/old" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 1));
  let_time_pass();
  const auto first = capture();
  const format::ObjectName victim = *packs_of(first.snapshot).begin();
  for (int i = 0; i < 3; ++i) {
    must(files().remove_file(source("d/old" + std::to_string(i))));
    write("d/new" + std::to_string(i), noise(900'000, static_cast<std::uint64_t>(i) + 20));
  }
  let_time_pass();
  const auto second = capture();
  const auto indexes = indexes_of(second.snapshot);
  for (const auto& tap : site_taps_) {
    tap->loses = [&](const auto& name) { return name == victim; };
    tap->spoils = [&](const auto& name) { return indexes.contains(name); };
  }
  site_taps_[1]->is_down = true;
  must(site().restore(second.snapshot, at("second")));
  expect_equal(source(), at("second"));
  EXPECT_THAT(site().notes, ::testing::Contains(::testing::HasSubstr("can be had when its vault answers")));
  EXPECT_TRUE(failed_with(site().restore(first.snapshot, at("first")), Code::Unavailable)) << "not lost for good";
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

// Each front is genuine by itself; beside it, the segments of the honest vaults looked bad.
TEST_F(Damage, a_front_of_another_genuine_object_at_one_vault_is_gone_round_and_only_that_vault_is_named) {
  make_directory("source/d");
  for (int capture_number = 0; capture_number < 3; ++capture_number) {
    for (int f = 0; f < 3; ++f) {
      write("d/f" + std::to_string(capture_number * 3 + f),
            noise(1'200'000, static_cast<std::uint64_t>(capture_number * 3 + f) + 60));
    }
    let_time_pass();
    capture();
  }
  const auto report = capture();
  const auto content = must(site().open(report.snapshot));
  std::map<std::uint8_t, std::vector<format::ObjectName>> by_class;
  for (std::uint32_t i = 0; i < content->chunks().pack_count(); ++i) {
    by_class[content->chunks().pack(i).size_class].push_back(content->chunks().pack(i).name);
  }
  for (const auto& [size_class, names] : by_class) {
    for (std::size_t i = 0; i < names.size() && names.size() > 1; ++i) {
      site_taps_[1]->swaps[names[i]] = {names[(i + 1) % names.size()], format::kSegmentsOffset};
    }
  }
  // Whichever vault is asked first, until that one was.
  for (int i = 0; i < 4 || (i < 40 && site_taps_[1]->swapped_reads == 0); ++i)
    expect_restores_as_source(report.snapshot);
  ASSERT_GT(site_taps_[1]->swapped_reads, 0U) << "nothing was swapped: the test shows nothing";
  ASSERT_FALSE(site().incidents().empty());
  for (const auto& incident : site().incidents()) EXPECT_EQ(incident.vault, "est") << incident.error.message();
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

// Reads of single chunks would show where they end. Those of the listing are as they are when it is listed.
TEST_F(Damage, H2_verify_shows_no_host_more_of_a_pack_than_that_it_was_read) {
  using Reads = std::map<format::ObjectName, std::multiset<std::pair<std::uint64_t, std::size_t>>>;
  const auto report = capture_noise();
  const auto packs = packs_of(report.snapshot);
  std::mutex mutex;
  Reads reads;
  const auto content = must(site().open(report.snapshot));
  for (auto& tap : site_taps_) {
    tap->alters = [&](const format::ObjectName& name, std::uint64_t offset, MutableByteView answer) {
      const std::lock_guard lock(mutex);
      reads[name].emplace(offset, answer.size());
    };
  }
  must(content->for_each_entry([](const format::ListingEntry&) { return Status(); }));
  const Reads listing = std::exchange(reads, {});
  const auto verdict = must(engine::verify_content(*content, {}));
  EXPECT_TRUE(verdict.findings.empty());
  EXPECT_GT(verdict.chunks, packs.size()) << "one chunk in each shows nothing";
  for (const auto& pack : packs) {
    auto shown = reads[pack];
    if (listing.contains(pack)) {
      for (const auto& read : listing.at(pack)) shown.erase(shown.find(read));
    }
    const std::size_t size = must(files().read_file(hosts_[0]->path_of(pack), 1 << 30)).size();
    EXPECT_THAT(shown, ::testing::ElementsAre(std::pair<std::uint64_t, std::size_t>(0, size)));
  }
}

TEST_F(Damage, verify_holds_what_a_vault_signs_for_against_what_it_says_at_that_moment) {
  static_cast<void>(capture_noise());
  const auto findings_with = [&](const std::function<void(store::StreamHead&)>& reheads) {
    site_taps_[1]->reheads = reheads;
    const auto verdict =
        must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::HeadersOnly, {}));
    std::string all;
    for (const auto& vault : verdict.vaults) {
      for (const std::string& finding : vault.findings) all += vault.vault + ": " + finding + "; ";
    }
    return all;
  };
  const auto before_the_first_entry = [](store::StreamHead& head) {
    head.entries = 0;
    head.receipt.reset();
  };
  EXPECT_EQ(findings_with(before_the_first_entry), "") << "a writer was quicker than verify";
  EXPECT_THAT(findings_with([](store::StreamHead& head) { head.receipt.reset(); }),
              ::testing::HasSubstr("gives no receipt"));
  EXPECT_THAT(findings_with([](store::StreamHead& head) { ++head.entries; }), ::testing::HasSubstr("est: stream"));
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
