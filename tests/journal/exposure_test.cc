// Log that was acknowledged while the vaults lacked it: how long it is known, by whom, and what the vaults are told of it.
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

TEST_F(DatabaseJournalTest, bounded_tells_of_what_it_acknowledged_without_the_vaults) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    must(home.write(100));
    must(home.run_for(1s));
    home.write_without_vaults(200, 1s);
    EXPECT_EQ(home.journal().safe(), kStart + 100) << "within the budget";
    EXPECT_FALSE(home.journal().has_exposure_news());
    must(home.run_for(2s));
    EXPECT_TRUE(home.journal().is_degraded());
    EXPECT_EQ(home.journal().safe(), kStart + 300);
    EXPECT_TRUE(home.journal().has_exposure_news());
    home.journal().exposure_is_kept();
    EXPECT_FALSE(home.journal().has_exposure_news());
    const auto exposed = home.journal().exposed();
    ASSERT_TRUE(exposed.has_value());
    EXPECT_EQ(exposed->from, kStart + 100);
    EXPECT_EQ(exposed->to, kStart + 300);
    EXPECT_THAT(home.alarms(), Contains(HasSubstr("protection is degraded")));

    home.shut({0, 1}, false);
    must(home.run_for(5s));
    EXPECT_FALSE(home.journal().is_degraded());
    EXPECT_TRUE(home.journal().has_exposure_news());
    EXPECT_FALSE(home.journal().exposed().has_value());
    EXPECT_THAT(home.alarms(), IsEmpty());
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +100", "0 log 0/3000064 +200",
                                                     "0 exposed 0/3000064 to 0/300012C")));
  });
}

// Whatever ended the journal: who looks into the vaults later learns that they lacked it, and not before they have it.
TEST_F(DatabaseJournalTest, an_exposure_that_outlives_its_journal_is_told_in_the_next_one_when_the_vaults_have_all) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.write_without_vaults(200, 3s);
    EXPECT_EQ(home.journal().safe(), kStart + 200);
    ignore(home.journal().end(), "vaults are away");
    EXPECT_FALSE(home.journal().is_open());
    EXPECT_EQ(home.commits().outstanding(), 0U);
    ASSERT_TRUE(home.journal().exposed().has_value());
    EXPECT_THAT(home.alarms(), ElementsAre(HasSubstr("0/3000000 to 0/30000C8 were acknowledged without the vaults")));

    EXPECT_THAT(home.recover_left(), ElementsAre(HasSubstr("not every vault has")));
    home.open(kStart + 200);
    must(home.run_for(2s));
    EXPECT_TRUE(home.journal().exposed().has_value());
    home.shut({0, 1}, false);
    must(home.run_for(2s));
    EXPECT_TRUE(home.journal().exposed().has_value()) << "they hold this one, and lack the one before";
    EXPECT_THAT(home.recover_left(), IsEmpty());
    must(home.run_for(2s));
    EXPECT_FALSE(home.journal().exposed().has_value());
    EXPECT_TRUE(home.journal().has_exposure_news());
    EXPECT_THAT(home.alarms(), IsEmpty());
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +200"),
                                         ElementsAre("0 opening", "0 exposed 0/3000000 to 0/30000C8")));
  });
}

// It is forgotten when k vaults hold the record, and not when it was written: the spool may be lost with the power.
TEST_F(DatabaseJournalTest, an_exposure_is_kept_until_vaults_hold_what_tells_of_it) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.write_without_vaults(200, 3s);
    home.journal().exposure_is_kept();
    home.shut({0, 1}, false);
    while (home.journal().is_degraded()) {
      must(home.journal().look(true));
      home.waker().wait(1ms);
    }
    home.shut({0, 1});
    must(home.run_for(1s));
    EXPECT_FALSE(home.journal().is_degraded()) << "the vaults have all of it";
    ASSERT_TRUE(home.journal().exposed().has_value()) << "and nobody there tells of it";
    EXPECT_EQ(home.journal().exposed()->to, kStart + 200);
    EXPECT_FALSE(home.journal().has_exposure_news());

    // Its journal ends before they have: it is told again in the next one, with what that may add.
    ignore(home.journal().end(), "vaults are away");
    home.open(kStart + 200);
    must(home.write(100));
    must(home.run_for(3s));
    ASSERT_TRUE(home.journal().exposed().has_value());
    EXPECT_EQ(home.journal().exposed()->from, kStart);
    EXPECT_EQ(home.journal().exposed()->to, kStart + 300);
    home.shut({0, 1}, false);
    must(home.run_for(5s));
    EXPECT_FALSE(home.journal().exposed().has_value());
    EXPECT_TRUE(home.journal().has_exposure_news());
    must(home.journal().finish());
    EXPECT_THAT(home.held().back(), ElementsAre("0 opening", "0 log 0/30000C8 +100", "0 exposed 0/3000000 to 0/30000C8",
                                                "0 exposed 0/30000C8 to 0/300012C"));
  });
}

// What an earlier run has written down is older than what the server was told: its slot knows better.
TEST_F(DatabaseJournalTest, an_exposure_of_an_earlier_run_reaches_as_far_as_the_servers_slot) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    must(home.journal().recall(agent::Exposure{kStart, kStart + 10, bench.env().clock.now()}));
    home.journal().acknowledged_before(kStart + 500);
    home.open(kStart + 500);
    home.journal().acknowledged_before(kStart + 900);  // by this run's own journal
    must(home.run_for(2s));
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening", "0 exposed 0/3000000 to 0/30001F4")));
  });
}

// Somebody made room, or a disk was not mounted: that is no word of a vault.
TEST_F(DatabaseJournalTest, an_exposure_whose_spool_is_gone_is_not_taken_for_held) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    must(home.journal().recall(agent::Exposure{kStart, kStart + 10, bench.env().clock.now(), {{12, 3}}}));
    EXPECT_THAT(home.recover_left(), ElementsAre(HasSubstr(std::string(kAgentDirectory) + "/spool/12' is gone")));
    home.open(kStart + 10);
    must(home.run_for(2s));
    EXPECT_THAT(home.recover_left(), ElementsAre(HasSubstr("if it is lost, take a new base backup")));
    must(home.run_for(2s));
    EXPECT_TRUE(home.journal().exposed().has_value());
    EXPECT_THAT(home.alarms(), ElementsAre(HasSubstr("0/3000000 to 0/300000A were acknowledged without the vaults")));
    must(home.journal().finish());
    EXPECT_THAT(home.held(), ElementsAre(ElementsAre("0 opening"))) << "nobody signs that the vaults have it";
  });
}

// The next run, from `start` on, names what the spool of `exposed` lacks, and the exposure does not end.
void expect_not_held(JournalBench& bench, const agent::Exposure& exposed, pg::Lsn start, const std::string& loss) {
  LogHome next(bench, RpoPolicy::Bounded);
  must(next.journal().recall(exposed));
  const std::string spool = next.journal().left_spools().path_of(exposed.journals[0].start);
  for (int turns = 0; turns < 2; ++turns)
    EXPECT_THAT(next.recover_left(), ElementsAre(HasSubstr("'" + spool + "' lacks what it had: " + loss)));
  next.open(start);
  must(next.run_for(2s));
  EXPECT_TRUE(next.journal().exposed().has_value());
}

TEST_F(DatabaseJournalTest, nor_is_one_whose_spool_has_lost_its_end) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.write_without_vaults(200, 3s);
    auto exposed = home.journal().exposed();
    ASSERT_TRUE(exposed.has_value());
    ASSERT_EQ(exposed->journals.size(), 1U);
    ignore(home.journal().end(), "vaults are away");
    home.shut({0, 1}, false);

    ++exposed->journals[0].frames;  // as it was written down before
    expect_not_held(bench, *exposed, kStart + 200, "it had lost its end");
  });
}

// Somebody made room: vaults take what is left, and that is not what was acknowledged.
TEST_F(DatabaseJournalTest, nor_is_one_whose_spool_has_lost_its_beginning) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.shut({0, 1, 2});
    home.open();
    home.write_without_vaults(200, 61s);
    home.write_without_vaults(200, 3s);
    const auto exposed = home.journal().exposed();
    ASSERT_TRUE(exposed.has_value());
    ASSERT_EQ(exposed->journals.size(), 1U);
    ignore(home.journal().end(), "vaults are away");
    home.shut({0, 1, 2}, false);
    const std::string spool = home.journal().left_spools().path_of(exposed->journals[0].start);
    const std::string stream = must(bench.env().files.list(spool)).at(0);
    must(bench.env().files.remove_file(spool + "/" + stream + "/0.segment"));

    expect_not_held(bench, *exposed, kStart + 400, "segment 0 is gone");
  });
}

// Its server is lost, and what it wrote down cannot be read: the vaults get all that is in the spool.
TEST_F(DatabaseJournalTest, a_run_that_does_not_know_what_was_exposed_brings_it_to_the_vaults_and_keeps_the_spool) {
  run([](JournalBench& bench) {
    std::optional<agent::Exposure> exposed;
    {
      LogHome home(bench, RpoPolicy::Bounded);
      home.open();
      home.write_without_vaults(200, 3s);
      exposed = home.journal().exposed();
      ignore(home.journal().end(), "vaults are away");
      home.shut({0, 1}, false);
    }
    LogHome next(bench, RpoPolicy::Bounded);
    EXPECT_THAT(next.recover_left(), IsEmpty());
    EXPECT_THAT(next.held(), ElementsAre(ElementsAre("0 opening", "0 log 0/3000000 +200")));
    EXPECT_EQ(must(next.journal().left_spools().starts()).size(), 1U);
    must(next.journal().recall(exposed));
    EXPECT_THAT(next.recover_left(), IsEmpty());
    next.open(kStart + 200);
    must(next.run_for(2s));
    EXPECT_FALSE(next.journal().exposed().has_value());
    must(next.journal().finish());
  });
}

// Killed in between: the folder tells the next run.
TEST_F(DatabaseJournalTest, a_run_that_learns_of_an_exposure_after_its_spool_was_brought_to_the_vaults_ends_it) {
  run([](JournalBench& bench) {
    std::optional<agent::Exposure> exposed;
    {
      LogHome home(bench, RpoPolicy::Bounded);
      home.open();
      home.write_without_vaults(200, 3s);
      exposed = home.journal().exposed();
      ignore(home.journal().end(), "vaults are away");
      home.shut({0, 1}, false);
      EXPECT_THAT(home.recover_left(), IsEmpty());
    }
    LogHome next(bench, RpoPolicy::Bounded);
    EXPECT_THAT(next.recover_left(), IsEmpty());  // its stream has not looked at its position yet
    must(next.journal().recall(exposed));
    EXPECT_THAT(next.recover_left(), IsEmpty());
    next.open(kStart + 200);
    must(next.run_for(2s));
    EXPECT_FALSE(next.journal().exposed().has_value());
    next.journal().exposure_is_kept();
    EXPECT_THAT(next.recover_left(), IsEmpty());
    EXPECT_EQ(must(next.journal().left_spools().starts()).size(), 1U) << "its own";
    must(next.journal().finish());
    EXPECT_THAT(next.held().back(), ElementsAre("0 opening", "0 exposed 0/3000000 to 0/30000C8"));
  });
}

// What people and cuts are told is what vaults hold, and not what the server was told.
TEST_F(DatabaseJournalTest, what_an_ended_journal_left_at_home_is_not_called_durable_by_the_next_one) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    must(home.write(100));
    must(home.run_for(1s));
    home.write_without_vaults(200, 3s);
    ignore(home.journal().end(), "vaults are away");
    home.shut({0, 1}, false);
    home.open(kStart + 300);
    must(home.write(50));
    must(home.run_for(2s));
    ASSERT_TRUE(home.journal().has_left_exposure());
    EXPECT_LE(home.journal().standing()->durable, home.journal().exposed()->from);
    EXPECT_THAT(home.recover_left(), IsEmpty());
    must(home.run_for(2s));
    EXPECT_FALSE(home.journal().has_left_exposure());
    EXPECT_EQ(home.journal().standing()->durable, home.end());
    must(home.journal().finish());
  });
}

// A server whose slot was lost begins anew: what was acknowledged before stays known, also if the power fails then.
TEST(DatabaseJournalPower, an_exposure_outlives_the_log_that_is_forgotten) {
  sim::Universe universe(7);
  sim::Machine& machine = universe.machine("home");
  machine.set_survival(sim::Survival::Nothing);
  std::optional<agent::Exposure> exposed;
  machine.run([&] {
    JournalBench bench(machine.env());
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.shut({0, 1, 2});
    must(home.write(100));
    must(home.run_for(3s));
    must(home.resume().keep(home.reported(), home.reported(), home.journal().exposed()));
    ignore(home.journal().end(), "vaults are away");
    exposed = home.journal().exposed();
    must(home.resume().forget(exposed));
  });
  universe.run();
  ASSERT_TRUE(exposed.has_value());
  machine.crash();
  machine.restart();
  machine.run([&] {
    agent::StreamMemory memory(machine.env().files, kAgentDirectory, "people");
    agent::ResumePoint resume(memory);
    const auto left = must(resume.recall());
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->exposed, exposed);
    EXPECT_FALSE(resume.end().has_value());
  });
  universe.run();
}

// Nothing was acknowledged without the vaults, and nobody is told that it was.
TEST_F(DatabaseJournalTest, a_spool_that_fails_when_the_budget_ends_exposes_nothing) {
  run([this](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.write_without_vaults(200, 1s);
    machine_->inject({.call = sim::FileCall::Sync,
                      .path_part = std::string(kAgentDirectory) + "/spool/",
                      .times = sim::kForEver,
                      .code = Code::Exhausted});
    EXPECT_TRUE(failed_with(home.run_for(3s), Code::Exhausted));
    EXPECT_TRUE(home.journal().has_failed());
    EXPECT_EQ(home.journal().safe(), kStart);
    EXPECT_FALSE(home.journal().exposed().has_value());
    ignore(home.journal().end(), "its disk fails");
    EXPECT_FALSE(home.journal().exposed().has_value());
    machine_->clear_faults();
    home.shut({0, 1}, false);
    home.open();
    must(home.run_for(2s));
    EXPECT_FALSE(home.journal().exposed().has_value());
    EXPECT_THAT(home.alarms(), IsEmpty());
    must(home.journal().finish());
  });
}

}  // namespace
}  // namespace exclave::journal_tests
