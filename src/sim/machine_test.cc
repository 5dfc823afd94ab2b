// Life, death and the private faults of a machine: clock, randomness, fake commands, log.
#include "sim/machine.h"

#include <gtest/gtest.h>

#include "sim/universe.h"

namespace exclave::sim {
namespace {

using namespace std::chrono_literals;

Bytes draw(env::Random& random, std::size_t count) {
  Bytes bytes(count);
  EXPECT_TRUE(random.fill(bytes).ok());
  return bytes;
}

TEST(Machine, code_unwinds_after_power_loss_and_old_handles_stay_dead) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Universe universe(seed);
    Machine& lux = universe.machine("lux");
    std::unique_ptr<env::WritableFile> kept;
    int unwound = 0;
    lux.start("writer", [&] {
      kept = lux.env().files.open_log("/log").take();
      while (kept->append(as_bytes("x")).ok()) {
      }
      ++unwound;
    });
    lux.start("sleeper", [&] {
      EXPECT_EQ(lux.env().clock.sleep_until(lux.env().clock.monotonic() + 1h).error().code(), Code::Cancelled);
      ++unwound;
    });
    lux.start("server", [&] {
      auto listener = lux.env().network.listen("lux:1");
      ASSERT_TRUE(listener.ok());
      EXPECT_EQ(listener.value()->accept().error().code(), Code::Unavailable);
      ++unwound;
    });
    universe.run_for(1ms);
    lux.crash();
    EXPECT_FALSE(lux.is_up());
    EXPECT_EQ(lux.env().files.stat("/").error().code(), Code::Unavailable);
    EXPECT_LT(universe.elapsed(), 1s) << "the sleeper was woken by the death";
    lux.restart();
    EXPECT_EQ(unwound, 3) << "seed " << seed;
    EXPECT_TRUE(lux.is_up());
    EXPECT_TRUE(lux.env().files.stat("/").ok());
    const Status old_handle = kept->append(as_bytes("y"));
    ASSERT_FALSE(old_handle.ok());
    EXPECT_NE(old_handle.error().message().find("machine is down"), std::string::npos);
  }
}

TEST(Machine, power_fails_before_the_nth_file_call_from_now) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  auto file = lux.env().files.open_log("/log").take();
  const std::uint64_t before = lux.file_calls();
  lux.crash_at_call(2);
  EXPECT_TRUE(file->append(as_bytes("a")).ok());
  EXPECT_TRUE(file->append(as_bytes("b")).ok());
  EXPECT_TRUE(lux.is_up());
  EXPECT_EQ(file->append(as_bytes("c")).error().code(), Code::Unavailable);
  EXPECT_FALSE(lux.is_up());
  EXPECT_EQ(lux.file_calls(), before + 2);
  lux.restart();
  EXPECT_TRUE(lux.env().files.list("/").ok()) << "it happens once";
}

TEST(Machine, a_process_is_killed_before_the_nth_file_call_from_now_and_its_writes_stay) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  lux.set_survival(Survival::Nothing);
  auto file = lux.env().files.open_log("/log").take();
  lux.crash_at_call(0);
  lux.kill_at_call(1);
  EXPECT_TRUE(file->append(as_bytes("a")).ok());
  EXPECT_EQ(file->append(as_bytes("b")).error().code(), Code::Unavailable);
  EXPECT_FALSE(lux.is_up());
  lux.restart();
  EXPECT_EQ(lux.disk().content("/log").take(), to_bytes("a"));
}

TEST(Machine, dead_machine_gives_the_order_to_stop_to_threads_that_only_wait) {
  Universe universe(3);
  Machine& lux = universe.machine("lux");
  const auto monitor = lux.env().threads.make_monitor();
  bool stop = false;
  lux.start("daemon", [&] {
    const env::MonitorLock lock(*monitor);
    while (!stop) monitor->wait();
  });
  lux.when_down([&] {
    const env::MonitorLock lock(*monitor);
    stop = true;
    monitor->notify_all();
  });
  universe.run_for(1s);
  EXPECT_FALSE(stop);
  lux.crash();
  lux.restart();
  EXPECT_TRUE(stop);
}

TEST(Machine, universe_that_ends_early_unwinds_its_actors) {
  bool unwound = false;
  {
    Universe universe(3);
    Machine& lux = universe.machine("lux");
    lux.start("sleeper", [&] {
      EXPECT_FALSE(lux.env().clock.sleep_until(lux.env().clock.monotonic() + 24h).ok());
      unwound = true;
    });
    universe.run_for(1s);
  }
  EXPECT_TRUE(unwound);
}

TEST(Machine, clock_jumps_move_civil_time_and_no_deadline) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  Machine& home = universe.machine("home");
  home.set_clock_offset(-24h * 400);
  EXPECT_NEAR(std::chrono::duration<double>(lux.env().clock.now() - home.env().clock.now()).count(), 400.0 * 86400, 1);
  lux.start("sleeper", [&] {
    env::Clock& clock = lux.env().clock;
    const env::Instant begin = clock.monotonic();
    EXPECT_TRUE(clock.sleep_until(begin + 10s).ok());
    EXPECT_LT(clock.monotonic() - begin, 11s);
  });
  universe.run_for(5s);
  const env::Timestamp before = lux.env().clock.now();
  lux.jump_clock(-2h);
  EXPECT_LT(lux.env().clock.now(), before);
  lux.jump_clock(24h * 3650);
  EXPECT_GT(lux.env().clock.now() - before, 24h * 3649);
  universe.run();
  EXPECT_LT(universe.elapsed(), 11s);
}

TEST(Machine, file_times_follow_the_machines_own_clock) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  lux.set_clock_offset(-24h * 365 * 30);
  ASSERT_TRUE(env::create_file_durably(lux.env().files, "/f", as_bytes("x"), 0600).ok());
  const env::FileInfo info = lux.env().files.stat("/f").value();
  EXPECT_LT(info.modified, env::Timestamp::from_seconds(900'000'000));
  EXPECT_LT(info.changed, env::Timestamp::from_seconds(900'000'000));
}

TEST(Machine, monotonic_scale_differs_after_a_restart) {
  Universe universe(9);
  Machine& lux = universe.machine("lux");
  const env::Instant before = lux.env().clock.monotonic();
  lux.kill();
  lux.restart();
  EXPECT_GT(std::chrono::abs(lux.env().clock.monotonic() - before), 1s) << "an instant kept on disk means nothing";
}

TEST(Machine, random_bytes_come_from_seed_and_machine) {
  Universe one(1), same(1), other(2);
  const Bytes bytes = draw(one.machine("lux").env().random, 40);
  EXPECT_EQ(draw(same.machine("lux").env().random, 40), bytes);
  EXPECT_NE(draw(same.machine("lux").env().random, 40), bytes);
  EXPECT_NE(draw(same.machine("home").env().random, 40), bytes);
  EXPECT_NE(draw(other.machine("lux").env().random, 40), bytes);
}

TEST(Machine, a_resumed_snapshot_repeats_its_random_stream) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  const Bytes first = draw(lux.env().random, 16);
  const DiskSnapshot snapshot = lux.disk().snapshot();
  const Bytes second = draw(lux.env().random, 16);
  EXPECT_NE(first, second);
  lux.kill();
  lux.disk().restore(snapshot);
  lux.rewind_random();
  lux.restart();
  EXPECT_EQ(draw(lux.env().random, 16), second);
  EXPECT_NE(draw(lux.env().random, 16), second);
}

TEST(Machine, restart_alone_does_not_repeat_the_random_stream) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  const Bytes first = draw(lux.env().random, 16);
  lux.crash();
  lux.restart();
  EXPECT_NE(draw(lux.env().random, 16), first);
}

TEST(Machine, only_registered_commands_run) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  lux.register_command("pg_dump", to_bytes("CREATE TABLE registry;"), 3);
  env::Processes& processes = lux.env().processes;
  auto command = processes.start({"pg_dump", "--all"}).take();
  std::string output;
  Bytes buffer(7);
  while (true) {
    const std::size_t count = command->read_output(buffer, {}).value();
    if (count == 0) break;
    output += as_text(ByteView(buffer).first(count));
  }
  EXPECT_EQ(output, "CREATE TABLE registry;");
  EXPECT_EQ(command->wait().value(), 3);
  EXPECT_EQ(processes.start({"sh", "-c", "true"}).error().code(), Code::Unsupported);
  EXPECT_EQ(processes.start({}).error().code(), Code::InvalidInput);
}

TEST(Machine, log_lines_are_kept_per_machine) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  lux.env().log.write(env::LogLevel::Warning, "vault: quota of home is 90 % used");
  ASSERT_EQ(lux.log().size(), 1U);
  EXPECT_EQ(lux.log()[0].level, env::LogLevel::Warning);
  EXPECT_TRUE(lux.has_logged("quota of home"));
  EXPECT_FALSE(universe.machine("home").has_logged("quota"));
}

TEST(Machine, recent_calls_name_actor_call_and_outcome) {
  Universe universe(1);
  Machine& lux = universe.machine("lux");
  lux.run([&] { ignore(lux.env().files.read_file("/missing", 10), "the trace is looked at"); });
  EXPECT_NE(universe.recent_calls().find("lux/main"), std::string::npos);
  EXPECT_NE(universe.recent_calls().find("open_file      /missing (0, 0) -> not found"), std::string::npos)
      << universe.recent_calls();
}

}  // namespace
}  // namespace exclave::sim
