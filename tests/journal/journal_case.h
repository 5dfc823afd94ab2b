// One simulated machine with a journal bench on it: what tests of journals begin with.
#pragma once

#include <gtest/gtest.h>

#include "sim/universe.h"
#include "tests/journal/journal_bench.h"

namespace exclave::journal_tests {

class JournalTest : public ::testing::Test {
 protected:
  void run(const std::function<void(JournalBench&)>& body, std::uint64_t seed = 5) {
    sim::Universe universe(seed);
    machine_ = &universe.machine("home");
    machine_->run([&] {
      try {
        JournalBench bench(machine_->env());
        body(bench);
      } catch (const conformance::BodyAbandoned&) {
        SUCCEED() << "the failure is already recorded";
      }
    });
    universe.run();
    trace_ = universe.trace_hash();
  }
  // Appends `count` frames of so many bytes; the position of the last one.
  static spread::JournalPosition append(spread::JournalWriter& writer, std::uint64_t& next, std::size_t count,
                                        std::size_t bytes = 1000) {
    spread::JournalPosition last;
    for (std::size_t i = 0; i < count; ++i) {
      last = must(writer.append(content_of(next, bytes)));
      EXPECT_EQ(last.value(), next);
      ++next;
    }
    return last;
  }
  // Leaves three frames in the spool of a writer that dies, synced, where no vault has them; the segment's path.
  static std::string leave_in_spool_alone(JournalBench& bench, std::uint64_t& next) {
    const auto shut = [&bench](bool is_shut) {
      for (std::size_t i = 0; i < JournalBench::kVaults; ++i) bench.door(i).is_shut = is_shut;
    };
    shut(true);
    {
      auto writer = bench.open_writer();
      append(*writer, next, 3);
      must(writer->sync_spool());
    }  // it dies without finish
    shut(false);
    return bench.spool() + "/" + JournalBench::stream_named("first").descriptor.id().hex() + "/0.segment";
  }
  static void wait_until(JournalBench& bench, const std::function<bool()>& is_so) {
    const auto deadline = bench.in(std::chrono::minutes(1));
    while (!is_so()) {
      ASSERT_LT(bench.env().clock.monotonic(), deadline);
      must(bench.env().clock.sleep_until(bench.in(std::chrono::milliseconds(5))));
    }
  }
  // Until every vault has so many frames.
  static void wait_for_all(JournalBench& bench, spread::JournalWriter& writer, std::uint64_t frames) {
    wait_until(bench, [&] {
      const auto now = writer.progress();
      return std::ranges::all_of(now.vaults, [&](const auto& vault) { return vault.frames >= frames; });
    });
  }
  static void expect_frames(const std::vector<Bytes>& frames, std::uint64_t count) {
    ASSERT_EQ(frames.size(), count);
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(frames[i], content_of(i, frames[i].size())) << i;
  }
  static const spread::JournalVaultProgress& of(const spread::JournalProgress& progress, std::size_t i) {
    return progress.vaults.at(i);
  }

  sim::Machine* machine_ = nullptr;
  std::uint64_t trace_ = 0;
};

}  // namespace exclave::journal_tests
