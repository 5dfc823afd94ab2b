// Targets that refuse, and targets whose disks fail, while a tree is restored into them.
#include <gtest/gtest.h>

#include "tests/sim/sim_realm.h"

namespace exclave::realm_tests {
namespace {

using NoDifferences = std::vector<std::string>;

Bytes content(env::FileSystem& files, const std::string& path) {
  return must(files.read_file(path, 1 << 20));
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
    realm.on_site([&](Site& site) { EXPECT_TRUE(failed_with(site.restore(snapshot, "/target"), fault.code)); });
    EXPECT_GE(must(files.list("/target")).size(), 3U) << "some were there before";
    realm.on_site([&](Site& site) { EXPECT_EQ(must(site.restore(snapshot, "/target")).kept_files, 0U); });
    EXPECT_EQ(TreeComparer().compare(realm.home().env().files, "/data", files, "/target"), NoDifferences());
  }
}

}  // namespace
}  // namespace exclave::realm_tests
