// Targets that refuse, and targets whose disks fail, while a tree is restored into them.
#include <gtest/gtest.h>

#include <utility>

#include "tests/realm/turning_files.h"
#include "tests/sim/sim_realm.h"

namespace exclave::realm_tests {
namespace {

using NoDifferences = std::vector<std::string>;

Bytes content(env::FileSystem& files, const std::string& path) {
  return must(files.read_file(path, 1 << 20));
}

constexpr std::string_view kBoot = "3f0c1a52-5b2f-4b8e-9d0e-6a1d8c7b9e00";
constexpr const char* kMark = "/target.exclave-restore";

engine::RestoreOptions into_target() {
  engine::RestoreOptions options;
  options.target = "/target";
  return options;
}

// A restore that ended where the target had no room for one more file, on a machine that knows which boot this is.
format::ObjectName interrupt_restore(SimRealm& realm) {
  const auto snapshot = must(realm.capture()).snapshot;
  env::FileSystem& files = realm.abroad().env().files;
  must(files.make_directories("/proc/sys/kernel/random", 0755));
  write_file(files, "/proc/sys/kernel/random/boot_id", as_bytes(std::string(kBoot) + "\n"));
  SimRealm::sync(realm.abroad());
  realm.abroad().inject({.call = sim::FileCall::Write, .path_part = "/target/f", .nth = 4, .code = Code::Exhausted});
  realm.on_site([&](Site& site) { EXPECT_TRUE(failed_with(site.restore(snapshot, into_target()), Code::Exhausted)); });
  return snapshot;
}

std::vector<std::string> differences_abroad(SimRealm& realm) {
  return TreeComparer().compare(realm.home().env().files, "/data", realm.abroad().env().files, "/target");
}

// With the abroad machine's world, but for its files.
Result<engine::RestoreReport> restore_on(SimRealm& realm, env::FileSystem& files, const format::ObjectName& snapshot,
                                         const engine::OnProgress& on_progress = {}) {
  std::optional<Result<engine::RestoreReport>> restored;
  realm.on_site([&](Site& site) {
    env::Env real = realm.abroad().env();
    env::Env turned{real.clock, real.random, files, real.network, real.processes, real.log, real.threads};
    const auto opened = must(site.open(snapshot));
    engine::StageTimes times;
    restored.emplace(engine::restore_snapshot(turned, *opened, snapshot, into_target(), times, on_progress, {}));
  });
  return std::move(*restored);
}

// EPERM on vfat, EOPNOTSUPP on others, EMLINK where a file has all the names it can have.
TEST(RestoreTarget, a_hard_link_that_the_target_refuses_becomes_a_file_of_its_own) {
  for (const Code refusal : {Code::Denied, Code::Unsupported, Code::InvalidInput}) {
    SimRealm realm(1);
    env::FileSystem& home = realm.home().env().files;
    const auto data = must(home.open_directory("/data"));
    must(data->create_link("second", *data, "f2"));
    must(data->create_symlink("to", "f1"));
    must(data->create_link("to2", *data, "to"));
    realm.sync(realm.home());
    realm.universe().run_for(std::chrono::seconds(1));
    const auto snapshot = must(realm.capture()).snapshot;
    for (const std::string path : {"/target/second", "/target/to2"}) {
      realm.abroad().inject({.call = sim::FileCall::Name, .path_part = path, .code = refusal});
    }
    realm.on_site([&](Site& site) {
      const auto report = must(site.restore(snapshot, "/target"));
      EXPECT_EQ(report.problem_count, 2U);
      EXPECT_FALSE(report.first_content_problem.has_value());
      EXPECT_EQ(report.totals.files, 8U);
      EXPECT_EQ(report.totals.others, 2U);
    });
    env::FileSystem& abroad = realm.abroad().env().files;
    EXPECT_EQ(content(abroad, "/target/second"), content(home, "/data/second"));
    EXPECT_EQ(content(abroad, "/target/f2"), content(home, "/data/f2"));
    EXPECT_EQ(content(abroad, "/target/to2"), content(home, "/data/f1")) << "through the link";
    EXPECT_EQ(must(abroad.stat("/target/second")).modified, must(home.stat("/data/second")).modified);
  }
}

TEST(RestoreTarget, what_the_target_cannot_hold_is_not_counted_as_restored) {
  SimRealm realm(1);
  const auto snapshot = must(realm.capture()).snapshot;
  realm.abroad().inject({.call = sim::FileCall::Name, .path_part = "/target/f1", .code = Code::InvalidInput});
  realm.abroad().inject({.call = sim::FileCall::Name, .path_part = "/target/deep/er", .code = Code::InvalidInput});
  realm.on_site([&](Site& site) {
    const auto report = must(site.restore(snapshot, "/target"));
    EXPECT_EQ(report.problem_count, 2U);
    EXPECT_EQ(report.totals.files, 6U) << "of seven";
    EXPECT_EQ(report.totals.bytes, 5U * 2000 + 300'000);
    EXPECT_EQ(report.totals.directories, 2U) << "the root and deep";
    ASSERT_TRUE(report.first_content_problem.has_value());
    EXPECT_EQ(report.first_content_problem->path, "deep/er");
  });
}

// After EIO, or when the kernel has closed the file system to writing, what was taken before may be lost.
TEST(RestoreTarget, after_a_write_that_failed_nothing_in_the_target_is_trusted) {
  const std::vector<sim::FileFault> faults = {
      {.call = sim::FileCall::Write, .path_part = "/target/f", .nth = 4, .code = Code::Unavailable},
      {.call = sim::FileCall::Name, .path_part = "/target/f", .nth = 4, .code = Code::Denied},
  };
  for (const sim::FileFault& fault : faults) {
    SimRealm realm(2);
    const auto snapshot = must(realm.capture()).snapshot;
    env::FileSystem& files = realm.abroad().env().files;
    must(files.make_directories("/proc/sys/kernel/random", 0755));
    write_file(files, "/proc/sys/kernel/random/boot_id", as_bytes("3f0c1a52-5b2f-4b8e-9d0e-6a1d8c7b9e00\n"));
    realm.abroad().inject(fault);
    realm.on_site([&](Site& site) { EXPECT_TRUE(failed_with(site.restore(snapshot, "/target"), Code::Precondition)); });
    EXPECT_GE(must(files.list("/target")).size(), 3U) << "some were there before";
    realm.on_site([&](Site& site) { EXPECT_EQ(must(site.restore(snapshot, "/target")).kept_files, 0U); });
    EXPECT_EQ(TreeComparer().compare(realm.home().env().files, "/data", files, "/target"), NoDifferences());
  }
}

// The kernel tells of lost pages once, to whoever syncs next: that is the log of a database, fetched before its base.
TEST(RestoreTarget, what_a_killed_run_lost_is_noticed_before_another_sync_hears_of_it) {
  for (const bool is_lost : {false, true}) {
    SimRealm realm(3);
    const auto snapshot = interrupt_restore(realm);
    if (is_lost) realm.abroad().inject({.call = sim::FileCall::Sync, .path_part = "/target"});
    realm.on_site([&](Site&) {
      const auto claimed = engine::claim_target(realm.abroad().env().files, "/target");
      EXPECT_EQ(claimed.ok(), !is_lost);
      if (claimed.ok()) ignore(claimed.value()->sync_all(), "the log's");
    });
    realm.on_site([&](Site& site) {
      const auto kept = must(site.restore(snapshot, into_target())).kept_files;
      EXPECT_EQ(kept == 0, is_lost) << kept;
    });
    EXPECT_EQ(differences_abroad(realm), NoDifferences());
  }
}

TEST(RestoreTarget, a_target_that_is_distrusted_is_written_again) {
  SimRealm realm(3);
  const auto snapshot = interrupt_restore(realm);
  realm.on_site([&](Site& site) {
    env::FileSystem& files = realm.abroad().env().files;
    must(engine::distrust_target(files, "/target"));
    EXPECT_EQ(must(site.restore(snapshot, into_target())).kept_files, 0U);
    must(engine::distrust_target(files, "/target"));
    EXPECT_TRUE(failed_with(files.stat(kMark), Code::NotFound)) << "nothing is unfinished in it";
  });
  EXPECT_EQ(differences_abroad(realm), NoDifferences());
}

// The root of a file system has the same inode on every disk; and a number that is free is given again.
TEST(RestoreTarget, E_the_mark_of_another_directory_of_the_same_inode_is_not_gone_on_with) {
  const std::string another(kBoot.size(), '0');
  const auto replaced = [](std::string text, std::string_view what, const std::string& with, int times) {
    for (; times > 0; --times) text.replace(text.find(what), what.size(), with);
    return text;
  };
  for (const int written_by : {0, 1, 2}) {
    SimRealm realm(4);
    const auto snapshot = interrupt_restore(realm);
    env::FileSystem& files = realm.abroad().env().files;
    const std::uint64_t inode = must(files.stat("/target")).inode;
    std::string mark(as_text(content(files, kMark)));
    if (written_by == 1) mark = replaced(mark, kBoot, another, 2);
    if (written_by == 2) mark = replaced(mark, kBoot, "-", 1);
    write_file(files, kMark, as_bytes(mark), 0600);
    must(must(files.open_directory("/"))->rename("target", "elsewhere"));
    realm.universe().run_for(std::chrono::seconds(1));
    must(files.make_directories("/target", 0755));
    write_file(files, "/target/f0", as_bytes("of somebody else"));
    TurningFiles turning(files);
    const std::uint64_t new_inode = must(files.stat("/target")).inode;
    turning.retell = [&](env::FileInfo& info) {
      if (info.inode == new_inode) info.inode = inode;
    };
    EXPECT_TRUE(failed_with(restore_on(realm, turning, snapshot), Code::Precondition)) << written_by;
    EXPECT_EQ(must(files.list("/target")), std::vector<std::string>{"f0"}) << written_by;
    EXPECT_EQ(as_text(content(files, "/target/f0")), "of somebody else") << written_by;
    EXPECT_EQ(must(files.stat("/target")).mode, 0755U) << written_by;
  }
}

// Whoever owns a directory of the target gives a finished file's name to another one as soon as it was looked at.
TEST(RestoreTarget, E_what_gets_a_finished_files_name_is_not_given_its_attributes) {
  SimRealm realm(5);
  const auto snapshot = interrupt_restore(realm);
  env::FileSystem& files = realm.abroad().env().files;
  write_file(files, "/secret", as_bytes("for its owner alone"), 0600);
  std::string finished;
  for (const std::string name : {"f0", "f1", "f2", "f3", "f4", "f5"}) {
    const auto there = files.stat("/target/" + name);
    if (there.ok() && there.value().modified == must(realm.home().env().files.stat("/data/" + name)).modified)
      finished = name;
  }
  ASSERT_FALSE(finished.empty());
  const env::FileInfo before = must(files.stat("/secret"));
  TurningFiles turning(files);
  bool is_turned = false;
  turning.after_look = [&](std::string_view name) {
    if (name != finished || std::exchange(is_turned, true)) return;
    const auto target = must(files.open_directory("/target"));
    must(target->remove(finished));
    must(target->create_link(finished, *must(files.open_directory("/")), "secret"));
  };
  ignore(restore_on(realm, turning, snapshot), "whoever is at work there may spoil it");
  ASSERT_TRUE(is_turned);
  const env::FileInfo after = must(files.stat("/secret"));
  EXPECT_EQ(after.mode, before.mode);
  EXPECT_EQ(after.modified, before.modified);
}

TEST(RestoreTarget, the_mark_of_a_restore_that_ended_well_does_not_come_back) {
  SimRealm realm(6);
  const auto snapshot = must(realm.capture()).snapshot;
  realm.on_site([&](Site& site) { EXPECT_FALSE(must(site.restore(snapshot, into_target())).is_partial()); });
  realm.abroad().set_survival(sim::Survival::Nothing);
  realm.abroad().crash();
  realm.abroad().wait();
  realm.abroad().restart();
  EXPECT_TRUE(failed_with(realm.abroad().env().files.stat(kMark), Code::NotFound));
  EXPECT_EQ(differences_abroad(realm), NoDifferences());
}

TEST(RestoreTarget, a_mark_that_cannot_be_removed_is_told) {
  SimRealm realm(6);
  const auto snapshot = must(realm.capture()).snapshot;
  const auto protect = [&](const engine::CaptureProgress&) {
    realm.abroad().inject(
        {.call = sim::FileCall::Name, .path_part = kMark, .times = sim::kForEver, .code = Code::Denied});
  };
  const auto report = must(restore_on(realm, realm.abroad().env().files, snapshot, protect));
  EXPECT_TRUE(report.is_partial());
  EXPECT_FALSE(report.first_content_problem.has_value());
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems.front().why.find(std::string("'") + kMark + "' could not be removed"), std::string::npos);
  EXPECT_EQ(differences_abroad(realm), NoDifferences());
}

}  // namespace
}  // namespace exclave::realm_tests
