// Frames that the thread that appends sends itself, past the lanes (spread/detail/direct_append.h).
#include "tests/journal/journal_case.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;

class DirectAppendTest : public JournalTest {
 protected:
  static std::unique_ptr<spread::JournalWriter> open(JournalBench& bench, spread::JournalOptions options) {
    options.sends_directly = true;
    return bench.open_writer("first", options);
  }
  // A writer whose vaults answer so late, and whose lanes have opened the segment and rest.
  static std::unique_ptr<spread::JournalWriter> open_at_rest(JournalBench& bench, std::chrono::nanoseconds late,
                                                             std::uint64_t& next) {
    auto writer = open(bench, bench.options());
    append(*writer, next, 1);
    rest(bench, 200ms);
    EXPECT_EQ(writer->durable(), next);
    bench.answer_after(late);
    return writer;
  }
  static void rest(JournalBench& bench, std::chrono::nanoseconds time) {
    must(bench.env().clock.sleep_until(bench.in(time)));
  }
  static std::uint64_t appends_by_lanes(JournalBench& bench) {
    return bench.door(0).appends + bench.door(1).appends + bench.door(2).appends;
  }
  // Vaults that hold the first `frames` frames.
  static std::uint32_t holders_of(JournalBench& bench, std::uint64_t frames) {
    std::uint32_t holders = 0;
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
      std::vector<Bytes> read;
      if (bench.read("first", read, {i}).ok() && read.size() >= frames) ++holders;
    }
    return holders;
  }
  static void expect_all(JournalBench& bench, spread::JournalWriter& writer, std::uint64_t frames) {
    EXPECT_TRUE(is_ok(writer.finish(bench.in(1min))));
    for (const auto& vault : writer.progress().vaults) EXPECT_EQ(vault.frames, frames) << vault.vault;
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
      EXPECT_EQ(bench.door(i).overlaps, 0U) << "a vault is sent one thing at a time";
      std::vector<Bytes> read;
      must(bench.read("first", read, {i}));
      expect_frames(read, frames);
    }
  }
};

TEST_F(DirectAppendTest, a_commit_is_sent_and_its_answers_are_taken_without_a_lane) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    const std::uint64_t before = appends_by_lanes(bench);
    for (int i = 0; i < 20; ++i) {
      append(*writer, next, 1);
      EXPECT_FALSE(writer->take_answers()) << "none has come";
      EXPECT_EQ(writer->durable(), next - 1);
      rest(bench, 6ms);
      EXPECT_TRUE(writer->take_answers());
      EXPECT_EQ(writer->durable(), next);
    }
    EXPECT_EQ(appends_by_lanes(bench), before);
    EXPECT_EQ(bench.door(0).direct_appends, 20U);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, vaults_are_told_whom_their_answers_wake) {
  struct CountingWaker final : env::Waker {
    void wake() override { ++wakes; }
    void wait(std::chrono::nanoseconds) override {}
    int descriptor() const override { return -1; }
    void clear() override {}
    void look() override {}
    std::shared_ptr<const env::Watch> watch(int) override { return nullptr; }
    int wakes = 0;
  };
  run([](JournalBench& bench) {
    CountingWaker waker;
    auto options = bench.options();
    options.waker = &waker;
    const auto writer = open(bench, options);
    std::uint64_t next = 0;
    append(*writer, next, 1);
    rest(bench, 200ms);
    bench.answer_after(1ms);
    append(*writer, next, 1);
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) EXPECT_EQ(bench.door(i).wakes.load(), &waker) << i;
    // Who asks while a vault is just being sent something is woken when that is done: the answer may be there by then.
    bool has_asked = false;
    bench.door(0).answers_after = [&]() -> std::chrono::nanoseconds {
      if (!std::exchange(has_asked, true)) {
        EXPECT_FALSE(writer->take_answers());
      }
      return 1ms;
    };
    rest(bench, 5ms);
    writer->take_answers();
    EXPECT_EQ(waker.wakes, 0);
    append(*writer, next, 1);
    EXPECT_TRUE(has_asked);
    EXPECT_EQ(waker.wakes, 1);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, frames_that_come_meanwhile_go_out_together_with_the_answer) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    append(*writer, next, 10);
    EXPECT_TRUE(is_ok(writer->wait_beyond(format::FrameNumber(next - 1), bench.in(1s))));
    EXPECT_EQ(bench.door(0).direct_appends, 2U) << "the first one, and the other nine";
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, whatever_takes_long_is_waited_for_by_the_lane) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 3s, next);
    append(*writer, next, 2);
    rest(bench, 2s);
    EXPECT_FALSE(writer->take_answers()) << "they are the lanes' by now";
    EXPECT_EQ(writer->durable(), next - 2);
    rest(bench, 2s);
    EXPECT_EQ(writer->durable(), next) << "and nobody had to ask";
    EXPECT_FALSE(of(writer->progress(), 0).failure.has_value());
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, many_bytes_are_sent_by_the_lanes) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    append(*writer, next, 1, 100'000);
    rest(bench, 100ms);
    EXPECT_EQ(writer->durable(), next);
    EXPECT_EQ(bench.door(0).direct_appends, 0U);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, frames_in_flight_are_waited_for_at_the_end) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 300ms, next);
    append(*writer, next, 3);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, a_vault_that_does_not_take_them_is_asked_again_by_its_lane) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    bench.door(1).loses_direct = [] { return true; };
    for (int i = 0; i < 10; ++i) {
      const auto position = append(*writer, next, 1);
      EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(1s))));
      rest(bench, 20ms);
    }
    EXPECT_EQ(bench.door(1).direct_appends, 1U) << "and is left to it for a while";
    EXPECT_EQ(of(writer->progress(), 1).frames, next);
    EXPECT_FALSE(of(writer->progress(), 1).failure.has_value());
    std::vector<Bytes> read;
    must(bench.read("first", read, {1}));
    expect_frames(read, next);
    rest(bench, 2s);
    bench.door(1).loses_direct = nullptr;
    append(*writer, next, 1);
    EXPECT_EQ(bench.door(1).direct_appends, 2U);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, frames_that_got_lost_while_nobody_looked_are_sent_again_by_the_lane) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    bench.door(0).loses_direct = [] { return true; };
    bench.door(1).loses_direct = [] { return true; };
    append(*writer, next, 1);
    rest(bench, 2s);
    EXPECT_EQ(writer->durable(), next);
    EXPECT_FALSE(of(writer->progress(), 0).failure.has_value()) << "an answer that was there to be heard is no silence";
    bench.door(0).loses_direct = nullptr;
    bench.door(1).loses_direct = nullptr;
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, a_vault_that_stops_in_the_midst_of_its_answers_holds_nobody_up) {
  for (const auto takes : {std::chrono::nanoseconds(3ms), std::chrono::nanoseconds(1s)}) {
    run([&](JournalBench& bench) {
      std::uint64_t next = 0;
      const auto writer = open_at_rest(bench, 5ms, next);
      bench.door(0).answer_takes = takes;
      std::chrono::nanoseconds held{};
      for (int i = 0; i < 50; ++i) {
        const auto position = append(*writer, next, 1);
        rest(bench, 6ms);
        const env::Instant began = bench.env().clock.monotonic();
        writer->take_answers();
        held += bench.env().clock.monotonic() - began;
        EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(1s))));
      }
      EXPECT_LT(held, 20ms) << "in 50 times";
      EXPECT_EQ(bench.door(0).direct_appends, 1U) << "then it is its lane's";
      bench.door(0).answer_takes = {};
      expect_all(bench, *writer, next);
    });
  }
}

TEST_F(DirectAppendTest, a_writer_that_is_dropped_with_frames_in_flight_leaves_them_to_recovery) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      const auto writer = open_at_rest(bench, 1h, next);
      for (std::size_t i = 0; i < JournalBench::kVaults; ++i) bench.door(i).loses_direct = [] { return true; };
      append(*writer, next, 3);
    }
    const auto left =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(left.size(), 1U);
    EXPECT_TRUE(left[0].is_complete);
    std::vector<Bytes> read;
    must(bench.read("first", read, {2}));
    expect_frames(read, next);
  });
}

TEST_F(DirectAppendTest, a_lie_about_the_end_is_an_alarm_and_counts_for_nothing) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 5ms, next);
    const std::uint64_t lie_at = next;
    bench.door(0).retells_direct = [](Result<std::uint64_t> end) -> Result<std::uint64_t> {
      return end.value() + 4096;
    };
    bench.door(0).retells_end = bench.door(0).retells_direct;
    append(*writer, next, 1);
    rest(bench, 6ms);
    EXPECT_TRUE(writer->take_answers());
    EXPECT_EQ(writer->durable(), next) << "two are left";
    const auto progress = writer->progress();
    ASSERT_TRUE(of(progress, 0).failure.has_value());
    EXPECT_EQ(of(progress, 0).failure->code(), Code::Corrupt);
    EXPECT_EQ(of(progress, 0).frames, lie_at);
    bench.door(0).retells_direct = nullptr;
    bench.door(0).retells_end = nullptr;
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, vaults_sign_within_a_second_although_no_lane_is_rung_for_a_frame) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const auto writer = open_at_rest(bench, 2ms, next);
    for (int i = 0; i < 1000; ++i) {
      append(*writer, next, 1, 100);
      rest(bench, 3ms);
      writer->take_answers();
      EXPECT_LE(writer->progress().unvouched_for.value_or(0s), 1200ms);
    }
    EXPECT_GT(writer->progress().vouched, 300U);
    expect_all(bench, *writer, next);
  });
}

TEST_F(DirectAppendTest, a_lane_whose_vault_failed_while_there_was_nothing_to_send_rests) {
  run([](JournalBench& bench) {
    auto options = bench.options();
    options.heartbeat = 1s;
    auto writer = open(bench, options);
    std::uint64_t next = 0;
    append(*writer, next, 1);
    rest(bench, 200ms);
    bench.door(0).is_shut = true;
    // A lane that does not rest takes the monitor with it: this ends for no other reason.
    rest(bench, 10s);
    EXPECT_TRUE(of(writer->progress(), 0).failure.has_value()) << "it was asked whether it is still there";
    bench.door(0).is_shut = false;
    append(*writer, next, 1);
    wait_for_all(bench, *writer, next);
    expect_all(bench, *writer, next);
  });
}

// Lanes, appends and answers in every order, with vaults that go away and come back, and segments that fill up.
TEST_F(DirectAppendTest, whoever_sends_a_frame_it_arrives_once_and_in_its_place) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    run(
        [](JournalBench& bench) {
          const auto draw = [&](std::uint64_t below) {
            std::array<Byte, 8> random{};
            must(bench.env().random.fill(random));
            return load_u64(random) % below;
          };
          auto options = bench.options();
          options.classes.largest = 20;
          const auto writer = open(bench, options);
          for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
            bench.door(i).answers_after = [draw]() -> std::chrono::nanoseconds {
              return draw(20) == 0 ? std::chrono::milliseconds(draw(2000)) : std::chrono::microseconds(draw(4000));
            };
            bench.door(i).loses_direct = [draw] { return draw(50) == 0; };
            bench.door(i).retells_direct = [draw](Result<std::uint64_t> end) -> Result<std::uint64_t> {
              if (draw(50) == 0) return Error(Code::OutcomeUnknown, "cut");
              return end;
            };
          }
          std::uint64_t next = 0;
          std::uint64_t durable = 0;
          for (int step = 0; step < 400; ++step) {
            switch (draw(8)) {
              case 0:
                rest(bench, std::chrono::milliseconds(draw(10)));
                break;
              case 1:
                bench.door(draw(JournalBench::kVaults)).is_shut = draw(6) == 0;
                break;
              case 2:
                if (draw(20) == 0) must(writer->roll());
                break;
              case 3:
              case 4:
                writer->take_answers();
                break;
              default:
                append(*writer, next, 1, 1 + draw(draw(10) == 0 ? 90'000 : 5'000));
            }
            const std::uint64_t now = writer->durable();
            ASSERT_GE(now, durable) << "durable never falls";
            durable = now;
            if (draw(80) == 0) {
              EXPECT_GE(holders_of(bench, durable), JournalBench::kCopies) << "at step " << step;
            }
          }
          for (std::size_t i = 0; i < JournalBench::kVaults; ++i) bench.door(i).is_shut = false;
          std::uint64_t direct = 0;
          for (std::size_t i = 0; i < JournalBench::kVaults; ++i) direct += bench.door(i).direct_appends;
          EXPECT_GT(direct, 0U);
          EXPECT_GT(appends_by_lanes(bench), 0U);
          expect_all(bench, *writer, next);
        },
        seed);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace exclave::journal_tests
