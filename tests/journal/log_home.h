// LogHome: an agent's journal of one database in a simulated world, as a stream uses it, without a server.
//
// Threads: one, on the machine of its bench.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "agent/database_journal.h"
#include "custody/key_files.h"
#include "tests/journal/journal_case.h"

namespace exclave::journal_tests {

inline constexpr const char* kAgentDirectory = "/agent/people";
inline constexpr const char* kKeysPath = "/agent/keys";
inline const format::LogSource kSourceOfLog{7, 15, 1U << 24};
inline constexpr pg::Lsn kStart(0x3000000);
inline constexpr pg::Timeline kTimeline(1);

class CountingWaker final : public env::Waker {
 public:
  explicit CountingWaker(env::Clock& clock) : clock_(clock) {}
  void wake() override { ++wakes; }
  void wait(std::chrono::nanoseconds longest) override { must(clock_.sleep_until(clock_.monotonic() + longest)); }
  int descriptor() const override { return -1; }
  void clear() override {}
  void look() override {}
  std::shared_ptr<const env::Watch> watch(int) override { return nullptr; }
  std::atomic<std::uint64_t> wakes{0};

 private:
  env::Clock& clock_;
};

// A stream's side of it, without a server: log is made up.
class LogHome {
 public:
  static constexpr std::uint64_t kMostOutstandingBytes = 1 << 20;

  explicit LogHome(JournalBench& bench, agent::RpoPolicy policy = agent::RpoPolicy::Sync)
      : bench_(bench),
        env_(bench.env()),
        clocks_(env_, JournalBench::kCopies, bench.vaults()),
        periods_(env_.files, keys().era(), clocks_, kKeysPath),
        watch_(env_, keys().writer().public_key(), keys().registry().id, bench.vaults()),
        memory_(env_.files, kAgentDirectory, "people"),
        resume_(memory_),
        waker_(env_.clock),
        journal_({env_, keys().policy(), keys().registry(), keys().era(), keys().writer(), bench.vaults(), periods_,
                  watch_, kAgentDirectory},
                 promise_of(policy), {memory_, resume_, commits_, waker_}) {
    must(env_.files.make_directories(kAgentDirectory, env::kPrivateDirectory));
    must(custody::write_agent_keys(env_.files, kKeysPath, keys().agent_keys()));
    bench.answer_after(std::chrono::milliseconds(1));
    resume_.connected({kTimeline, {}}, kStart);
  }

  agent::DatabaseJournal& journal() { return journal_; }
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
      waker_.wait(std::chrono::milliseconds(20));
    }
    return journal_.look(true);
  }
  void shut(std::initializer_list<std::size_t> vaults, bool is_shut = true) {
    for (const std::size_t vault : vaults) bench_.door(vault).is_shut = is_shut;
  }
  // Log that only this machine has, for so long.
  void write_without_vaults(std::size_t bytes, std::chrono::nanoseconds time) {
    shut({0, 1});
    must(write(bytes));
    must(run_for(time));
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
        records.push_back(std::to_string(frame.segment.value()) + " " +
                          told(TRY(format::decode_record(frame.content))));
        return {};
      }));
    }
    return all;
  }

 private:
  static agent::LogPromise promise_of(agent::RpoPolicy policy) {
    agent::LogPromise promise;
    promise.dataset = "people";
    promise.policy = policy;
    promise.budget = std::chrono::seconds(2);
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
  agent::WriterWatch watch_;
  agent::StreamMemory memory_;
  agent::ResumePoint resume_;
  agent::CommitTally commits_;
  CountingWaker waker_;
  agent::DatabaseJournal journal_;
  pg::Lsn at_ = kStart;
  pg::Lsn reported_;
};

class DatabaseJournalTest : public JournalTest {};

}  // namespace exclave::journal_tests
