// A journal's life without power failures: durability by k, lanes that are behind, lies, spools and their recovery.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spread/detail/spool.h"
#include "tests/conformance/nonce_ledger_environment.h"
#include "tests/journal/journal_case.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

// Of all tests of this binary, each of which ctest runs in a process of its own. gtest owns it.
const auto* const kNonceLedger =
    ::testing::AddGlobalTestEnvironment(new conformance::NonceLedgerEnvironment([] { static_cast<void>(keys()); }));

TEST_F(JournalTest, frames_reach_every_vault_and_come_back_in_order) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3, 10);
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1, 30'000), bench.in(1min))));
    std::vector<Bytes> frames;
    const auto open_end = must(bench.read("first", frames));
    expect_frames(frames, 4);
    EXPECT_TRUE(open_end.has_open_tail);
    EXPECT_EQ(open_end.closed, 0U);

    append(*writer, next, 300, 3000);
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1, 50'000), bench.in(1min))));
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    const auto progress = writer->progress();
    EXPECT_EQ(progress.appended, next);
    EXPECT_EQ(progress.durable, next);
    EXPECT_GT(progress.segments, 2U) << "segments rolled";
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(of(progress, i).frames, next);
      EXPECT_EQ(of(progress, i).segments, progress.segments);
      EXPECT_EQ(of(progress, i).bytes_behind, 0U);
      EXPECT_FALSE(of(progress, i).failure.has_value());
      EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first")) << "equal at every vault";
      EXPECT_EQ(bench.door(i).whole_puts, 0U) << "the vaults had the bytes";
      EXPECT_TRUE(must(bench.door(i).open_segments(keys().registry().id)).empty());
    }
    EXPECT_TRUE(must(bench.env().files.list(bench.spool())).empty()) << "everybody has it all";
    for (const std::size_t vault : {0U, 1U, 2U}) {
      frames.clear();
      const auto end = must(bench.read("first", frames, {vault}));
      expect_frames(frames, next);
      EXPECT_EQ(end.closed, progress.segments);
      EXPECT_FALSE(end.has_open_tail);
      EXPECT_TRUE(end.problems.empty());
    }
  });
}

TEST_F(JournalTest, many_frames_that_queue_up_go_out_in_one_call) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    bench.door(0).is_shut = true;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 40, 100), bench.in(1min))));
    const std::uint64_t before = bench.door(0).appends;
    bench.door(0).is_shut = false;
    const auto deadline = bench.in(1min);
    while (writer->progress().vaults[0].frames < next && bench.env().clock.monotonic() < deadline) {
      must(bench.env().clock.sleep_until(bench.in(10ms)));
    }
    EXPECT_EQ(writer->progress().vaults[0].frames, next);
    EXPECT_LE(bench.door(0).appends - before, 2U);
  });
}

TEST_F(JournalTest, a_vault_that_is_away_holds_up_nobody_and_catches_up_from_the_spool) {
  run([](JournalBench& bench) {
    auto options = bench.options();
    options.classes.largest = 20;
    auto writer = bench.open_writer("first", options);
    std::uint64_t next = 0;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 5), bench.in(1min))));
    bench.door(2).is_shut = true;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1500, 4000), bench.in(1min))));
    auto progress = writer->progress();
    EXPECT_GT(progress.segments, 4U);
    EXPECT_TRUE(of(progress, 2).behind_since.has_value());
    ASSERT_TRUE(of(progress, 2).failure.has_value());
    EXPECT_EQ(of(progress, 2).failure->code(), Code::Unavailable);
    EXPECT_GT(of(progress, 2).bytes_behind, 1'000'000U);
    EXPECT_LT(of(progress, 2).frames, 10U);

    bench.door(2).is_shut = false;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(5min))));
    progress = writer->progress();
    EXPECT_EQ(of(progress, 2).frames, next);
    EXPECT_FALSE(of(progress, 2).behind_since.has_value());
    EXPECT_GT(bench.door(2).whole_puts, 2U) << "closed segments go as a whole";
    EXPECT_EQ(bench.objects_at(2, "first"), bench.objects_at(0, "first"));
    std::vector<Bytes> frames;
    must(bench.read("first", frames, {2}));
    expect_frames(frames, next);
  });
}

TEST_F(JournalTest, with_too_few_vaults_nothing_is_durable_and_the_reasons_are_named) {
  run([](JournalBench& bench) {
    bench.door(0).is_shut = true;
    bench.door(1).is_shut = true;
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    const auto position = append(*writer, next, 3);
    const auto waited = writer->wait_beyond(position, bench.in(5s));
    ASSERT_TRUE(failed_with(waited, Code::Unavailable));
    EXPECT_NE(waited.error().message().find("was shut off"), std::string::npos) << waited.error().message();
    EXPECT_EQ(writer->durable(), 0U);
    EXPECT_TRUE(is_ok(writer->sync_spool())) << "what an acknowledgement means at the least";
    bench.door(1).is_shut = false;
    EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(1min))));
  });
}

TEST_F(JournalTest, whoever_waits_for_several_things_is_woken) {
  run([](JournalBench& bench) {
    const auto wake = bench.env().threads.make_monitor();
    auto options = bench.options();
    options.on_news = [&wake] {
      const env::MonitorLock lock(*wake);
      wake->notify_all();
    };
    auto writer = bench.open_writer("first", options);
    std::uint64_t next = 0;
    append(*writer, next, 1);
    const auto deadline = bench.in(1min);
    while (writer->durable() < 1 && bench.env().clock.monotonic() < deadline) {
      const env::MonitorLock lock(*wake);
      wake->wait_until(bench.in(5s));
    }
    EXPECT_EQ(writer->durable(), 1U);
    EXPECT_LT(bench.env().clock.monotonic(), deadline);
  });
}

TEST_F(JournalTest, a_new_period_begins_with_a_new_segment) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 45, 4000);  // beyond 3/4: the next one is opened ahead, under the old key
    bench.period = 4;
    EXPECT_TRUE(is_ok(writer->roll()));
    append(*writer, next, 2);
    EXPECT_TRUE(is_ok(writer->roll()));
    append(*writer, next, 2);
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    const auto site = bench.host(0).door(keys().site());
    std::vector<std::uint32_t> periods;
    for (const auto& held : must(site->entries(writer->stream(), format::EntryIndex(0), store::kMaxEntriesPerCall))) {
      periods.push_back(held.period.value());
    }
    EXPECT_EQ(periods.front(), 3U);
    EXPECT_EQ(periods.back(), 4U);
    EXPECT_TRUE(std::is_sorted(periods.begin(), periods.end()));
    std::vector<Bytes> frames;
    must(bench.read("first", frames));
    expect_frames(frames, next);
  });
}

TEST_F(JournalTest, a_frame_of_a_mebibyte_gets_a_segment_that_holds_it) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 1, 10);
    append(*writer, next, 2, format::kMaxFrameContent);
    EXPECT_TRUE(failed_with(writer->append(Bytes(format::kMaxFrameContent + 1)), Code::InvalidInput));
    EXPECT_TRUE(failed_with(writer->append({}), Code::InvalidInput));
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    std::vector<Bytes> frames;
    must(bench.read("first", frames));
    expect_frames(frames, next);
  });
}

TEST_F(JournalTest, beyond_its_limit_the_spool_drops_what_k_vaults_have_and_repair_brings_it) {
  run([](JournalBench& bench) {
    auto options = bench.options();
    options.spool_limit_bytes = 2 << 20;
    options.classes.largest = 18;
    auto writer = bench.open_writer("first", options);
    std::uint64_t next = 0;
    bench.door(1).is_shut = true;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1000, 4000), bench.in(1min))));
    EXPECT_LE(writer->progress().spool_bytes, (2U << 20) + (3U << 18));
    bench.door(1).is_shut = false;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 5), bench.in(1min))));
    must(bench.env().clock.sleep_until(bench.in(5s)));
    EXPECT_FALSE(writer->wants_roll()) << "it lacks an earlier segment: no roll helps";
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    const auto progress = writer->progress();
    EXPECT_GT(of(progress, 1).dropped_segments, 0U);
    EXPECT_LT(of(progress, 1).segments, progress.segments) << "a receipt does not reach over the gap";

    std::vector<std::unique_ptr<store::VaultApi>> others;
    others.push_back(bench.host(0).door(policy::testing::machine_key(bench.host(1).entry().name + " identity")));
    const auto report = bench.host(1).vault().repair({others[0].get()}, {}, {});
    EXPECT_TRUE(report.problems.empty()) << report.problems.front();
    std::vector<Bytes> frames;
    must(bench.read("first", frames, {1}));
    expect_frames(frames, next);
    const auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(recovered.size(), 1U);
    EXPECT_TRUE(recovered[0].is_complete);
  });
}

TEST_F(JournalTest, lies_about_ends_and_receipts_are_alarms_and_count_for_nothing) {
  run([](JournalBench& bench) {
    bench.door(0).retells_end = [](Result<std::uint64_t> end) -> Result<std::uint64_t> {
      if (!end.ok()) return end;
      return end.value() + 4096;
    };
    bench.door(1).retells_receipt = [](format::SignedReceipt& receipt) {
      receipt.receipt.chain = policy::testing::seeded_id<format::ChainHash>("another");
    };
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    const auto position = append(*writer, next, 3);
    EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(1min)))) << "two are left";
    const auto is_alarm = [](const spread::JournalVaultProgress& vault) {
      return vault.failure.has_value() && vault.failure->code() == Code::Corrupt;
    };
    auto progress = writer->progress();
    EXPECT_TRUE(is_alarm(of(progress, 0)));
    EXPECT_EQ(of(progress, 0).frames, 0U) << "nothing that a liar says counts";
    EXPECT_TRUE(is_ok(writer->finish(bench.in(10s))));
    progress = writer->progress();
    EXPECT_TRUE(is_alarm(of(progress, 1)));
    EXPECT_EQ(of(progress, 1).segments, 0U);
    EXPECT_EQ(of(progress, 2).segments, 1U);
    EXPECT_FALSE(must(bench.env().files.list(bench.spool())).empty()) << "it is kept for the one without a receipt";
  });
}

TEST_F(JournalTest, within_a_second_each_vault_has_signed_for_what_it_confirmed) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    auto progress = writer->progress();
    EXPECT_EQ(progress.vouched, 0U) << "their word, and no more";
    EXPECT_TRUE(progress.unvouched_for.has_value());
    must(bench.env().clock.sleep_until(bench.in(1100ms)));
    progress = writer->progress();
    EXPECT_EQ(progress.vouched, next);
    EXPECT_FALSE(progress.unvouched_for.has_value());
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(of(progress, i).vouched, next);
      ASSERT_TRUE(of(progress, i).mark_receipt.has_value());
      EXPECT_TRUE(is_ok(of(progress, i).mark_receipt->check_signature()));
      EXPECT_EQ(bench.door(i).marks, 1U);
      const auto open = must(bench.door(i).open_segments(keys().registry().id));
      ASSERT_TRUE(open.at(0).mark.has_value());
      EXPECT_EQ(open.at(0).mark->mark.frames, next);
      EXPECT_TRUE(is_ok(open.at(0).mark->check_signature(keys().writer().public_key())));
    }
    must(bench.env().clock.sleep_until(bench.in(10s)));
    EXPECT_EQ(bench.door(0).marks, 1U) << "nothing new, nothing to sign";

    // A writer that never rests: evidence lags by a second at most, and costs one call in a second.
    const auto end = bench.in(6s);
    while (bench.env().clock.monotonic() < end) {
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1, 4000), bench.in(1min))));
      progress = writer->progress();
      if (progress.unvouched_for.has_value()) {
        EXPECT_LT(*progress.unvouched_for, 1500ms);
      }
    }
    EXPECT_GT(progress.segments, 1U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_LE(bench.door(i).marks, 10U);
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    EXPECT_EQ(writer->progress().vouched, next) << "receipts say more than marks";
  });
}

TEST_F(JournalTest, a_segment_that_is_rolled_soon_does_not_make_the_next_one_larger) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 2), bench.in(1min))));
      must(writer->roll());
    }
    for (const auto& open : must(bench.door(0).open_segments(keys().registry().id))) {
      EXPECT_EQ(open.size_class, format::kSizeClasses.front()) << "they were not full";
    }
    append(*writer, next, 70, 4000);  // more than a segment, at once
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 2), bench.in(1min))));
    std::uint8_t largest = 0;
    for (const auto& open : must(bench.door(0).open_segments(keys().registry().id)))
      largest = std::max(largest, open.size_class);
    EXPECT_GT(largest, format::kSizeClasses.front());
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
  });
}

TEST_F(JournalTest, a_wall_clock_that_is_set_makes_no_signature_late) {
  run([this](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    for (const auto by : {std::chrono::nanoseconds(1h), std::chrono::nanoseconds(-2h)}) {
      machine_->jump_clock(by);
      ASSERT_TRUE(writer->progress().unvouched_for.has_value());
      EXPECT_GE(*writer->progress().unvouched_for, 0s);
      EXPECT_LT(*writer->progress().unvouched_for, 1s);
    }
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
  });
}

TEST_F(JournalTest, a_writer_that_never_waits_is_signed_for_within_two_seconds_too) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    const auto end = bench.in(10s);
    while (bench.env().clock.monotonic() < end) {
      append(*writer, next, 1, 500);
      must(bench.env().clock.sleep_until(bench.in(1ms)));
      const auto progress = writer->progress();
      if (progress.unvouched_for.has_value()) {
        EXPECT_LT(*progress.unvouched_for, 2s);
      }
    }
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
  });
}

TEST_F(JournalTest, vaults_that_sign_nothing_hold_up_no_frames_and_it_shows) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    for (const std::size_t i : {0U, 1U}) bench.door(i).refuses_marks = true;
    const auto end = bench.in(15s);
    while (bench.env().clock.monotonic() < end) {
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1), bench.in(3s))));
      must(bench.env().clock.sleep_until(bench.in(50ms)));
    }
    const auto progress = writer->progress();
    EXPECT_LT(progress.vouched, progress.durable);
    ASSERT_TRUE(progress.unvouched_for.has_value());
    EXPECT_GT(*progress.unvouched_for, 3s);
    EXPECT_GT(bench.door(0).appends, 50U) << "frames go on between the attempts";
  });
}

TEST_F(JournalTest, L1_whoever_shows_less_than_its_writer_signed_for_says_nothing_about_the_end) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 5);
    wait_for_all(bench, *writer, next);
    must(bench.env().clock.sleep_until(bench.in(2s)));
    const auto short_end = [](std::vector<store::OpenSegment>& open) {
      for (auto& segment : open) segment.end = 2 * format::kFrameStep;
    };
    bench.shows_site = {{0, short_end}, {1, short_end}};
    std::vector<Bytes> frames;
    auto read = must(bench.read("first", frames, {0, 1}));
    EXPECT_EQ(read.frames, 1U);
    EXPECT_EQ(read.marked, next);
    EXPECT_EQ(read.unreachable.size(), 2U);
    EXPECT_THAT(read.unreachable.at(0).why.message(), HasSubstr("had vouched for"));

    // A mark that somebody else signed is nothing but a lie.
    bench.shows_site[0] = [](std::vector<store::OpenSegment>& open) {
      for (auto& segment : open) {
        format::Mark mark = segment.mark.value().mark;
        mark.frames = 100;
        segment.mark = format::SignedMark::sign(mark, keys().site());
      }
    };
    frames.clear();
    read = must(bench.read("first", frames, {0}));
    EXPECT_EQ(read.frames, next);
    EXPECT_EQ(read.marked, 0U);
    EXPECT_THAT(read.problems, Contains(HasSubstr("that its writer did not sign")));
  });
}

TEST_F(JournalTest, a_vault_whose_disk_failed_once_is_back_as_soon_as_its_segment_is_rolled) {
  run([this](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    bench.door(2).is_shut = true;
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    EXPECT_FALSE(writer->wants_roll());
    machine_->inject({.call = sim::FileCall::Sync, .path_part = "/vault-0/journal/"});
    const auto position = append(*writer, next, 1);
    EXPECT_TRUE(failed_with(writer->wait_beyond(position, bench.in(5s)), Code::Unavailable))
        << "k = 2, and one is away";
    EXPECT_TRUE(writer->wants_roll());
    EXPECT_TRUE(is_ok(writer->roll()));
    EXPECT_FALSE(writer->wants_roll());
    EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(11s))));
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 2), bench.in(1s))));
    EXPECT_FALSE(of(writer->progress(), 0).breach.has_value()) << "it holds all that it confirmed";
    bench.door(2).is_shut = false;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
    std::vector<Bytes> frames;
    must(bench.read("first", frames, {0}));
    expect_frames(frames, next);
  });
}

TEST_F(JournalTest, a_vault_that_has_lost_what_it_confirmed_is_an_alarm_and_gets_it_again) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3);
    wait_for_all(bench, *writer, next);
    // As if a disk image of before had been put back: it forgets and says so.
    bool has_alarmed = false;
    std::atomic<bool> forgets{true};
    bench.door(0).retells_end = [&](Result<std::uint64_t> end) -> Result<std::uint64_t> {
      if (forgets) return Error(Code::Precondition, "segment 0 ends at 0");
      return end;
    };
    bench.door(0).retells_segments = [&](std::vector<store::OpenSegment>& open) {
      if (forgets) open.clear();
    };
    append(*writer, next, 1);
    wait_until(bench, [&] {
      const auto progress = writer->progress();
      has_alarmed = of(progress, 0).failure.has_value() && of(progress, 0).failure->code() == Code::Corrupt;
      return has_alarmed;
    });
    EXPECT_TRUE(has_alarmed);
    forgets = false;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    const auto healed = of(writer->progress(), 0);
    EXPECT_EQ(healed.frames, next);
    EXPECT_FALSE(healed.failure.has_value());
    ASSERT_TRUE(healed.breach.has_value()) << "nobody hears of it who looks later";
    EXPECT_THAT(*healed.breach, ::testing::HasSubstr("and holds 0"));
    EXPECT_FALSE(of(writer->progress(), 1).breach.has_value());
  });
}

TEST_F(JournalTest, a_vault_whose_later_segment_ends_within_a_frame_is_an_alarm_and_nothing_is_signed_of_it) {
  run([](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3);
    wait_for_all(bench, *writer, next);
    // It hides the first one, which is closed already and may be so there, too.
    std::atomic<bool> lies{true};
    bench.door(0).retells_end = [&](Result<std::uint64_t> end) -> Result<std::uint64_t> {
      if (lies) return Error(Code::Precondition, "segment 1 ends elsewhere");
      return end;
    };
    bench.door(0).retells_segments = [&](std::vector<store::OpenSegment>& open) {
      if (!lies) return;
      std::erase_if(open, [](const store::OpenSegment& each) { return each.index.value() == 0; });
      for (store::OpenSegment& each : open)
        each.end = std::min<std::uint64_t>(each.end, format::kSegmentFrontBytes + format::kFrameStep);
    };
    EXPECT_TRUE(is_ok(writer->roll()));
    append(*writer, next, 2, 3 * format::kFrameStep);
    wait_until(bench, [&] { return of(writer->progress(), 0).breach.has_value(); });
    EXPECT_THAT(of(writer->progress(), 0).breach, ::testing::Optional(HasSubstr("in the midst of a frame")));
    must(bench.env().clock.sleep_until(bench.in(5s)));
    EXPECT_LE(of(writer->progress(), 0).vouched, next);
    lies = false;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    EXPECT_EQ(of(writer->progress(), 0).frames, next);
  });
}

TEST_F(JournalTest, H7_a_vault_that_was_set_back_while_its_segment_was_closed_elsewhere_is_an_alarm) {
  run([](JournalBench& bench) {
    VaultHost earlier(bench.env(), "/vault-0-earlier", keys(), 0);
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3);
    wait_for_all(bench, *writer, next);
    bench.door(0).is_shut = true;
    EXPECT_TRUE(is_ok(writer->roll()));
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1), bench.in(1min))));
    bench.door(0).replace(earlier.door(keys().writer()));
    bench.door(0).is_shut = false;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    const auto healed = of(writer->progress(), 0);
    EXPECT_EQ(healed.frames, next);
    EXPECT_THAT(healed.breach, ::testing::Optional(HasSubstr("segment 0 and does not hold them")));
    writer.reset();
    bench.door(0).replace(bench.host(0).door(keys().writer()));
  });
}

TEST_F(JournalTest, a_clone_that_went_another_way_is_a_conflict_for_who_reads) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      bench.door(1).is_shut = true;
      bench.door(2).is_shut = true;
      auto writer = bench.open_writer();
      append(*writer, next, 2);
      ignore(writer->wait_beyond(format::FrameNumber(1), bench.in(2s)), "one vault is not durable");
    }
    const auto stream = JournalBench::stream_named("first").descriptor.id();
    spread::detail::Spool spool(bench.env().files, bench.spool(), stream);
    must(spool.remove_all());
    {
      bench.door(0).is_shut = true;
      bench.door(1).is_shut = false;
      auto clone = bench.open_writer();  // the same stream once more, as a restored image would
      must(clone->append(content_of(99, 50)));
      ignore(clone->wait_beyond(format::FrameNumber(0), bench.in(2s)), "one vault is not durable");
    }
    std::vector<Bytes> frames;
    EXPECT_TRUE(failed_with(bench.read("first", frames), Code::Conflict));
    EXPECT_TRUE(frames.empty());
    bench.door(0).is_shut = false;
    const auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    EXPECT_FALSE(recovered.at(0).is_complete) << "nothing is closed over what another vault confirmed";
    frames.clear();
    EXPECT_TRUE(failed_with(bench.read("first", frames), Code::Conflict));
  });
}

TEST_F(JournalTest, a_full_disk_at_a_vault_refuses_cleanly_and_the_others_go_on) {
  run([this](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3);
    wait_for_all(bench, *writer, next);
    machine_->inject(
        {.call = sim::FileCall::Write, .path_part = "/vault-1/journal", .nth = 1, .times = 5, .code = Code::Exhausted});
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    EXPECT_EQ(of(writer->progress(), 1).frames, next) << "and it comes back when there is room";
  });
}

TEST_F(JournalTest, a_failed_sync_ends_a_segment_at_its_vault_which_gets_the_whole_object) {
  run([this](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    append(*writer, next, 3);
    wait_for_all(bench, *writer, next);
    machine_->inject({.call = sim::FileCall::Sync, .path_part = "/vault-1/journal"});
    EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    const std::uint64_t whole = bench.door(1).whole_puts;
    EXPECT_TRUE(is_ok(writer->finish(bench.in(2min))));
    EXPECT_EQ(of(writer->progress(), 1).frames, next);
    EXPECT_EQ(bench.door(1).whole_puts, whole + 1);
    EXPECT_EQ(bench.objects_at(1, "first"), bench.objects_at(0, "first"));
  });
}

TEST_F(JournalTest, a_spool_that_cannot_be_written_stops_the_writer_and_not_the_lanes) {
  run([this](JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    const auto position = append(*writer, next, 3);
    machine_->inject({.call = sim::FileCall::Write, .path_part = "/spool", .code = Code::Exhausted});
    EXPECT_TRUE(failed_with(writer->append(content_of(next, 10)), Code::Exhausted));
    EXPECT_TRUE(failed_with(writer->append(content_of(next, 10)), Code::Exhausted)) << "for good";
    EXPECT_TRUE(is_ok(writer->wait_beyond(position, bench.in(1min))));
    EXPECT_TRUE(failed_with(writer->finish(bench.in(1min)), Code::Exhausted));
    writer.reset();
    const auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    EXPECT_TRUE(recovered.at(0).is_complete);
    std::vector<Bytes> frames;
    must(bench.read("first", frames));
    expect_frames(frames, 3);
  });
}

TEST_F(JournalTest, the_same_seed_gives_the_same_trace) {
  const auto once = [&](std::uint64_t seed) {
    run(
        [](JournalBench& bench) {
          auto writer = bench.open_writer();
          std::uint64_t next = 0;
          bench.door(1).is_shut = true;
          append(*writer, next, 100, 4000);
          bench.door(1).is_shut = false;
          EXPECT_TRUE(is_ok(writer->finish(bench.in(1min))));
        },
        seed);
    return trace_;
  };
  EXPECT_EQ(once(8), once(8));
  EXPECT_NE(once(8), once(9));
}

}  // namespace
}  // namespace exclave::journal_tests
