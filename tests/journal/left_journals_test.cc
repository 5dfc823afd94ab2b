// What a writer that died left in its spool: how it comes to the vaults, and the power failures that follow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spread/detail/spool.h"
#include "tests/journal/journal_case.h"
#include "tests/sim/journal_realm.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;

// Found by the campaign of journals: the entry was durable, and the frames were in memory alone. With the power they were gone,
// and the spool called itself damaged for ever, although every vault had all of it.
TEST(LeftJournals, H7_what_recovery_closes_is_on_homes_disk_before_its_entry_is) {
  realm_tests::SimRealm realm(5);
  realm_tests::JournalHome home(realm);
  conformance::must(home.open());
  for (int i = 0; i < 5; ++i) conformance::must(home.append(1000));
  ASSERT_TRUE(home.await(10s));
  home.drop();  // the process goes, the machine stays
  realm.home().inject({.call = sim::FileCall::Name, .path_part = ".ended"});
  EXPECT_FALSE(home.recover(1min).ok()) << "it is closed, and cannot be removed";
  realm.home().clear_faults();

  realm.home().set_survival(sim::Survival::Nothing);
  realm.home().crash();
  home.drop();
  realm.home().restart();
  const auto left = conformance::must(home.recover(1min));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(left[0].is_complete);
  EXPECT_THAT(left[0].reasons, ::testing::IsEmpty());
  EXPECT_THAT(conformance::must(home.recover(1min)), ::testing::IsEmpty());
}

// The same, where a sync had failed for the writer: no later one reports that, and none writes it. Seed 2493 of the campaign.
TEST(LeftJournals, H7_what_recovery_closes_is_on_homes_disk_also_where_a_sync_had_failed_before) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {  // chance says what a failed sync loses
    SCOPED_TRACE(seed);
    realm_tests::SimRealm realm(seed);
    realm_tests::JournalHome home(realm);
    conformance::must(home.open());
    for (int i = 0; i < 20; ++i) conformance::must(home.append(4000));
    ASSERT_TRUE(home.await(10s));
    realm.home().inject({.call = sim::FileCall::Sync, .path_part = ".segment"});
    EXPECT_FALSE(home.writer().sync_spool().ok());
    home.drop();
    realm.home().clear_faults();
    realm.home().inject({.call = sim::FileCall::Name, .path_part = ".ended"});
    EXPECT_FALSE(home.recover(1min).ok()) << "it is closed, and cannot be removed";
    realm.home().clear_faults();

    realm.home().set_survival(sim::Survival::Nothing);
    realm.home().crash();
    realm.home().restart();
    realm.universe().network().partition("home", realm.vault(2).name());
    auto left = conformance::must(home.recover(1min));
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].frames_end, 20U);
    realm.universe().network().heal_all();
    left = conformance::must(home.recover(1min));
    ASSERT_EQ(left.size(), 1U);
    EXPECT_THAT(left[0].losses, ::testing::IsEmpty());
    EXPECT_TRUE(left[0].is_complete);
  }
}

// Found by the campaign of journals: the reader followed the longest chain, and where it could not have a closed segment it did not
// look at what others had open of it.
TEST(LeftJournals, L6_rot_in_the_only_copy_of_a_closed_segment_hides_no_frames_that_others_hold_open) {
  realm_tests::SimRealm realm(6);
  realm_tests::JournalHome home(realm);
  conformance::must(home.open());
  const auto append = [&](int frames) {
    for (int i = 0; i < frames; ++i) conformance::must(home.append(1000));
  };
  append(3);
  ASSERT_TRUE(home.await(10s));
  realm.universe().run_for(2s);
  for (const std::size_t away : {0U, 1U}) realm.universe().network().partition("home", realm.vault(away).name());
  append(2);
  conformance::must(home.writer().roll());
  realm.universe().run_for(15s);
  realm.home().crash();
  home.drop();
  realm.universe().network().heal_all();
  const auto site = realm.vault(2).host().door(realm.keys().site());
  const auto held = conformance::must(site->entries(home.journal().id(), format::EntryIndex(0), 10));
  ASSERT_EQ(held.size(), 1U);
  conformance::must(
      realm.vault(2).machine().disk().flip_bit(realm.vault(2).host().path_of(held[0].entry.entry.object), 5000));
  const auto reading = realm_tests::read_journal_abroad(realm, home.journal(), {0, 1, 2}, realm.keys().policy().quorum);
  ASSERT_FALSE(reading.refusal.has_value()) << reading.refusal->message();
  EXPECT_TRUE(reading.end.lost.has_value());
  EXPECT_GE(reading.frames, 3U) << "they were acknowledged";
}

// --- brought to the vaults by the next start, without a power failure ----------------------------------------------------

TEST_F(JournalTest, what_a_dead_agent_left_in_the_spool_is_completed_before_the_next_stream) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      bench.door(2).is_shut = true;
      auto writer = bench.open_writer();
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 300, 4000), bench.in(1min))));
    }  // it dies without finish
    auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(recovered.size(), 1U);
    EXPECT_FALSE(recovered[0].is_complete);
    EXPECT_EQ(recovered[0].frames_end, next);
    ASSERT_EQ(recovered[0].reasons.size(), 1U);
    bench.door(2).is_shut = false;
    recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(recovered.size(), 1U);
    EXPECT_TRUE(recovered[0].is_complete) << recovered[0].reasons.at(0);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first"));
      EXPECT_TRUE(must(bench.door(i).open_segments(keys().registry().id)).empty()) << "all are closed";
    }
    std::vector<Bytes> frames;
    must(bench.read("first", frames, {2}));
    expect_frames(frames, next);
    EXPECT_TRUE(
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)))
            .empty());
  });
}

TEST_F(JournalTest, a_spooled_segment_that_a_vault_lacks_must_be_whole_and_the_others_come_all_the_same) {
  run([this](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      auto writer = bench.open_writer();
      for (int segments = 0; segments < 3; ++segments) {
        bench.door(2).is_shut = segments > 0;
        EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
        if (segments == 0) wait_for_all(bench, *writer, next);
        must(writer->roll());
        must(bench.env().clock.sleep_until(bench.in(1s)));
      }
    }  // it dies without finish
    const auto stream = JournalBench::stream_named("first").descriptor.id();
    const std::string folder = bench.spool() + "/" + stream.hex();
    const auto recover = [&] {
      auto left =
          must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
      return left.at(0);
    };
    must(machine_->disk().flip_bit(folder + "/1.segment", 5000));
    bench.door(2).is_shut = false;
    auto left = recover();
    EXPECT_FALSE(left.is_complete);
    EXPECT_THAT(left.losses, Contains("segment 1 is damaged"));
    EXPECT_EQ(left.holders, 2U) << "the others have it";
    EXPECT_EQ(left.frames_end, next);
    EXPECT_EQ(bench.objects_at(2, "first").size(), 2U) << "what is whole comes all the same";

    must(machine_->disk().flip_bit(folder + "/1.segment", 5000));
    left = recover();
    EXPECT_TRUE(left.is_complete) << left.reasons.at(0);
    EXPECT_EQ(left.holders, 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first"));
  });
}

// It was an alarm for ever: nobody could mend what nobody needed.
TEST_F(JournalTest, damage_in_a_spool_of_which_every_vault_has_all_is_of_no_matter) {
  run([this](JournalBench& bench) {
    bench.door(2).is_shut = true;
    {
      auto writer = bench.open_writer();
      std::uint64_t next = 0;
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
      must(writer->roll());
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
    }  // it dies without finish
    bench.door(2).is_shut = false;
    const auto recover = [&] {
      return spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min));
    };
    machine_->inject({.call = sim::FileCall::Name, .path_part = ".ended", .nth = 1});
    EXPECT_FALSE(recover().ok()) << "every vault has all, and the spool stays";
    machine_->clear_faults();
    const auto stream = JournalBench::stream_named("first").descriptor.id();
    must(machine_->disk().flip_bit(bench.spool() + "/" + stream.hex() + "/0.segment", 5000));
    const auto left = must(recover());
    ASSERT_EQ(left.size(), 1U);
    EXPECT_TRUE(left[0].is_complete) << left[0].reasons.at(0);
  });
}

// Found by the crash matrix: such a journal stayed in the spool until somebody restarted the vault.
TEST_F(JournalTest, what_a_dead_agent_left_is_completed_at_a_vault_whose_disk_failed_under_it) {
  run([this](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      auto writer = bench.open_writer();
      append(*writer, next, 3);
      wait_for_all(bench, *writer, next);
      machine_->inject({.call = sim::FileCall::Sync, .path_part = "/vault-1/journal"});
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
      must(bench.env().clock.sleep_until(bench.in(1s)));
      EXPECT_TRUE(of(writer->progress(), 1).failure.has_value()) << "it takes no more frames of this segment";
    }  // it dies without finish
    const auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(recovered.size(), 1U);
    EXPECT_TRUE(recovered[0].is_complete) << recovered[0].reasons.at(0);
    EXPECT_EQ(recovered[0].holders, 3U) << "it took no more frames, and has the closed segment";
    EXPECT_EQ(bench.objects_at(1, "first"), bench.objects_at(0, "first"));
    EXPECT_TRUE(must(bench.door(1).open_segments(keys().registry().id)).empty());
  });
}

// Found by the crash matrix: a segment whose entries had been removed before it stayed in the spool for ever.
TEST_F(JournalTest, a_spool_whose_removal_failed_in_the_middle_is_removed_the_next_time) {
  run([this](JournalBench& bench) {
    const auto recover = [&] {
      return spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min));
    };
    bench.door(2).is_shut = true;
    {
      auto writer = bench.open_writer();
      std::uint64_t next = 0;
      for (int segments = 0; segments < 3; ++segments) {
        EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
        must(writer->roll());
      }
    }  // it dies without finish
    bench.door(2).is_shut = false;
    for (int failures = 0; failures < 2; ++failures) {
      machine_->inject({.call = sim::FileCall::Name, .path_part = ".segment", .nth = 2});
      EXPECT_FALSE(recover().ok()) << "the second of its segments stays";
      machine_->clear_faults();
    }
    EXPECT_FALSE(must(bench.env().files.list(bench.spool())).empty());
    EXPECT_TRUE(must(recover()).empty());
    EXPECT_TRUE(must(bench.env().files.list(bench.spool())).empty());
  });
}

// It counted as one that nothing was ever written to, and was removed once every vault answered.
TEST_F(JournalTest, an_open_segment_whose_front_is_rotten_is_named_and_stays) {
  run([this](JournalBench& bench) {
    std::uint64_t next = 0;
    const std::string segment = leave_in_spool_alone(bench, next);
    const auto recover = [&] {
      auto left =
          must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
      return left.at(0);
    };
    must(machine_->disk().flip_bit(segment, 0));
    auto left = recover();
    EXPECT_FALSE(left.is_complete);
    EXPECT_THAT(left.losses, ::testing::ElementsAre("segment 0 is damaged"));
    EXPECT_EQ(left.holders, 0U);
    EXPECT_TRUE(is_ok(bench.env().files.stat(segment)));

    must(machine_->disk().flip_bit(segment, 0));
    left = recover();
    EXPECT_TRUE(left.is_complete) << left.reasons.at(0);
    std::vector<Bytes> frames;
    must(bench.read("first", frames));
    expect_frames(frames, next);
  });
}

// It was closed with what was left, taken for all that had been acknowledged, and the rest was removed.
TEST_F(JournalTest, a_spool_that_has_fewer_frames_than_were_counted_on_stays_as_it_is) {
  run([this](JournalBench& bench) {
    std::uint64_t next = 0;
    const std::string segment = leave_in_spool_alone(bench, next);
    const std::uint64_t first_frame = format::kSegmentFrontBytes;
    const auto recover = [&](std::uint64_t wanted) {
      const auto left = must(
          spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min), wanted));
      return left.at(0);
    };
    const auto expect_kept = [&](const spread::SpooledStream& left, std::uint64_t frames_end) {
      EXPECT_FALSE(left.is_complete);
      EXPECT_THAT(left.losses, ::testing::Contains(::testing::HasSubstr("it had lost its end")));
      EXPECT_EQ(left.holders, 0U);
      EXPECT_EQ(left.frames_end, frames_end);
      EXPECT_TRUE(is_ok(bench.env().files.stat(segment)));
    };
    expect_kept(recover(next + 1), next);
    must(machine_->disk().flip_bit(segment, first_frame + 30));  // and with it all that stands behind
    expect_kept(recover(1), 0);
    must(machine_->disk().flip_bit(segment, first_frame + 30));

    const auto left = recover(next);
    EXPECT_TRUE(left.is_complete) << left.reasons.at(0);
    std::vector<Bytes> frames;
    must(bench.read("first", frames));
    expect_frames(frames, next);
  });
}

// Each time it was asked for all of them, one after another, from the first one on: beyond so many the time was always over.
TEST_F(JournalTest, a_spool_of_a_long_partition_reaches_a_slow_vault_in_several_turns) {
  run([](JournalBench& bench) {
    constexpr std::uint64_t kSegments = 60;
    std::uint64_t next = 0;
    {
      bench.door(2).is_shut = true;
      auto writer = bench.open_writer();
      for (std::uint64_t segment = 0; segment < kSegments; ++segment) {
        EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 1), bench.in(1min))));
        must(writer->roll());
      }
      wait_until(bench, [&] { return of(writer->progress(), 0).segments + 1 >= kSegments; });
    }  // it dies without finish
    bench.door(2).is_shut = false;
    bench.door(2).retells_receipt = [&](format::SignedReceipt&) { must(bench.env().clock.sleep_until(bench.in(1s))); };
    const std::uint64_t asked_before = bench.door(0).empty_puts;
    std::uint64_t turns = 0;
    bool is_complete = false;
    while (!is_complete && turns < 10) {
      ++turns;
      const auto left =
          must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(20s)));
      ASSERT_EQ(left.size(), 1U);
      is_complete = left[0].is_complete;
      EXPECT_EQ(left[0].holders, is_complete ? 3U : 2U);
    }
    EXPECT_TRUE(is_complete);
    EXPECT_LE(turns, kSegments / 20 + 1);
    EXPECT_LE(bench.door(0).empty_puts - asked_before, 4 * turns) << "it had signed for all of them";
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i)
      EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first"));
  });
}

// Somebody made room. What came behind it reached the vaults, and they were taken for holders of all.
TEST_F(JournalTest, a_spool_of_which_a_segment_is_gone_that_no_vault_has_is_named_and_held_by_nobody) {
  for (const std::uint64_t gone : {0U, 1U, 2U}) {
    run([gone](JournalBench& bench) {
      std::uint64_t next = 0;
      {
        for (std::size_t i = 0; i < JournalBench::kVaults; ++i) bench.door(i).is_shut = true;
        auto writer = bench.open_writer();
        for (int segments = 0; segments < 3; ++segments) {
          append(*writer, next, 3);
          must(writer->roll());
        }
        append(*writer, next, 3);
        must(writer->sync_spool());
        must(bench.env().clock.sleep_until(bench.in(1s)));
      }  // it dies without finish
      for (std::size_t i = 0; i < JournalBench::kVaults; ++i) bench.door(i).is_shut = false;
      const std::string segment = bench.spool() + "/" + JournalBench::stream_named("first").descriptor.id().hex() +
                                  "/" + std::to_string(gone) + ".segment";
      env::FileSystem& files = bench.env().files;
      const Bytes bytes = must(files.read_file(segment, format::kMaxObjectBytes));
      must(files.remove_file(segment));
      const auto recover = [&] {
        return must(
                   spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)))
            .at(0);
      };
      for (int turns = 0; turns < 2; ++turns) {
        const auto left = recover();
        EXPECT_FALSE(left.is_complete);
        EXPECT_EQ(left.holders, 0U);
        EXPECT_THAT(left.losses, ::testing::ElementsAre("segment " + std::to_string(gone) +
                                                        " is gone, and no vault has signed for it"));
      }
      must(env::create_file_durably(files, segment, bytes, env::kPrivateFile));
      const auto left = recover();
      EXPECT_TRUE(left.is_complete) << left.losses.at(0);
      EXPECT_EQ(left.holders, 3U);
      std::vector<Bytes> frames;
      must(bench.read("first", frames));
      expect_frames(frames, next);
    });
  }
}

// All of it had been taken for a removal that was cut off: the vaults that lacked it were counted as holders.
TEST_F(JournalTest, a_spool_without_any_segment_has_lost_what_was_counted_on) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const std::string segment = leave_in_spool_alone(bench, next);
    must(bench.env().files.remove_file(segment));
    const auto recover = [&](std::uint64_t wanted) {
      return must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min),
                                        wanted))
          .at(0);
    };
    for (int turns = 0; turns < 2; ++turns) {
      const auto left = recover(next);
      EXPECT_FALSE(left.is_complete);
      EXPECT_EQ(left.holders, 0U);
      EXPECT_THAT(left.losses, ::testing::ElementsAre("it had lost its end: 3 frames were synced to it, and it has 0"));
    }
    EXPECT_TRUE(recover(0).is_complete) << "nothing was";
  });
}

// The kernel writes the removals of a power failure's last seconds in any order.
TEST_F(JournalTest, what_is_missing_in_a_spool_and_every_vault_has_is_no_loss) {
  for (const std::vector<std::string>& gone :
       std::vector<std::vector<std::string>>{{"1.segment"}, {"0.entry"}, {"1.segment", "0.entry"}, {"0.segment"}}) {
    SCOPED_TRACE(gone.front());
    run([&gone](JournalBench& bench) {
      std::uint64_t next = 0;
      {
        bench.door(2).is_shut = true;
        auto writer = bench.open_writer();
        for (int segments = 0; segments < 3; ++segments) {
          EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
          must(writer->roll());
        }
        EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
        wait_until(bench, [&] { return writer->progress().segments == 3; });
      }  // it dies without finish
      bench.door(2).is_shut = false;
      const auto recover = [&](std::optional<std::uint64_t> wanted) {
        return must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min),
                                          wanted));
      };
      EXPECT_EQ(recover(std::nullopt).at(0).holders, 3U);
      const std::string folder = bench.spool() + "/" + JournalBench::stream_named("first").descriptor.id().hex();
      for (const std::string& name : gone) must(bench.env().files.remove_file(folder + "/" + name));
      const auto left = recover(0);
      ASSERT_EQ(left.size(), 1U);
      EXPECT_THAT(left[0].losses, ::testing::IsEmpty());
      EXPECT_TRUE(left[0].is_complete);
      EXPECT_EQ(left[0].holders, 3U);
      EXPECT_TRUE(must(bench.door(0).open_segments(keys().registry().id)).empty()) << "all are closed";
    });
  }
}

// Home cannot tell from one that was set back; by the object that the vaults have it can.
TEST_F(JournalTest, an_entry_that_is_missing_in_a_spool_is_signed_again_where_a_vault_lacks_what_others_have_closed) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      bench.door(2).is_shut = true;
      auto writer = bench.open_writer();
      for (int segments = 0; segments < 2; ++segments) {
        EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
        must(writer->roll());
      }
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 3), bench.in(1min))));
      wait_until(bench, [&] { return writer->progress().segments == 2; });
    }  // it dies without finish
    bench.door(2).is_shut = false;
    const std::string folder = bench.spool() + "/" + JournalBench::stream_named("first").descriptor.id().hex();
    must(bench.env().files.remove_file(folder + "/0.entry"));
    const auto left =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(left.size(), 1U);
    EXPECT_THAT(left[0].reasons, ::testing::IsEmpty());
    EXPECT_TRUE(left[0].is_complete);
    EXPECT_EQ(left[0].holders, 3U);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(bench.objects_at(i, "first"), bench.objects_at(0, "first"));
    EXPECT_EQ(bench.objects_at(2, "first").size(), 3U);
  });
}

// An agent that cannot read what it wrote down: nobody knows how much is counted on.
TEST_F(JournalTest, while_it_is_not_known_what_is_counted_on_the_vaults_get_all_and_nothing_leaves_the_spool) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    const std::string segment = leave_in_spool_alone(bench, next);
    for (int turns = 0; turns < 2; ++turns) {
      const auto left = must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(),
                                                   bench.in(1min), std::nullopt));
      EXPECT_FALSE(left.at(0).is_complete);
      EXPECT_EQ(left.at(0).holders, 3U);
      EXPECT_THAT(left.at(0).losses, ::testing::IsEmpty());
      EXPECT_THAT(left.at(0).reasons, ::testing::IsEmpty());
      EXPECT_TRUE(is_ok(bench.env().files.stat(segment)));
    }
    std::vector<Bytes> frames;
    EXPECT_TRUE(must(bench.read("first", frames)).has_open_tail);
    expect_frames(frames, next);
    EXPECT_TRUE(
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)))
            .at(0)
            .is_complete);
  });
}

TEST_F(JournalTest, segments_without_a_descriptor_are_not_removed) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    {
      bench.door(2).is_shut = true;
      auto writer = bench.open_writer();
      append(*writer, next, 3);
    }  // it dies without finish
    const auto stream = JournalBench::stream_named("first").descriptor.id();
    const std::string folder = bench.spool() + "/" + stream.hex();
    must(bench.env().files.remove_file(folder + "/stream"));
    EXPECT_TRUE(failed_with(
        spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)),
        Code::Corrupt));
    EXPECT_TRUE(is_ok(bench.env().files.stat(folder + "/0.segment")));
  });
}

TEST_F(JournalTest, a_spool_that_lost_its_end_closes_nothing_and_loses_nothing) {
  run([](JournalBench& bench) {
    std::uint64_t next = 0;
    std::uint64_t end = 0;
    {
      auto writer = bench.open_writer();
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 5), bench.in(1min))));
      bench.door(1).is_shut = true;
      EXPECT_TRUE(is_ok(writer->wait_beyond(append(*writer, next, 5), bench.in(1min))));
    }
    for (const auto& open : must(bench.door(0).open_segments(keys().registry().id))) {
      if (open.index.value() == 0) end = open.end;
    }
    const auto stream = JournalBench::stream_named("first").descriptor.id();
    const auto folder = must(bench.env().files.open_directory(bench.spool() + "/" + stream.hex()));
    must(must(folder->open_for_write("0.segment"))->write_at(end - 4096, Bytes(4096)));
    bench.door(1).is_shut = false;
    const auto recovered =
        must(spread::recover_spool(bench.world(), bench.spool(), bench.vaults(), keys().writer(), bench.in(1min)));
    ASSERT_EQ(recovered.size(), 1U);
    EXPECT_FALSE(recovered[0].is_complete);
    EXPECT_EQ(recovered[0].frames_end, next - 1);
    EXPECT_EQ(recovered[0].reasons.size(), 2U);
    EXPECT_THAT(recovered[0].losses, ::testing::IsEmpty());
    std::vector<Bytes> frames;
    const auto read = must(bench.read("first", frames));
    expect_frames(frames, next);
    EXPECT_TRUE(read.has_open_tail);
    frames.clear();
    EXPECT_EQ(must(bench.read("first", frames, {1})).frames, next - 1) << "it got what the spool had";
  });
}

}  // namespace
}  // namespace exclave::journal_tests
