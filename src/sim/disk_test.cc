// What a power loss, a kill, bit rot and a full disk leave behind.
#include "sim/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "env/exists.h"
#include "sim/universe.h"

namespace exclave::sim {
namespace {

constexpr std::size_t kSector = 512;

class DiskTest : public ::testing::Test {
 protected:
  env::FileSystem& files() { return lux.env().files; }
  std::unique_ptr<env::WritableFile> log(std::string_view path) { return files().open_log(path).take(); }
  void power_cycle() {
    lux.crash();
    lux.restart();
  }
  std::string text(std::string_view path) {
    const auto content = lux.disk().content(path);
    return content.ok() ? std::string(as_text(content.value()))
                        : "(" + std::string(name_of(content.error().code())) + ")";
  }

  Universe universe{7};
  Machine& lux = universe.machine("lux");
};

TEST_F(DiskTest, unsynced_data_are_lost_and_synced_data_stay) {
  lux.set_survival(Survival::Nothing);
  auto file = log("/log");
  ASSERT_TRUE(file->append(as_bytes("synced ")).ok());
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(file->append(as_bytes("not synced")).ok());
  EXPECT_EQ(text("/log"), "synced not synced");
  power_cycle();
  EXPECT_EQ(text("/log"), "synced ");
}

TEST_F(DiskTest, a_kill_loses_nothing) {
  lux.set_survival(Survival::Nothing);
  auto file = log("/log");
  ASSERT_TRUE(file->append(as_bytes("not synced")).ok());
  auto directory = files().open_directory("/").take();
  ASSERT_TRUE(directory->create_directory("sub", 0700).ok());
  lux.kill();
  lux.restart();
  EXPECT_EQ(text("/log"), "not synced");
  EXPECT_TRUE(lux.disk().exists("/sub"));
}

TEST_F(DiskTest, power_loss_after_a_kill_still_loses) {
  lux.set_survival(Survival::Nothing);
  ASSERT_TRUE(log("/log")->append(as_bytes("not synced")).ok());
  lux.kill();
  lux.crash();
  lux.restart();
  EXPECT_EQ(text("/log"), "");
}

TEST_F(DiskTest, a_synced_file_without_a_synced_name_is_lost) {
  lux.set_survival(Survival::Nothing);
  auto directory = files().open_directory("/").take();
  auto file = directory->create_file("f", 0600).take();
  ASSERT_TRUE(file->append(as_bytes("data")).ok());
  ASSERT_TRUE(file->sync().ok());
  power_cycle();
  EXPECT_FALSE(lux.disk().exists("/f"));
}

TEST_F(DiskTest, a_synced_name_without_synced_data_is_an_empty_file) {
  lux.set_survival(Survival::Nothing);
  auto directory = files().open_directory("/").take();
  ASSERT_TRUE(directory->create_file("f", 0600).take()->append(as_bytes("data")).ok());
  ASSERT_TRUE(files().sync_directory("/").ok());
  power_cycle();
  EXPECT_EQ(text("/f"), "");
}

TEST_F(DiskTest, a_removal_without_sync_may_come_back) {
  std::set<bool> outcomes;
  ASSERT_TRUE(env::create_file_durably(files(), "/f", as_bytes("x"), 0600).ok());
  for (int i = 0; i < 30; ++i) {
    if (lux.disk().exists("/f")) {
      ASSERT_TRUE(files().remove_file("/f").ok());
    }
    power_cycle();
    outcomes.insert(lux.disk().exists("/f"));
    if (!lux.disk().exists("/f")) {
      ASSERT_TRUE(env::create_file_durably(files(), "/f", as_bytes("x"), 0600).ok());
    }
  }
  EXPECT_EQ(outcomes.size(), 2U);
  ASSERT_TRUE(files().remove_file("/f").ok());
  ASSERT_TRUE(files().sync_directory("/").ok());
  power_cycle();
  EXPECT_FALSE(lux.disk().exists("/f"));
}

TEST_F(DiskTest, published_drafts_and_made_directories_survive_every_power_loss) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    env::FileSystem& disk = machine.env().files;
    ASSERT_TRUE(disk.make_directories("/a/b/c", 0755).ok());
    ASSERT_TRUE(env::create_file_durably(disk, "/a/b/c/new", as_bytes("new"), 0640).ok());
    ASSERT_TRUE(env::replace_file_durably(disk, "/a/b/replaced", as_bytes("old"), 0600).ok());
    ASSERT_TRUE(env::replace_file_durably(disk, "/a/b/replaced", as_bytes("newer"), 0600).ok());
    machine.crash();
    machine.restart();
    EXPECT_EQ(machine.disk().listing(),
              "/a directory 0755 0\n/a/b directory 0755 0\n/a/b/c directory 0755 0\n/a/b/c/new file 0640 3\n"
              "/a/b/replaced file 0600 5\n")
        << "seed " << seed;
    EXPECT_EQ(machine.disk().content("/a/b/replaced").value(), to_bytes("newer"));
  }
}

TEST_F(DiskTest, a_replacement_that_was_interrupted_leaves_the_old_or_the_new_never_a_mixture) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    env::FileSystem& disk = machine.env().files;
    ASSERT_TRUE(env::replace_file_durably(disk, "/f", Bytes(3000, 'o'), 0600).ok());
    machine.crash_at_call(seed % 6);
    EXPECT_EQ(env::replace_file_durably(disk, "/f", Bytes(5000, 'n'), 0600).ok(), seed % 6 == 5);
    machine.crash();
    machine.restart();
    const Bytes content = machine.disk().content("/f").value();
    EXPECT_TRUE(content == Bytes(3000, 'o') || content == Bytes(5000, 'n')) << "seed " << seed;
    seen.insert(std::string(1, static_cast<char>(content.at(0))));
    ASSERT_TRUE(machine.env().files.remove_temporaries("/").ok());
    EXPECT_EQ(machine.env().files.list("/").value(), std::vector<std::string>{"f"});
  }
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(DiskTest, an_overwrite_is_torn_at_sectors) {
  bool torn = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    auto file = machine.env().files.open_log("/f").take();
    ASSERT_TRUE(file->append(Bytes(16 * kSector, 'o')).ok());
    ASSERT_TRUE(file->sync().ok());
    ASSERT_TRUE(file->write_at(100, Bytes(12 * kSector, 'n')).ok());
    machine.crash();
    machine.restart();
    const Bytes content = machine.disk().content("/f").value();
    ASSERT_EQ(content.size(), 16 * kSector);
    std::size_t new_sectors = 0;
    for (std::size_t s = 0; s < 16; ++s) {
      const Bytes sector(content.begin() + static_cast<std::ptrdiff_t>(s * kSector),
                         content.begin() + static_cast<std::ptrdiff_t>((s + 1) * kSector));
      Bytes written(kSector, 'n');
      if (s == 0) std::fill_n(written.begin(), 100, Byte{'o'});
      if (s == 12) std::fill(written.begin() + 100, written.end(), Byte{'o'});
      const bool is_old = sector == Bytes(kSector, 'o');
      EXPECT_TRUE(is_old || (s <= 12 && sector == written)) << "seed " << seed << " sector " << s;
      new_sectors += is_old ? 0 : 1;
    }
    torn = torn || (new_sectors > 0 && new_sectors < 13);
  }
  EXPECT_TRUE(torn);
}

TEST_F(DiskTest, an_unsynced_append_ends_anywhere_between_old_and_new_end) {
  std::set<std::size_t> sizes;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    auto file = machine.env().files.open_log("/f").take();
    ASSERT_TRUE(file->append(Bytes(700, 'o')).ok());
    ASSERT_TRUE(file->sync().ok());
    ASSERT_TRUE(file->append(Bytes(3000, 'n')).ok());
    machine.crash();
    machine.restart();
    const Bytes content = machine.disk().content("/f").value();
    sizes.insert(content.size());
    ASSERT_GE(content.size(), 700U);
    ASSERT_LE(content.size(), 3700U);
    EXPECT_TRUE(std::all_of(content.begin(), content.begin() + 700, [](Byte b) { return b == 'o'; }));
    EXPECT_TRUE(std::all_of(content.begin() + 700, content.end(), [](Byte b) { return b == 'n' || b == 0; }));
  }
  EXPECT_GE(sizes.size(), 4U);
}

TEST_F(DiskTest, an_unsynced_truncation_may_be_undone) {
  lux.set_survival(Survival::Nothing);
  auto file = log("/f");
  ASSERT_TRUE(file->append(Bytes(10'000, 'o')).ok());
  ASSERT_TRUE(file->sync().ok());
  ASSERT_TRUE(file->resize(5).ok());
  ASSERT_TRUE(file->resize(6000).ok());
  EXPECT_EQ(text("/f"), "ooooo" + std::string(5995, '\0'));
  power_cycle();
  EXPECT_EQ(text("/f"), std::string(10'000, 'o'));
}

TEST_F(DiskTest, random_work_equals_a_model_through_syncs_and_power_losses) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    machine.set_survival(Survival::Nothing);
    auto draw = [state = seed]() mutable {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return state >> 33;
    };
    auto file = machine.env().files.open_log("/f").take();
    Bytes now;
    for (int step = 0; step < 300; ++step) {
      const std::size_t offset = draw() % 20'000, size = draw() % 9'000;
      if (draw() % 4 != 0) {
        const Bytes data(size, static_cast<Byte>(1 + draw() % 255));
        ASSERT_TRUE(file->write_at(offset, data).ok());
        if (size > 0) now.resize(std::max(now.size(), offset + size));
        std::copy(data.begin(), data.end(), now.begin() + static_cast<std::ptrdiff_t>(size > 0 ? offset : 0));
      } else {
        ASSERT_TRUE(file->resize(offset).ok());
        now.resize(offset);
      }
      ASSERT_EQ(machine.disk().content("/f").value(), now) << "seed " << seed << " step " << step;
      if (draw() % 20 != 0) continue;
      ASSERT_TRUE(file->sync().ok());
      file.reset();
      machine.crash();
      machine.restart();
      ASSERT_EQ(machine.disk().content("/f").value(), now) << "seed " << seed << " step " << step;
      file = machine.env().files.open_log("/f").take();
    }
  }
}

TEST_F(DiskTest, sync_all_saves_everything) {
  lux.set_survival(Survival::Nothing);
  auto root = files().open_directory("/").take();
  ASSERT_TRUE(root->create_directory("d", 0700).ok());
  auto d = root->open_directory("d").take();
  ASSERT_TRUE(d->create_file("f", 0600).take()->append(as_bytes("content")).ok());
  ASSERT_TRUE(d->create_symlink("s", "f").ok());
  ASSERT_TRUE(d->create_link("h", *d, "f").ok());
  ASSERT_TRUE(d->create_node("p", env::FileType::Fifo, 0600, 0, 0).ok());
  env::FileAttributes attributes;
  attributes.mode = 04711;
  attributes.owner = {5, 6};
  attributes.modified = env::Timestamp{123'456'789'012};
  attributes.xattrs = {{"user.x", to_bytes("v")}};
  ASSERT_TRUE(d->set_attributes("f", attributes).ok());
  ASSERT_TRUE(files().open_directory("/").value()->sync_all().ok());
  const std::string before = lux.disk().listing();
  power_cycle();
  EXPECT_EQ(lux.disk().listing(), before);
  const auto info = files().stat("/d/h").value();
  EXPECT_EQ(info.mode, 04711U);
  EXPECT_EQ(info.user, 5U);
  EXPECT_EQ(info.link_count, 2U);
  EXPECT_EQ(info.modified.nanoseconds, 123'456'789'012);
}

TEST_F(DiskTest, a_failed_sync_stays_failed_and_a_new_handle_does_not_save_what_was_lost) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Universe own(seed);
    Machine& machine = own.machine("lux");
    machine.set_survival(Survival::Everything);
    auto file = machine.env().files.open_log("/f").take();
    ASSERT_TRUE(file->append(Bytes(8 * kSector, 'x')).ok());
    machine.inject({.call = FileCall::Sync, .path_part = "/f"});
    EXPECT_EQ(file->sync().error().code(), Code::Unavailable);
    EXPECT_EQ(file->sync().error().code(), Code::Unavailable) << "the kernel has forgotten; so the handle must not";
    EXPECT_TRUE(machine.env().files.open_log("/f").take()->sync().ok()) << "a new handle knows nothing of the failure";
    machine.crash();
    machine.restart();
    lost += machine.disk().content("/f").value() != Bytes(8 * kSector, 'x');
  }
  EXPECT_GT(lost, 20);
}

TEST_F(DiskTest, a_failed_sync_fails_the_publication_of_a_draft) {
  auto draft = files().draft("/", 0600).take();
  ASSERT_TRUE(draft->file().append(as_bytes("x")).ok());
  lux.inject({.call = FileCall::Sync});
  EXPECT_FALSE(draft->publish_new("name").ok());
  EXPECT_FALSE(draft->publish_replacing("name").ok());
  EXPECT_FALSE(lux.disk().exists("/name"));
}

TEST_F(DiskTest, a_scripted_fault_hits_the_nth_matching_call_and_ends) {
  ASSERT_TRUE(env::create_file_durably(files(), "/a", as_bytes("a"), 0600).ok());
  ASSERT_TRUE(env::create_file_durably(files(), "/b", as_bytes("b"), 0600).ok());
  lux.inject({.call = FileCall::Read, .path_part = "a", .nth = 2, .times = 2, .code = Code::Corrupt});
  EXPECT_TRUE(files().read_file("/a", 9).ok());
  EXPECT_TRUE(files().read_file("/b", 9).ok());
  EXPECT_EQ(files().read_file("/a", 9).error().code(), Code::Corrupt);
  EXPECT_TRUE(files().read_file("/b", 9).ok());
  EXPECT_EQ(files().read_file("/a", 9).error().code(), Code::Corrupt);
  EXPECT_TRUE(files().read_file("/a", 9).ok());
  lux.inject({.call = FileCall::Open, .times = kForEver, .code = Code::Denied});
  EXPECT_EQ(files().read_file("/b", 9).error().code(), Code::Denied);
  lux.clear_faults();
  EXPECT_TRUE(files().read_file("/b", 9).ok());
}

// Found by the crash matrix: home without the new era's document, and a ceremony that said nothing.
TEST_F(DiskTest, a_look_that_fails_is_not_taken_for_an_absence) {
  EXPECT_FALSE(env::exists(files(), "/a").value());
  ASSERT_TRUE(env::create_file_durably(files(), "/a", as_bytes("a"), 0600).ok());
  EXPECT_TRUE(env::exists(files(), "/a").value());
  lux.inject({.call = FileCall::Look, .path_part = "a", .code = Code::Corrupt});
  EXPECT_EQ(env::exists(files(), "/a").error().code(), Code::Corrupt);
}

TEST_F(DiskTest, fault_rates_fail_about_that_many_calls) {
  lux.set_fault_rates({.reads_per_million = 200'000, .writes_per_million = 100'000, .syncs_per_million = 0});
  auto file = log("/f");
  int failed_reads = 0, failed_writes = 0;
  for (int i = 0; i < 1000; ++i) {
    const Status written = file->write_at(0, as_bytes("x"));
    EXPECT_TRUE(written.ok() || written.error().code() == Code::Unavailable);
    failed_writes += !written.ok();
    failed_reads += !files().read_file("/f", 9).ok();
  }
  EXPECT_NEAR(failed_reads, 200, 70);
  EXPECT_NEAR(failed_writes, 100, 50);
}

TEST_F(DiskTest, a_full_disk_refuses_and_recovers_when_space_is_freed) {
  lux.disk().set_capacity_bytes(40'960);
  EXPECT_EQ(files().free_bytes("/").value(), 40'960U);
  ASSERT_TRUE(env::create_file_durably(files(), "/big", Bytes(30'000, 'x'), 0600).ok());
  EXPECT_EQ(lux.disk().used_bytes(), 32'768U);
  const Status refused = env::create_file_durably(files(), "/more", Bytes(30'000, 'y'), 0600);
  EXPECT_EQ(refused.error().code(), Code::Exhausted);
  EXPECT_EQ(files().list("/").value(), std::vector<std::string>{"big"}) << "the draft was removed";
  ASSERT_TRUE(files().remove_file("/big").ok());
  EXPECT_EQ(lux.disk().used_bytes(), 0U);
  EXPECT_TRUE(env::create_file_durably(files(), "/more", Bytes(30'000, 'y'), 0600).ok());
  power_cycle();
  EXPECT_EQ(lux.disk().used_bytes(), 32'768U);
}

TEST_F(DiskTest, bit_rot_changes_one_bit_and_nothing_else) {
  ASSERT_TRUE(env::create_file_durably(files(), "/f", Bytes(9000, 0), 0600).ok());
  const env::FileInfo before = files().stat("/f").value();
  ASSERT_TRUE(lux.disk().flip_bit("/f", 4500, 3).ok());
  Bytes expected(9000, 0);
  expected[4500] = 8;
  EXPECT_EQ(files().read_file("/f", 9000).value(), expected);
  EXPECT_EQ(files().stat("/f").value().modified, before.modified);
  power_cycle();
  EXPECT_EQ(files().read_file("/f", 9000).value(), expected);
  EXPECT_EQ(lux.disk().flip_bit("/f", 9000).error().code(), Code::InvalidInput);
  EXPECT_EQ(lux.disk().flip_bit("/g", 0).error().code(), Code::NotFound);
}

TEST_F(DiskTest, a_snapshot_is_a_value_and_can_be_restored_twice) {
  ASSERT_TRUE(env::create_file_durably(files(), "/f", as_bytes("then"), 0600).ok());
  const DiskSnapshot snapshot = lux.disk().snapshot();
  const std::string listing = lux.disk().listing();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(env::replace_file_durably(files(), "/f", as_bytes("later"), 0600).ok());
    ASSERT_TRUE(env::create_file_durably(files(), "/g", as_bytes("later"), 0600).ok());
    auto file = log("/f");
    ASSERT_TRUE(file->append(as_bytes(" and more")).ok());
    lux.kill();
    lux.disk().restore(snapshot);
    lux.restart();
    EXPECT_EQ(lux.disk().listing(), listing);
    EXPECT_EQ(text("/f"), "then");
  }
}

TEST_F(DiskTest, locks_are_released_by_death_and_refused_meanwhile) {
  auto lock = files().lock("/lock").take();
  EXPECT_EQ(files().lock("/lock").error().code(), Code::Conflict);
  lux.kill();
  lux.restart();
  auto again = files().lock("/lock");
  ASSERT_TRUE(again.ok());
  lock.reset();  // of the dead incarnation: must not release the new one's
  EXPECT_EQ(files().lock("/lock").error().code(), Code::Conflict);
}

}  // namespace
}  // namespace exclave::sim
