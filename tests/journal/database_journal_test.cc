// DatabaseJournal in a simulated world: what an agent's journal of one database says is safe, and what lies in the vaults.
#include "agent/database_journal.h"

#include <gmock/gmock.h>

#include "custody/key_files.h"
#include "tests/journal/journal_case.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using agent::DatabaseJournal;
using agent::RpoPolicy;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kAgentDirectory = "/agent/people";
constexpr const char* kKeysPath = "/agent/keys";
const format::LogSource kSourceOfLog{7, 15, 1U << 24};
constexpr pg::Lsn kStart(0x3000000);
constexpr pg::Timeline kTimeline(1);

class CountingWaker final : public env::Waker {
 public:
  explicit CountingWaker(env::Clock& clock) : clock_(clock) {}
  void wake() override { ++wakes; }
  void wait(std::chrono::nanoseconds longest) override { must(clock_.sleep_until(clock_.monotonic() + longest)); }
  int descriptor() const override { return -1; }
  void clear() override {}
  void watch(int) override {}
  std::atomic<std::uint64_t> wakes{0};

 private:
  env::Clock& clock_;
};

// A stream's side of it, without a server: log is made up.
class LogHome {
 public:
  static constexpr std::uint64_t kMostOutstandingBytes = 1 << 20;

  explicit LogHome(JournalBench& bench, RpoPolicy policy = RpoPolicy::Sync)
      : bench_(bench),
        env_(bench.env()),
        clocks_(env_, JournalBench::kCopies, bench.vaults()),
        periods_(env_.files, keys().era(), clocks_, kKeysPath),
        memory_(env_.files, kAgentDirectory, "people"),
        resume_(memory_),
        waker_(env_.clock),
        journal_({env_, keys().policy(), keys().registry(), keys().era(), keys().writer(), bench.vaults(), periods_,
                  kAgentDirectory},
                 promise_of(policy), {memory_, resume_, commits_, waker_}) {
    must(env_.files.make_directories(kAgentDirectory, env::kPrivateDirectory));
    must(custody::write_agent_keys(env_.files, kKeysPath, keys().agent_keys()));
    bench.answer_after(1ms);
    resume_.connected({kTimeline, {}}, kStart);
  }

  DatabaseJournal& journal() { return journal_; }
  CountingWaker& waker() { return waker_; }
  agent::CommitTally& commits() { return commits_; }
  agent::ResumePoint& resume() { return resume_; }
  pg::Lsn end() const { return at_; }
  pg::Lsn reported() const { return reported_; }  // to the server that is not there

  void open(pg::Lsn start = kStart) {
    at_ = start;
    must(journal_.open(kSourceOfLog, kTimeline, start));
  }
  void follow_second_timeline() {
    const std::string text = "1\t0/2000000\tno recovery target specified\n";
    must(journal_.follow({to_bytes(text), must(pg::parse_timeline_history(pg::Timeline(2), as_bytes(text)))}));
  }
  void gather(std::size_t bytes) {
    journal_.gather(kTimeline, at_, Bytes(bytes, Byte{42}));
    at_ = at_ + bytes;
  }
  // A frame of so much log that ends with a commit.
  Status write(std::size_t bytes) {
    gather(bytes);
    commits_.received(commits_.received() + 1, at_);
    return journal_.flush();
  }
  // As a stream does while its server is silent.
  Status run_for(std::chrono::nanoseconds time) {
    const env::Instant deadline = bench_.in(time);
    while (env_.clock.monotonic() < deadline) {
      TRY(journal_.look(true));
      reported_ = journal_.safe();
      TRY(journal_.tend());
      waker_.wait(20ms);
    }
    return journal_.look(true);
  }
  void shut(std::initializer_list<std::size_t> vaults, bool is_shut = true) {
    for (const std::size_t vault : vaults) bench_.door(vault).is_shut = is_shut;
  }
  // As the keeper does. The troubles.
  std::vector<std::string> recover_left() {
    return journal_.left_spools().recover({bench_.world(), bench_.vaults(), keys().writer(), keys().policy().quorum.k});
  }
  std::vector<std::string> alarms() { return journal_.alarms(journal_.standing(), true); }

  // What a site reads of each journal, in their order: the texts of its records.
  std::vector<std::vector<std::string>> held() {
    std::vector<std::unique_ptr<store::VaultApi>> sites;
    std::vector<store::VaultApi*> asked;
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i) {
      sites.push_back(bench_.host(i).door(keys().site()));
      asked.push_back(sites.back().get());
    }
    std::map<Bytes, format::SignedStream> streams;  // by their start, which is their place in the order
    for (store::VaultApi* site : asked) {
      for (const store::StreamHead& head : must(site->heads(keys().registry().id)))
        streams.emplace(to_bytes(head.stream.descriptor.start.view()), head.stream);
    }
    std::vector<std::vector<std::string>> all;
    for (const auto& [start, stream] : streams) {
      engine::JournalReader reader({env_.clock, env_.threads, {JournalBench::kCopies, 2, 0}, JournalBench::kVaults},
                                   keys().policy().realm, stream, asked, keys().opening_keys());
      std::vector<std::string>& records = all.emplace_back();
      must(reader.read([&records](const engine::JournalFrame& frame) -> Status {
        records.push_back(std::to_string(frame.segment.value()) + " " + told(TRY(format::decode_record(frame.plain))));
        return {};
      }));
    }
    return all;
  }

 private:
  static agent::LogPromise promise_of(RpoPolicy policy) {
    agent::LogPromise promise;
    promise.dataset = "people";
    promise.policy = policy;
    promise.budget = 2s;
    promise.most_outstanding_bytes = kMostOutstandingBytes;
    return promise;
  }
  static std::string told(const format::JournalRecord& record) {
    if (const auto* log = std::get_if<format::JournalLog>(&record))
      return "log " + pg::to_text(pg::Lsn(log->start.value())) + " +" + std::to_string(log->log_bytes);
    if (const auto* way = std::get_if<format::JournalHistory>(&record))
      return "way of timeline " + std::to_string(way->timeline.value());
    if (const auto* exposure = std::get_if<format::LossExposure>(&record))
      return "exposed " + pg::to_text(pg::Lsn(exposure->from.value())) + " to " +
             pg::to_text(pg::Lsn(exposure->to.value()));
    if (const auto* cut = std::get_if<format::Cut>(&record)) return "cut of " + cut->group;
    return "opening";
  }

  JournalBench& bench_;
  env::Env env_;
  agent::VaultClocks clocks_;
  agent::PeriodSource periods_;
  agent::StreamMemory memory_;
  agent::ResumePoint resume_;
  agent::CommitTally commits_;
  CountingWaker waker_;
  DatabaseJournal journal_;
  pg::Lsn at_ = kStart;
  pg::Lsn reported_;
};

class DatabaseJournalTest : public JournalTest {};

TEST_F(DatabaseJournalTest, in_sync_only_what_k_vaults_hold_is_safe) {
  run([](JournalBench& bench) {
    LogHome home(bench);
    home.open();
    home.shut({0, 1});
    must(home.write(300));
    must(home.run_for(15s));
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

TEST_F(DatabaseJournalTest, bounded_tells_of_what_it_acknowledged_without_the_vaults) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    must(home.write(100));
    must(home.run_for(1s));
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(1s));
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
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(3s));
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
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(3s));
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

TEST_F(DatabaseJournalTest, nor_is_one_whose_spool_has_lost_its_end) {
  run([](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(3s));
    auto exposed = home.journal().exposed();
    ASSERT_TRUE(exposed.has_value());
    ASSERT_EQ(exposed->journals.size(), 1U);
    ignore(home.journal().end(), "vaults are away");
    home.shut({0, 1}, false);

    ++exposed->journals[0].frames;  // as it was written down before
    LogHome next(bench, RpoPolicy::Bounded);
    must(next.journal().recall(exposed));
    next.recover_left();
    EXPECT_THAT(next.recover_left(), ElementsAre(HasSubstr("had lost its end")));
    next.open(kStart + 200);
    must(next.run_for(2s));
    EXPECT_TRUE(next.journal().exposed().has_value());
  });
}

// Killed in between: the folder tells the next run.
TEST_F(DatabaseJournalTest, a_run_that_learns_of_an_exposure_after_its_spool_was_brought_to_the_vaults_ends_it) {
  run([](JournalBench& bench) {
    std::optional<agent::Exposure> exposed;
    {
      LogHome home(bench, RpoPolicy::Bounded);
      home.open();
      home.shut({0, 1});
      must(home.write(200));
      must(home.run_for(3s));
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
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(3s));
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

// Nothing was acknowledged without the vaults, and nobody is told that it was.
TEST_F(DatabaseJournalTest, a_spool_that_fails_when_the_budget_ends_exposes_nothing) {
  run([this](JournalBench& bench) {
    LogHome home(bench, RpoPolicy::Bounded);
    home.open();
    home.shut({0, 1});
    must(home.write(200));
    must(home.run_for(1s));
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
