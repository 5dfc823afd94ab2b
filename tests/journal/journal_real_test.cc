// Journals on this machine: real threads, real files, and what an append costs (printed, never asserted).
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/conformance/worlds.h"
#include "tests/journal/journal_bench.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;

void on_this_machine(const std::function<void(JournalBench&)>& body) {
  const auto world = conformance::real_world().make();
  world->run([&](env::Env env) {
    try {
      JournalBench bench(env, world->directory());
      body(bench);
    } catch (const conformance::BodyAbandoned&) {
      SUCCEED() << "the failure is already recorded";
    }
  });
}

std::string told(std::vector<std::int64_t> nanoseconds) {
  std::sort(nanoseconds.begin(), nanoseconds.end());
  const auto at = [&](std::size_t percent) {
    return std::to_string(nanoseconds[(nanoseconds.size() - 1) * percent / 100] / 1000) + " us";
  };
  return "median " + at(50) + ", 99 of 100 below " + at(99);
}

TEST(JournalOnThisMachine, threads_that_append_wait_and_look_agree) {
  on_this_machine([](JournalBench& bench) {
    auto options = bench.options();
    options.classes.largest = 20;
    options.sends_directly = true;
    bench.answer_after(100us);
    auto writer = bench.open_writer("first", options);
    std::atomic<bool> is_over{false};
    auto looker = must(bench.env().threads.start("looker", [&] {
      std::uint64_t before = 0;
      while (!is_over) {
        const std::uint64_t now = writer->durable();
        EXPECT_GE(now, before) << "durable never falls";
        before = now;
        const auto progress = writer->progress();
        EXPECT_LE(progress.durable, progress.appended);
        writer->take_answers();
      }
    }));
    std::uint64_t next = 0;
    for (; next < 1200; ++next) {
      bench.door(1).is_shut = next >= 300 && next < 800;
      const auto position = must(writer->append(content_of(next, 100 + next % 9000)));
      if (next % 50 == 0) must(writer->wait_beyond(position, bench.in(1min)));
    }
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    is_over = true;
    looker->join();
    for (const auto& vault : writer->progress().vaults) {
      EXPECT_EQ(vault.frames, next) << vault.vault;
    }
    std::vector<Bytes> frames;
    must(bench.read("first", frames, {1}));
    EXPECT_EQ(frames.size(), next);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first"));
  });
}

TEST(JournalOnThisMachine, measured_what_an_append_costs) {
  on_this_machine([](JournalBench& bench) {
    const auto agent = keys().agent_keys();
    const auto stream = JournalBench::stream_named("measured");
    must(bench.door(0).open_stream(stream));
    const format::SegmentPlace place{stream.descriptor.id(), format::EntryIndex(0)};
    auto sealer = must(format::SegmentSealer::open(agent.periods.at(0), keys().policy().realm, place, 22,
                                                   policy::testing::seeded_secret<32>("ephemeral")));
    Bytes segment(format::object_bytes(22));
    std::copy(sealer.front().begin(), sealer.front().end(), segment.begin());
    must(bench.door(0).append_frames(place.stream, place.index, 22, 0, sealer.front()));
    std::vector<std::int64_t> took;
    std::vector<std::int64_t> sealing;
    for (std::uint64_t i = 0; i < 400; ++i) {
      const std::uint64_t at = sealer.end();
      const auto start = bench.env().clock.monotonic();
      must(sealer.seal(format::FrameNumber(i), content_of(i, 2000), policy::testing::seeded_secret<32>("r"),
                       MutableByteView(segment).subspan(at)));
      const auto sealed = bench.env().clock.monotonic();
      must(bench.door(0).append_frames(place.stream, place.index, 22, at,
                                       ByteView(segment).subspan(at, static_cast<std::size_t>(sealer.end() - at))));
      sealing.push_back((sealed - start).count());
      took.push_back((bench.env().clock.monotonic() - sealed).count());
    }
    GTEST_LOG_(INFO) << "[ measured ] one frame of 2,000 bytes, embedded vault, synced: " << told(took)
                     << "; sealing: " << told(sealing);

    auto writer = bench.open_writer("whole");
    std::vector<std::int64_t> whole;
    for (std::uint64_t i = 0; i < 300; ++i) {
      const auto start = bench.env().clock.monotonic();
      const auto position = must(writer->append(content_of(i, 2000)));
      must(writer->wait_beyond(position, bench.in(1min)));
      whole.push_back((bench.env().clock.monotonic() - start).count());
    }
    GTEST_LOG_(INFO) << "[ measured ] append until 2 of 3 embedded vaults have it: " << told(whole);
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
  });
}

}  // namespace
}  // namespace exclave::journal_tests
