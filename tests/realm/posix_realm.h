// A realm on this machine for tests that need a real file system: everything below one fresh temporary directory.
// Hides: making and removing that directory, waiting out the file system's clock tick.
//
// Threads: one test.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "posix/world.h"
#include "tests/conformance/scratch_directory.h"
#include "tests/realm/realm.h"
#include "tests/realm/trees.h"

namespace exclave::realm_tests {

class PosixRealm : public ::testing::Test {
 protected:
  PosixRealm() {
    make_directory("source");
    for (std::size_t i = 0; i < 3; ++i) {
      hosts_.push_back(std::make_unique<VaultHost>(env_of_vault(i), base_ / ("vault" + std::to_string(i)), keys(), i));
    }
    open_doors();
    start_agent();
  }
  ~PosixRealm() override {
    agent_.reset();
    site_.reset();
  }

  env::Env env() { return world_.env(); }
  // A vault's and the agent's machine: this one, but with a clock that tests may set wrong.
  env::Env env_of_vault(std::size_t number) { return env_with(*vault_clocks_.at(number)); }
  env::FileSystem& files() { return env_.files; }
  static const RealmKeys& keys() {
    static const RealmKeys made(posix::World(env::LogLevel::Error).env().clock.now().seconds());
    return made;
  }
  static bool is_root() { return ::geteuid() == 0; }

  std::string at(const std::string& path) const { return base_ / path; }
  std::string source(const std::string& path = "") const { return at(path.empty() ? "source" : "source/" + path); }
  void make_directory(const std::string& path, ::mode_t mode = 0755) {
    must(files().make_directories(at(path), 0755));
    CHECK(::chmod(at(path).c_str(), mode) == 0);
  }
  void write(const std::string& path, ByteView content, std::uint32_t mode = 0644) {
    write_file(files(), source(path), content, mode);
  }
  void write(const std::string& path, std::string_view content) { write(path, as_bytes(content)); }

  // New changes get a later time stamp than everything so far: the kernel's clock ticks every 10 ms at the slowest. And
  // everything so far is old enough to be trusted: for the realm's machines seconds go by, not only the time waited.
  void let_time_pass() {
    ignore(env().clock.sleep_until(env().clock.monotonic() + std::chrono::milliseconds(20)), "never fails here");
    for (const auto& clock : vault_clocks_) clock->off_by_seconds += 3;
    agent_clock_->off_by_seconds += 3;
  }
  void start_agent() {
    agent_ = std::make_unique<Agent>(env_with(*agent_clock_), base_ / "agent", keys(), pointers(writer_taps_));
  }
  engine::CaptureReport capture() { return must(agent_->capture(source())); }
  Site& site() {
    if (site_ == nullptr) site_ = std::make_unique<Site>(env(), keys(), pointers(site_taps_));
    return *site_;
  }
  // Restores into a fresh directory and returns its path.
  std::string restored(const format::ObjectName& snapshot) {
    const std::string target = at("restored" + std::to_string(++restores_));
    const auto report = must(site().restore(snapshot, target));
    EXPECT_EQ(report.problem_count, 0U) << (report.problems.empty() ? "" : report.problems.front().why);
    return target;
  }
  void expect_equal(const std::string& wanted, const std::string& found) {
    EXPECT_EQ(differences(files(), wanted, found), std::vector<std::string>());
  }
  void expect_restores_as_source(const format::ObjectName& snapshot) { expect_equal(source(), restored(snapshot)); }

  std::uint64_t puts() const {
    std::uint64_t all = 0;
    for (const auto& tap : writer_taps_) all += tap->puts;
    return all;
  }

  class WrongClock final : public env::Clock {
   public:
    explicit WrongClock(env::Clock& right) : right_(right) {}
    std::atomic<std::int64_t> off_by_seconds{0};
    env::Timestamp now() override { return env::Timestamp{right_.now().nanoseconds + off_by_seconds * 1'000'000'000}; }
    env::Instant monotonic() override { return right_.monotonic(); }
    Status sleep_until(env::Instant instant) override { return right_.sleep_until(instant); }

   private:
    env::Clock& right_;
  };

  posix::World world_{env::LogLevel::Error};
  env::Env env_ = world_.env();
  std::vector<std::unique_ptr<WrongClock>> vault_clocks_ = three_clocks();
  std::unique_ptr<WrongClock> agent_clock_ = std::make_unique<WrongClock>(env_.clock);
  conformance::ScratchDirectory base_{"realm"};
  std::vector<std::unique_ptr<VaultHost>> hosts_;
  std::vector<std::unique_ptr<TapVault>> writer_taps_;
  std::vector<std::unique_ptr<TapVault>> site_taps_;
  std::unique_ptr<Agent> agent_;

 private:
  env::Env env_with(env::Clock& clock) {
    env::Env world = env();
    return {clock, world.random, world.files, world.network, world.processes, world.log, world.threads};
  }
  std::vector<std::unique_ptr<WrongClock>> three_clocks() {
    std::vector<std::unique_ptr<WrongClock>> clocks;
    for (int i = 0; i < 3; ++i) clocks.push_back(std::make_unique<WrongClock>(env_.clock));
    return clocks;
  }
  void open_doors() {
    for (const auto& host : hosts_) {
      writer_taps_.push_back(std::make_unique<TapVault>(host->door(keys().writer())));
      site_taps_.push_back(std::make_unique<TapVault>(host->door(keys().site())));
    }
  }
  std::unique_ptr<Site> site_;
  int restores_ = 0;
};

}  // namespace exclave::realm_tests
