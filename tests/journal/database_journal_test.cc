// DatabaseJournal in a simulated world: what an agent's journal of one database says is safe, and what lies in the vaults.
#include <gmock/gmock.h>

#include "tests/journal/log_home.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using agent::RpoPolicy;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(DatabaseJournalTest, in_sync_only_what_k_vaults_hold_is_safe) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.write_without_vaults(300, 15s);
    EXPECT_EQ(home.journal().safe(), kStart);
    EXPECT_EQ(home.commits().outstanding(), 1U);
    EXPECT_TRUE(home.journal().has_outstanding());
    EXPECT_THAT(home.alarms(), Contains(HasSubstr("commits have waited for the vaults for 15 s")));
    EXPECT_FALSE(home.journal().exposed().has_value());

    const std::uint64_t wakes = home.waker().wakes;
    home.shut({1}, false);
    must(home.run_for(5s));
    EXPECT_GT(home.waker().wakes, wakes) << "who waits is woken by a vault";
    EXPECT_EQ(home.journal().safe(), home.end());
    EXPECT_EQ(home.commits().outstanding(), 0U);
    EXPECT_THAT(home.alarms(), IsEmpty());
    home.shut({0}, false);
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +300")));
  });
}

TEST_F(DatabaseJournalTest, what_is_gathered_when_a_connection_breaks_comes_again_and_is_held_once) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    must(home.write(100));
    home.gather(50);
    EXPECT_EQ(home.journal().gathered_end(), kStart + 150);
    home.journal().drop_gathered();
    EXPECT_EQ(home.journal().gathered_end(), kStart + 100);
    home.journal().gather(kTimeline, kStart + 100, Bytes(70, Byte{1}));
    must(home.journal().flush());
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +100", "0 log 0/3000064 +70")));
  });
}

TEST_F(DatabaseJournalTest, every_segment_tells_the_servers_way) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.follow_second_timeline();
    must(home.write(100));
    must(home.run_for(70s));
    must(home.run_for(70s));  // nothing new: no segment for it
    must(home.write(100));
    must(home.run_for(70s));
    must(home.journal().finish());
    EXPECT_THAT(home.held(),
                ElementsAre(ElementsAre("0 opening", "0 way of timeline 2", "0 log 0/3000000 +100",
                                        "1 way of timeline 2", "1 log 0/3000064 +100", "2 way of timeline 2")));
  });
}

TEST_F(DatabaseJournalTest, a_cut_that_is_on_its_way_while_its_journal_ends_is_in_the_next_one) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.shut({0, 1, 2});
    format::Cut cut;
    cut.group = "all";
    cut.members = {{keys().registry().id, "people", format::LogTimeline(1), format::LogPosition(kStart.value())}};
    std::optional<Status> kept;
    const auto coordinator =
        must(bench.env().threads.start("coordinator", [&] { kept = home.journal().cuts().keep(cut, bench.in(60s)); }));
    must(home.run_for(1s));
    ignore(home.journal().end(), "vaults are away");
    home.shut({0, 1, 2}, false);
    home.open();
    must(home.run_for(5s));
    coordinator->join();
    ASSERT_TRUE(kept.has_value());
    EXPECT_TRUE(is_ok(*kept));
    must(home.journal().finish());
    const auto held = home.held();
    ASSERT_FALSE(held.empty());
    EXPECT_THAT(held.back(), ElementsAre("0 opening", "0 cut of all"));
  });
}

TEST_F(DatabaseJournalTest, of_one_journal_nothing_goes_into_the_next) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.follow_second_timeline();
    for (int i = 0; i < 5; ++i) must(home.write(100));
    must(home.run_for(1s));
    home.gather(70);  // a branch that is left
    must(home.journal().end());
    EXPECT_EQ(home.end(), kStart + 570);
    home.open(kStart + 500);
    EXPECT_FALSE(home.journal().has_gathered());
    EXPECT_EQ(home.journal().gathered_end(), kStart + 500);
    home.shut({0, 1, 2});
    format::Cut cut;
    cut.group = "all";
    std::optional<Status> kept;
    const auto coordinator =
        must(bench.env().threads.start("coordinator", [&] { kept = home.journal().cuts().keep(cut, bench.in(2s)); }));
    must(home.run_for(3s));
    coordinator->join();
    ASSERT_TRUE(kept.has_value());
    EXPECT_FALSE(kept->ok()) << "the frames of the journal before are not those of this one";
    home.shut({0, 1, 2}, false);
    must(home.run_for(70s));
    must(home.journal().finish());
    EXPECT_THAT(home.held().back(), ElementsAre("0 opening", "0 cut of all"));
  });
}

TEST_F(DatabaseJournalTest, vaults_that_are_too_far_behind_are_waited_for) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.shut({0, 1});
    for (int i = 0; i < 1000 && !home.journal().is_too_far_behind(); ++i) {
      must(home.write(4000));
      must(home.journal().look(true));
    }
    EXPECT_TRUE(home.journal().is_too_far_behind());
    EXPECT_GT(home.commits().outstanding_bytes(), LogHome::kMostOutstandingBytes);
    EXPECT_THAT(home.alarms(), Contains(HasSubstr("too far behind")));
    home.shut({0, 1}, false);
    must(home.run_for(1min));
    EXPECT_FALSE(home.journal().is_too_far_behind());
    EXPECT_EQ(home.journal().safe(), home.end());
    EXPECT_EQ(home.resume().end(), home.end()) << "a reconnected server goes on from there";
    must(home.journal().finish());
  });
}

// A full frame goes by way of another thread; what is told of the log up to there does not overtake it.
TEST_F(DatabaseJournalTest, what_stands_beside_the_log_stands_behind_what_was_flushed_before) {
  const auto body = [](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    while (!home.journal().is_full()) home.gather(agent::LogFramer::kMostPieceBytes);
    const auto bytes = std::to_string(pg::bytes_between(kStart, home.end()));
    must(home.journal().flush());
    home.follow_second_timeline();
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +" + bytes, "0 way of timeline 2")));
  };
  for (std::uint64_t seed = 0; seed < 10; ++seed) run(body, seed);  // who runs first is drawn
}

// The spool's disk was full: what was not acknowledged comes again, into another journal.
TEST_F(DatabaseJournalTest, a_journal_whose_spool_takes_no_more_is_ended_and_the_next_one_goes_on_from_what_is_safe) {
  run([this](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    must(home.write(100));
    must(home.run_for(1s));
    EXPECT_EQ(home.journal().safe(), kStart + 100);
    const std::uint64_t used = machine_->disk().used_bytes();
    machine_->disk().set_capacity_bytes(used);
    Status written;
    for (int i = 0; i < 2000 && written.ok(); ++i) written = home.write(20'000);
    if (written.ok()) written = home.journal().settle();
    EXPECT_TRUE(failed_with(written, Code::Exhausted));
    EXPECT_TRUE(home.journal().has_failed());
    EXPECT_FALSE(home.journal().settle().ok()) << "the error stays";
    const pg::Lsn safe = home.journal().safe();
    ignore(home.journal().end(), "there is no room for its end");
    EXPECT_FALSE(home.journal().has_failed());
    EXPECT_FALSE(home.journal().left_spools().in_use().has_value());
    machine_->disk().set_capacity_bytes(used + (std::uint64_t{1} << 30));
    must(bench.env().clock.sleep_until(bench.in(1min)));
    home.commits().leave_at(safe);
    home.open(safe);
    must(home.write(50));
    must(home.run_for(30s));
    EXPECT_EQ(home.journal().safe(), safe + 50);
    must(home.journal().finish());
    const auto held = home.held();
    ASSERT_EQ(held.size(), 2U);
    EXPECT_THAT(held[0], Contains("0 log 0/3000000 +100")) << "what was acknowledged";
    EXPECT_THAT(held[1], ElementsAre("0 opening", "0 log " + pg::to_text(safe) + " +50"));
  });
}

// With a full disk the next one never comes, unless this one leaves it.
TEST_F(DatabaseJournalTest, a_journal_that_has_ended_is_brought_to_the_vaults_although_no_other_one_opens) {
  run([this](JournalBench& bench) {
    LogHome home(bench);
    must(home.journal().recall(std::nullopt));
    home.open();
    home.shut({0, 1, 2});
    must(home.write(100));
    must(home.run_for(1s));
    const auto left = home.journal().left_spools().in_use();
    ignore(home.journal().end(), "vaults are away");
    // The spool's disk: the vaults have others.
    machine_->inject({.call = sim::FileCall::Write,
                      .path_part = std::string(kAgentDirectory) + "/journal",
                      .times = sim::kForEver,
                      .code = Code::Exhausted});
    machine_->inject({.call = sim::FileCall::Write,
                      .path_part = std::string(kAgentDirectory) + "/.tmp-",
                      .times = sim::kForEver,
                      .code = Code::Exhausted});
    EXPECT_TRUE(failed_with(home.journal().open(kSourceOfLog, kTimeline, kStart), Code::Exhausted));
    EXPECT_EQ(must(home.journal().left_spools().starts()), std::vector{left.value()});
    home.shut({0, 1, 2}, false);
    EXPECT_THAT(home.recover_left(), IsEmpty());
    EXPECT_THAT(must(home.journal().left_spools().starts()), IsEmpty()) << "it holds no room any more";
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +100")));
    machine_->clear_faults();
    home.open();
    must(home.journal().finish());
  });
}

TEST_F(DatabaseJournalTest, a_journal_that_finds_no_room_to_begin_leaves_none_taken_and_is_not_in_use) {
  run([this](JournalBench& bench) {
    LogHome home(bench);
    must(home.journal().recall(std::nullopt));
    home.open();
    must(home.journal().end());
    EXPECT_THAT(home.recover_left(), IsEmpty());
    const std::uint64_t used = machine_->disk().used_bytes();
    machine_->disk().set_capacity_bytes(used + 100'000);  // less than a segment
    for (int i = 0; i < 30; ++i) EXPECT_FALSE(home.journal().open(kSourceOfLog, kTimeline, kStart).ok());
    EXPECT_FALSE(home.journal().left_spools().in_use().has_value());
    EXPECT_EQ(machine_->disk().used_bytes(), used);
    EXPECT_THAT(home.recover_left(), IsEmpty());
    EXPECT_THAT(must(home.journal().left_spools().starts()), IsEmpty());
    machine_->disk().set_capacity_bytes(used + (std::uint64_t{1} << 30));
    home.open();
    must(home.journal().finish());
  });
}

// One that cannot be read holds up no other.
TEST_F(DatabaseJournalTest, a_left_spool_that_is_damaged_is_named_and_the_younger_ones_reach_the_vaults) {
  run([this](JournalBench& bench) {
    LogHome home(bench);
    must(home.journal().recall(std::nullopt));
    home.shut({0, 1, 2});
    for (int journals = 0; journals < 2; ++journals) {
      home.open();
      must(home.write(100));
      ignore(home.journal().end(), "vaults are away");
    }
    home.shut({0, 1, 2}, false);
    const auto starts = must(home.journal().left_spools().starts());
    ASSERT_EQ(starts.size(), 2U);
    const std::string first = home.journal().left_spools().path_of(starts[0]);
    const std::vector<std::string> streams = must(bench.env().files.list(first));
    ASSERT_EQ(streams.size(), 1U);
    must(machine_->disk().flip_bit(first + "/" + streams[0] + "/stream", 100));
    EXPECT_THAT(home.recover_left(), ElementsAre(HasSubstr("the spool '" + first + "' cannot be brought")));
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +100"))) << "of the second";
    EXPECT_EQ(must(home.journal().left_spools().starts()), std::vector{starts[0]});
  });
}

TEST_F(DatabaseJournalTest, a_vault_that_is_away_is_one_trouble_however_many_journals_wait_for_it) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    must(home.journal().recall(std::nullopt));
    home.shut({2});
    for (int journals = 0; journals < 3; ++journals) {
      home.open();
      must(home.write(100));
      must(home.run_for(1s));
      ignore(home.journal().end(), "a vault is away");
    }
    const auto starts = must(home.journal().left_spools().starts());
    ASSERT_EQ(starts.size(), 3U);
    const std::string oldest = home.journal().left_spools().path_of(starts[0]);
    EXPECT_THAT(home.recover_left(),
                ElementsAre(HasSubstr("3 spools, the oldest '" + oldest + "', hold journals of earlier starts")));
    home.shut({2}, false);
    EXPECT_THAT(home.recover_left(), IsEmpty());
  });
}

// I3 of AckLedger: the spool alone has it then.
TEST(DatabaseJournalPower, what_is_acknowledged_without_the_vaults_survives_a_power_failure) {
  sim::Universe universe(6);
  sim::Machine& machine = universe.machine("home");
  machine.set_survival(sim::Survival::Nothing);
  pg::Lsn safe;
  std::string spool;
  machine.run([&] {
    JournalBench bench(machine.env());
    LogHome home(bench, RpoPolicy::Async);
    home.open();
    home.shut({0, 1, 2});
    must(home.write(100));
    must(home.write(200));
    must(home.run_for(1s));
    safe = home.reported();
    spool = home.journal().left_spools().path_of(home.journal().left_spools().in_use().value());
    must(home.write(400));  // not acknowledged
  });
  universe.run();
  EXPECT_EQ(safe, kStart + 300);
  machine.crash();
  machine.restart();
  machine.run([&] {
    JournalBench bench(machine.env(), "/embassies-that-lack-it");
    const auto left = must(spread::recover_spool(bench.world(), spool, bench.vaults(), keys().writer(), bench.in(30s)));
    ASSERT_EQ(left.size(), 1U);
    LogHome home(bench);
    const auto held = home.held();
    ASSERT_EQ(held.size(), 1U);
    EXPECT_THAT(held[0], Contains("0 log 0/3000000 +100"));
    EXPECT_THAT(held[0], Contains("0 log 0/3000064 +200"));
  });
  universe.run();
}

}  // namespace
}  // namespace exclave::journal_tests
