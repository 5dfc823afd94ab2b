// The log table under simulated power losses before each of its file calls, and when single calls fail. Its lives in
// all weather are in table_conformance_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/crash_points.h"
#include "sim/universe.h"
#include "table/log_table.h"

namespace exclave::table {
namespace {

constexpr const char* kDirectory = "/state/table";

Result<std::unique_ptr<Table>> open_on(sim::Machine& machine) {
  const env::Env env = machine.env();
  return open_log_table(env.files, env.threads, kDirectory);
}

Result<std::map<std::string, std::string>> rows_of(const Table& table) {
  std::map<std::string, std::string> rows;
  TRY(table.scan(KeyRange::all(), [&](ByteView key, ByteView value) -> Result<Visit> {
    rows.emplace(as_text(key), as_text(value));
    return Visit::Continue;
  }));
  return rows;
}

// Batches that overwrite, erase and span sectors; what the table is after the first n of them is one of kept states.
template <std::size_t kValueBytes, int kBatches>
struct WritesBatches {
  using State = std::map<std::string, std::string>;
  std::vector<State> states = {State()};
  std::size_t promised = 0;   // batches up to the last synced one
  std::size_t attempted = 0;  // batches whose write was begun

  static void apply(int number, Batch& batch, State& state) {
    const std::string changing = "changing" + std::to_string(number % 3), once = "once" + std::to_string(number);
    const std::string value(kValueBytes, static_cast<char>('a' + number % 26));
    batch.put(as_bytes(changing), as_bytes(value));
    state[changing] = value;
    batch.put(as_bytes(once), {});
    state[once] = "";
    const std::string gone = "once" + std::to_string(number - 4);
    batch.erase(as_bytes(gone));
    state.erase(gone);
  }

  void prepare(sim::Machine& machine) { ASSERT_TRUE(machine.env().files.make_directories(kDirectory, 0700).ok()); }

  void work(sim::Machine& machine) {
    const auto table = open_on(machine);
    if (!table.ok()) return;
    for (int number = 0; number < kBatches; ++number) {
      Batch batch;
      State state = states.back();
      apply(number, batch, state);
      states.push_back(std::move(state));
      ++attempted;
      const Durability durability = number % 3 == 2 ? Durability::Synced : Durability::Buffered;
      if (!table.value()->write(batch, durability).ok()) return;
      if (durability == Durability::Synced) promised = attempted;
    }
  }

  Status finished(sim::Machine&) const {
    if (attempted == kBatches && promised == kBatches / 3 * 3) return {};
    return Error(Code::Bug, "promised " + std::to_string(promised) + " of " + std::to_string(attempted) + " batches");
  }

  Status check(sim::Machine& machine) {
    const auto table = TRY(open_on(machine));
    const State rows = TRY(rows_of(*table));
    const auto found = std::find(states.begin() + static_cast<std::ptrdiff_t>(promised), states.end(), rows);
    if (found != states.end()) return {};
    return Error(Code::Bug, "holds " + std::to_string(rows.size()) + " rows, which no first batches make; promised " +
                                std::to_string(promised));
  }
};

TEST(LogTableSim, at_every_crash_point_exactly_some_first_batches_survive) {
  using Scenario = WritesBatches<700, 9>;
  const sim::CrashReport report = sim::for_each_crash_point<Scenario>({.seed = 21, .lotteries = 6});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 15u);
}

// The log passes 1 MiB and is written anew, so that it ends up smaller than what was written.
struct WritesLogAnew : WritesBatches<250'000, 8> {
  Status finished(sim::Machine& machine) const {
    TRY(WritesBatches::finished(machine));
    const auto log = TRY(machine.env().files.stat(std::string(kDirectory) + "/table.log"));
    if (log.size < 8 * 250'000) return {};
    return Error(Code::Bug, "the log has " + std::to_string(log.size) + " bytes: it was not written anew");
  }
};

TEST(LogTableSim, at_every_crash_point_of_a_rewriting_nothing_is_lost) {
  const sim::CrashReport report = sim::for_each_crash_point<WritesLogAnew>({.seed = 22, .lotteries = 1});
  EXPECT_TRUE(report.ok()) << report;
}

TEST(LogTableSim, after_a_failed_write_the_table_heals_itself_and_keeps_what_it_promises) {
  for (const sim::FileCall call : {sim::FileCall::Write, sim::FileCall::Sync}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      sim::Universe universe(seed);
      sim::Machine& machine = universe.machine("lux");
      ASSERT_TRUE(machine.env().files.make_directories(kDirectory, 0700).ok());
      {
        const auto table = open_on(machine).value();
        const auto put = [&](const char* key, Durability durability) {
          Batch batch;
          batch.put(as_bytes(key), Bytes(2000, Byte{'x'}));
          return table->write(batch, durability);
        };
        ASSERT_TRUE(put("before", Durability::Buffered).ok());
        machine.inject({.call = call, .path_part = "table.log", .nth = 1, .times = 1});
        ASSERT_FALSE(put("failed", Durability::Synced).ok());
        EXPECT_EQ(table->get(as_bytes("failed")).value(), std::nullopt);
        ASSERT_TRUE(put("after", Durability::Synced).ok());
      }
      machine.crash();
      machine.restart();
      const auto rows = rows_of(*open_on(machine).value()).value();
      EXPECT_TRUE(rows.contains("before")) << seed;
      EXPECT_TRUE(rows.contains("after")) << seed;
      EXPECT_FALSE(rows.contains("failed")) << seed;
    }
  }
}

TEST(LogTableSim, what_a_reopened_table_shows_is_durable_even_if_the_kernel_had_lost_it) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    sim::Universe universe(seed);
    sim::Machine& machine = universe.machine("lux");
    ASSERT_TRUE(machine.env().files.make_directories(kDirectory, 0700).ok());
    {
      const auto table = open_on(machine).value();
      Batch batch;
      batch.put(as_bytes("buffered"), Bytes(3000, Byte{'x'}));
      ASSERT_TRUE(table->write(batch, Durability::Buffered).ok());
      machine.inject({.call = sim::FileCall::Sync, .path_part = "table.log", .nth = 1, .times = 1});
      ASSERT_FALSE(table->write(Batch(), Durability::Synced).ok());
    }
    // The failed sync dropped some sectors, which still read well; no later sync will mention them.
    ASSERT_TRUE(rows_of(*open_on(machine).value()).value().contains("buffered"));
    machine.crash();
    machine.restart();
    EXPECT_TRUE(rows_of(*open_on(machine).value()).value().contains("buffered")) << seed;
  }
}

TEST(LogTableSim, a_full_disk_refuses_and_goes_on_when_there_is_room) {
  sim::Universe universe(5);
  sim::Machine& machine = universe.machine("lux");
  ASSERT_TRUE(machine.env().files.make_directories(kDirectory, 0700).ok());
  const auto table = open_on(machine).value();
  machine.disk().set_capacity_bytes(machine.disk().used_bytes() + 8192);
  Batch batch;
  batch.put(as_bytes("big"), Bytes(100'000, Byte{'x'}));
  const Status refused = table->write(batch, Durability::Synced);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Exhausted);
  machine.disk().set_capacity_bytes(1 << 20);
  EXPECT_TRUE(table->write(batch, Durability::Synced).ok());
}

TEST(LogTableSim, rot_in_synced_batches_is_found) {
  for (std::uint64_t offset = 32; offset < 200; offset += 5) {
    sim::Universe universe(offset);
    sim::Machine& machine = universe.machine("lux");
    ASSERT_TRUE(machine.env().files.make_directories(kDirectory, 0700).ok());
    {
      const auto table = open_on(machine).value();
      for (const char* key : {"a", "b", "c"}) {
        Batch batch;
        batch.put(as_bytes(key), Bytes(100, Byte{'x'}));
        ASSERT_TRUE(table->write(batch, Durability::Synced).ok());
      }
    }
    ASSERT_TRUE(machine.disk().flip_bit("/state/table/table.log", offset, 3).ok());
    const auto opened = open_on(machine);
    ASSERT_FALSE(opened.ok()) << offset;
    EXPECT_EQ(opened.error().code(), Code::Corrupt);
  }
}

}  // namespace
}  // namespace exclave::table
