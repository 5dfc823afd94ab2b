// A realm whose machines die: what was promised is there, and what was not promised does not stand in the way.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "engine/verify.h"
#include "tests/sim/sim_realm.h"

namespace exclave::realm_tests {
namespace {

using NoDifferences = std::vector<std::string>;

std::uint64_t seeds(std::uint64_t by_default) {
  const char* wanted = ::getenv("EXCLAVE_SIM_SEEDS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : by_default;
}

TEST(SimRealm, H7_an_agent_that_dies_at_any_file_call_of_a_capture_is_followed_by_one_that_succeeds) {
  constexpr std::uint64_t kPointsPerRealm = 25;
  const std::uint64_t step = seeds(0) == 0 ? 7 : 1;  // a campaign tries each
  std::uint64_t point = 0;
  bool reached_the_end = false;
  while (!reached_the_end) {
    SimRealm realm(1000 + point);
    must(realm.capture());
    for (std::uint64_t i = 0; i < kPointsPerRealm && !reached_the_end; ++i, point += step) {
      realm.write("/data/f1", noise(1000 + point, point + 50));
      realm.write("/data/new" + std::to_string(point), noise(100, point + 900));
      realm.sync(realm.home());
      realm.home().set_survival(point % 3 == 0   ? sim::Survival::Nothing
                                : point % 3 == 1 ? sim::Survival::Everything
                                                 : sim::Survival::Seeded);
      realm.home().crash_at_call(point);
      const auto interrupted = realm.capture();
      reached_the_end = realm.home().is_up();
      if (reached_the_end) {
        EXPECT_TRUE(is_ok(interrupted));
        break;
      }
      realm.home().wait();
      realm.universe().run_for(std::chrono::minutes(10));  // until the vaults have given up the dead connections
      realm.home().restart();
      const auto report = realm.capture();
      ASSERT_TRUE(is_ok(report)) << "point " << point << "\n" << realm.universe().recent_calls(20);
      EXPECT_EQ(realm.differences_of(report.value().snapshot), NoDifferences()) << "point " << point;
      if (interrupted.ok()) {
        EXPECT_EQ(realm.differences_of(interrupted.value().snapshot), NoDifferences()) << "point " << point;
      }
      ASSERT_FALSE(::testing::Test::HasFailure()) << "point " << point;
    }
  }
  EXPECT_GT(point, 60U) << "a capture makes more file calls than that";
  GTEST_LOG_(INFO) << point << " file calls in a capture";
}

// The kernel tells of lost pages once, and reads them well until they are dropped.
TEST(SimRealm, after_a_failed_sync_nothing_in_the_target_is_trusted) {
  for (std::uint64_t seed = 0; seed < seeds(5); ++seed) {
    SimRealm realm(seed);
    const auto snapshot = must(realm.capture()).snapshot;
    env::FileSystem& files = realm.abroad().env().files;
    must(files.make_directories("/proc/sys/kernel/random", 0755));
    write_file(files, "/proc/sys/kernel/random/boot_id", as_bytes("3f0c1a52-5b2f-4b8e-9d0e-6a1d8c7b9e00\n"));
    realm.sync(realm.abroad());
    realm.abroad().inject({.call = sim::FileCall::Sync, .path_part = "/target"});
    engine::RestoreOptions options;
    options.target = "/target";
    realm.on_site([&](Site& site) { EXPECT_TRUE(failed_with(site.restore(snapshot, options), Code::Precondition)); });
    realm.on_site([&](Site& site) { EXPECT_EQ(must(site.restore(snapshot, options)).kept_files, 0U); });
    realm.abroad().set_survival(sim::Survival::Nothing);
    realm.abroad().crash();
    realm.abroad().wait();
    realm.abroad().restart();
    EXPECT_EQ(TreeComparer().compare(realm.home().env().files, "/data", realm.abroad().env().files, "/target"),
              NoDifferences())
        << "seed " << seed;
  }
}

// File systems differ in the names and sizes they take: EINVAL, ENAMETOOLONG, EFBIG.
TEST(SimRealm, a_name_the_target_refuses_costs_that_file_only) {
  SimRealm realm(1);
  env::FileSystem& home = realm.home().env().files;
  must(home.make_directories("/data/strange/below", 0755));
  realm.write("/data/strange/below/f", noise(100, 1));
  realm.write("/data/huge", noise(3'000'000, 2));
  must(must(home.open_directory("/data"))->create_symlink("odd", "target"));
  must(must(home.open_directory("/data"))->create_link("second", *must(home.open_directory("/data")), "f2"));
  realm.sync(realm.home());
  realm.universe().run_for(std::chrono::seconds(1));
  const auto snapshot = must(realm.capture()).snapshot;
  for (const std::string path : {"/target/f1", "/target/f2", "/target/strange", "/target/odd"}) {
    realm.abroad().inject({.call = sim::FileCall::Name, .path_part = path, .code = Code::InvalidInput});
  }
  for (const std::string path : {"/target/f3", "/target/huge"}) {
    realm.abroad().inject({.call = sim::FileCall::Write, .path_part = path, .code = Code::InvalidInput});
  }
  realm.on_site([&](Site& site) {
    const auto report = must(site.restore(snapshot, "/target"));
    EXPECT_EQ(report.problem_count, 8U) << "six, and two below the directory";
  });
  EXPECT_EQ(TreeComparer().compare(home, "/data", realm.abroad().env().files, "/target"),
            (NoDifferences{"'f1': is missing", "'f2': is missing", "'f3': is missing", "'huge': is missing",
                           "'odd': is missing", "'second': links 2 became 1", "'strange': is missing"}));
}

// File calls that a vault makes while it takes what the test below captures.
std::uint64_t calls_of_a_vault() {
  SimRealm realm(0);
  must(realm.capture());
  realm.write("/data/deep/large", noise(700'000, 100));
  const std::uint64_t before = realm.vault(0).machine().file_calls();
  must(realm.capture(engine::Behind::GracePeriod));
  return realm.vault(0).machine().file_calls() - before;
}

TEST(SimRealm, H7_a_vault_that_dies_keeps_what_it_gave_receipts_for) {
  constexpr std::uint64_t kPoints = 12;
  const std::uint64_t calls = calls_of_a_vault();
  std::uint64_t died_amid = 0;
  std::uint64_t died_amid_with_a_receipt = 0;
  for (std::uint64_t seed = 0; seed < seeds(kPoints); ++seed) {
    SimRealm realm(seed);
    must(realm.capture());
    realm.write("/data/deep/large", noise(700'000, seed + 100));
    SimVault& victim = realm.vault(seed % 3);
    victim.machine().crash_at_call(calls * (seed % kPoints) / kPoints);
    const auto report = realm.capture(engine::Behind::GracePeriod);
    ASSERT_TRUE(is_ok(report)) << "seed " << seed << ": two of three vaults are enough";
    if (victim.machine().is_up()) {
      victim.machine().crash();
    } else {
      ++died_amid;
      for (const auto& progress : report.value().vaults) {
        if (progress.vault == victim.name() && progress.receipt.has_value()) ++died_amid_with_a_receipt;
      }
    }
    ASSERT_TRUE(victim.start_again().ok()) << "seed " << seed;
    realm.on_site([&](Site& site) {
      const auto holdings = must(site.holdings());
      EXPECT_EQ(holdings.problems, NoDifferences()) << "seed " << seed;
      for (const auto& progress : report.value().vaults) {
        if (!progress.receipt.has_value()) continue;
        bool is_shown = false;
        for (const auto& stream : holdings.streams) {
          if (stream.stream.descriptor.id() != progress.receipt->receipt.stream) continue;
          is_shown = true;
          EXPECT_GE(stream.heads.at(progress.vault), progress.head) << "seed " << seed << " " << progress.vault;
        }
        EXPECT_TRUE(is_shown) << "seed " << seed << " " << progress.vault;
      }
    });
    realm.abroad().run([&] {
      const auto doors = realm.doors_from(realm.abroad(), realm.site_transport());
      env::Env env = realm.abroad().env();
      const auto verdict = must(engine::verify_holdings(env, sim_keys().pinned(), SimRealm::pointers_to(doors),
                                                        engine::Reading::EveryByte, {}));
      EXPECT_EQ(verdict.problems, NoDifferences()) << "seed " << seed;
      for (const auto& vault : verdict.vaults) {
        for (const std::string& finding : vault.findings) {
          // It may be behind the others; what it holds must be whole.
          EXPECT_TRUE(vault.vault == victim.name() && finding.find(": behind, ") != std::string::npos)
              << "seed " << seed << " " << vault.vault << ": " << finding;
        }
      }
    });
    EXPECT_EQ(realm.differences_of(report.value().snapshot), NoDifferences()) << "seed " << seed;
    if (::testing::Test::HasFailure()) return;
  }
  if (seeds(kPoints) < kPoints) return;
  EXPECT_GT(died_amid_with_a_receipt, 2U) << "of " << died_amid << " that died amid work, within " << calls << " calls";
}

// How long a site that does not hear one of the vaults takes until it has the latest snapshot open.
std::chrono::nanoseconds time_to_open_the_latest_of(int snapshots) {
  SimRealm realm(static_cast<std::uint64_t>(snapshots));
  format::ObjectName latest;
  for (int i = 0; i < snapshots; ++i) {
    realm.write("/data/f3", noise(500, static_cast<std::uint64_t>(i) + 1));
    latest = must(realm.capture()).snapshot;
  }
  sim::Machine& abroad = realm.abroad();
  realm.universe().network().partition("abroad", realm.vault(1).name());
  std::chrono::nanoseconds took{};
  realm.on_site([&](Site& site) {
    env::Clock& clock = abroad.env().clock;
    const env::Instant begin = clock.monotonic();
    const auto holdings = must(site.holdings());
    EXPECT_EQ(holdings.snapshots.size(), static_cast<std::size_t>(snapshots));
    EXPECT_EQ(holdings.unreachable.size(), 1U);
    EXPECT_EQ(must(engine::choose_snapshot(holdings, "latest")).object.name, latest);
    must(site.open(latest));
    took = clock.monotonic() - begin;
  });
  return took;
}

TEST(SimRealm, a_silent_vault_is_asked_a_bounded_number_of_times_whatever_the_snapshots) {
  const auto with_two = time_to_open_the_latest_of(2);
  EXPECT_GT(with_two, std::chrono::seconds(10)) << "the vault answers after all: nothing is tested";
  EXPECT_LT(with_two, std::chrono::minutes(2));
  EXPECT_LT(time_to_open_the_latest_of(9) - with_two, std::chrono::seconds(5));
}

TEST(SimRealm, unreadable_files_are_reported_and_the_rest_is_captured) {
  SimRealm realm(5);
  realm.home().inject(
      {.call = sim::FileCall::Open, .path_part = "data/f2", .times = sim::kForEver, .code = Code::Denied});
  const auto report = must(realm.capture());
  realm.home().clear_faults();
  EXPECT_TRUE(report.is_partial());
  EXPECT_EQ(report.totals.unreadable, 1U);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].path, "f2");
  const auto differences = realm.differences_of(report.snapshot);
  EXPECT_FALSE(differences.empty());
  for (const std::string& each : differences) EXPECT_TRUE(each.starts_with("'f2'")) << each;
  const auto again = must(realm.capture());
  EXPECT_FALSE(again.is_partial());
  EXPECT_EQ(again.read_bytes, 2000U) << "what had a problem is read again, and only that";
  EXPECT_EQ(realm.differences_of(again.snapshot), NoDifferences());
}

TEST(SimRealm, a_name_that_could_not_be_read_does_not_spoil_another_name_of_its_file) {
  SimRealm realm(6);
  const auto data = must(realm.home().env().files.open_directory("/data"));
  must(data->create_link("twin", *data, "f2"));
  realm.home().inject(
      {.call = sim::FileCall::Open, .path_part = "data/f2", .times = sim::kForEver, .code = Code::Denied});
  const auto report = must(realm.capture());
  realm.home().clear_faults();
  ASSERT_EQ(report.problems.size(), 1U);
  for (const std::string& each : realm.differences_of(report.snapshot)) {
    EXPECT_TRUE(each.starts_with("'f2'") || each == "'twin': links 2 became 1" ||
                each == "'twin': is no longer the same file as its other name")
        << each;
  }
}

std::uint64_t trace_of(std::uint64_t seed) {
  SimRealm realm(seed);
  must(realm.capture());
  realm.write("/data/f3", noise(5000, 3));
  EXPECT_EQ(realm.differences_of(must(realm.capture()).snapshot), NoDifferences());
  return realm.universe().trace_hash();
}

TEST(SimRealm, a_capture_and_a_restore_are_the_same_in_every_run_of_a_seed) {
  EXPECT_EQ(trace_of(7), trace_of(7));
  EXPECT_NE(trace_of(7), trace_of(8));
}

TEST(SimRealm, C7_an_agent_set_back_to_a_snapshot_of_its_machine_repeats_no_salt_and_forks_nothing) {
  for (std::uint64_t seed = 0; seed < seeds(10); ++seed) {
    SimRealm realm(seed);
    must(realm.capture());
    const sim::DiskSnapshot image = realm.home().disk().snapshot();
    realm.write("/data/f3", noise(5000, seed + 1));
    const auto lived = must(realm.capture());
    realm.home().crash();
    realm.home().wait();
    realm.home().disk().restore(image);
    realm.home().rewind_random();
    realm.home().restart();
    realm.write("/data/f3", noise(5000, seed + 2));
    const auto relived = must(realm.capture());
    EXPECT_NE(lived.snapshot, relived.snapshot);
    EXPECT_EQ(realm.differences_of(relived.snapshot), NoDifferences()) << "seed " << seed;

    realm.on_site([&](Site& site) {
      const auto holdings = must(site.holdings());
      EXPECT_EQ(holdings.problems, NoDifferences()) << "seed " << seed;
      EXPECT_EQ(holdings.streams.size(), 3U);
      EXPECT_EQ(holdings.snapshots.size(), 3U);
      std::map<Bytes, format::ObjectName> fronts;
      for (const auto& object : holdings.objects) {
        Bytes front(format::kSegmentsOffset);
        must(site.reader().read(object.name, 0, front));
        const auto decoded = must(format::decode_front(front));
        for (const ByteView secret_of_one : {ByteView(decoded.encapsulated.view()), ByteView(decoded.salt)}) {
          EXPECT_TRUE(fronts.emplace(to_bytes(secret_of_one), object.name).second)
              << "seed " << seed << ": object " << object.name.hex() << " repeats a salt or an ephemeral";
        }
      }
      EXPECT_GE(fronts.size(), 2U * 8U);
    });
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace exclave::realm_tests
