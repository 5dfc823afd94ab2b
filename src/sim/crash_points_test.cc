// The enumeration finds broken promises, and finds none in code that keeps them.
#include "sim/crash_points.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"

namespace exclave::sim {
namespace {

// The scenarios append lines to a log and promise each line once they believe it durable.
class LineLog {
 public:
  std::set<int> promised;

  Status check(Machine& machine) {
    const auto content = machine.env().files.read_file("/log", 1 << 20);
    if (!content.ok() && content.error().code() != Code::NotFound) return content.error();
    std::set<int> present;
    if (content.ok()) {
      for (const auto line : split(as_text(content.value()), '\n')) {
        const auto number = parse_u32(line);
        if (number.ok()) present.insert(static_cast<int>(number.value()));
      }
    }
    for (const int line : promised) {
      if (!present.contains(line))
        return Error(Code::Bug, "line " + std::to_string(line) + " was promised and is gone");
    }
    return {};
  }

 protected:
  enum class Care { None, Sync };
  Status write_lines(Machine& machine, Care care) {
    auto log = TRY(machine.env().files.open_log("/log"));
    for (int line = 0; line < 5; ++line) {
      TRY(log->append(as_bytes(std::to_string(line) + "\n")));
      if (care == Care::Sync) TRY(log->sync());
      promised.insert(line);
    }
    return {};
  }
};

struct SyncedLog : LineLog {
  void work(Machine& machine) { ignore(write_lines(machine, Care::Sync), "the power fails in it"); }
};
struct HastyLog : LineLog {
  void work(Machine& machine) { ignore(write_lines(machine, Care::None), "the power fails in it"); }
};
// Writes and syncs the file, but never the directory.
struct NamelessLog : LineLog {
  void work(Machine& machine) { ignore(write(machine), "the power fails in it"); }
  Status write(Machine& machine) {
    auto directory = TRY(machine.env().files.open_directory("/"));
    auto log = TRY(directory->create_file("log", 0600));
    TRY(log->append(as_bytes("1\n")));
    TRY(log->sync());
    promised.insert(1);
    return {};
  }
};

TEST(CrashPoints, log_that_syncs_before_promising_keeps_its_promises) {
  const CrashReport report = for_each_crash_point<SyncedLog>({.seed = 3});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_EQ(report.points, 2U + 10U + 1U) << "open, sync of the directory, five times append and sync, and the end";
  EXPECT_EQ(report.runs, report.points * 5 * 2);
  EXPECT_EQ(report.deaths, (report.points - 1) * 5 * 2) << "at each point but the end";
  EXPECT_EQ(report.second_losses, report.points * 5) << "each draw falls into the check";
  EXPECT_GT(report.late_second_losses, 0U);
}

// Whose work fails for another reason: it breaks no promise, as it gives none.
struct SilentLog : LineLog {
  void work(Machine& machine) { ignore(machine.env().files.open_log("/no/such/directory/log"), "it promises nothing"); }
  Status finished(Machine&) const { return promised.empty() ? Error(Code::Bug, "no line was promised") : Status(); }
};

TEST(CrashPoints, work_that_promises_nothing_is_caught) {
  const CrashReport report = for_each_crash_point<SilentLog>({.seed = 3});
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.failures, std::vector<std::string>{"without a power loss: no line was promised"});
}

TEST(CrashPoints, log_that_promises_before_syncing_is_caught) {
  const CrashReport report = for_each_crash_point<HastyLog>({.seed = 3});
  EXPECT_FALSE(report.ok());
  EXPECT_GT(report.failed_runs, 5U);
  ASSERT_FALSE(report.failures.empty());
  EXPECT_NE(report.failures.front().find("nothing unsynced survives, seed 3: line 0 was promised and is gone"),
            std::string::npos)
      << report;
}

TEST(CrashPoints, file_without_a_synced_name_is_caught) {
  const CrashReport report = for_each_crash_point<NamelessLog>({.seed = 3});
  EXPECT_FALSE(report.ok()) << "only a power loss after the end finds it";
}

// Two files must change together; the second names the generation of the first. `recover` runs at every start.
struct TwoFiles {
  int acknowledged = 0;

  static Status write(env::FileSystem& files, int generation) {
    const std::string text = std::to_string(generation);
    TRY(env::create_same_durably(files, "/data-" + text, as_bytes("data " + text), 0600));
    return env::replace_file_durably(files, "/current", as_bytes(text), 0600);
  }
  void prepare(Machine& machine) { EXPECT_TRUE(write(machine.env().files, 0).ok()); }
  void work(Machine& machine) {
    for (int generation = 1; generation <= 3; ++generation) {
      if (!write(machine.env().files, generation).ok()) return;
      acknowledged = generation;
    }
  }
  Status check(Machine& machine) {
    env::FileSystem& files = machine.env().files;
    TRY(files.remove_temporaries("/"));
    const Bytes current = TRY(files.read_file("/current", 10));
    const std::uint32_t generation = TRY(parse_u32(as_text(current)));
    if (static_cast<int>(generation) < acknowledged) return Error(Code::Bug, "fell back behind what was acknowledged");
    const Bytes data = TRY(files.read_file("/data-" + std::to_string(generation), 100));
    if (as_text(data) != "data " + std::to_string(generation)) return Error(Code::Corrupt, "data differ");
    return write(files, static_cast<int>(generation) + 1);
  }
};

TEST(CrashPoints, recovery_is_crashed_as_well) {
  const CrashReport report = for_each_crash_point<TwoFiles>({.seed = 11});
  EXPECT_TRUE(report.ok()) << report;
  EXPECT_GT(report.points, 30U);
}

// Correct until it is interrupted while recovering: it removes the old copy before the new one is durable. That comes
// late, as in whatever looks at many directories first.
struct FragileRecovery {
  void prepare(Machine& machine) {
    EXPECT_TRUE(env::create_file_durably(machine.env().files, "/a", as_bytes("kept"), 0600).ok());
  }
  void work(Machine& machine) { ignore(machine.env().files.stat("/a"), "one crash point is enough"); }
  Status check(Machine& machine) {
    env::FileSystem& files = machine.env().files;
    for (int looks = 0; looks < 100; ++looks) TRY(files.list("/"));
    const auto name = files.stat("/a").ok() ? "/a" : "/b";
    const Bytes content = TRY(files.read_file(name, 100));
    TRY(files.remove_file(name));
    TRY(files.sync_directory("/"));
    return env::create_file_durably(files, "/b", content, 0600);
  }
};

TEST(CrashPoints, recovery_that_cannot_bear_a_second_power_loss_is_caught) {
  const CrashReport report = for_each_crash_point<FragileRecovery>({.seed = 5, .lotteries = 200});
  EXPECT_GT(report.failed_runs, 0U) << report;
  for (const std::string& failure : report.failures) EXPECT_NE(failure.find("and in recovery"), std::string::npos);
}

}  // namespace
}  // namespace exclave::sim
