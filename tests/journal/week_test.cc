// L3 for journals: one of three vaults is cut off for a week of virtual time while frames go on. Nobody waits for it; the spool
// keeps what it lacks, over a power failure at home and up to its limit; when the vault is back it gets all of it by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/detail/seeded.h"
#include "tests/sim/journal_realm.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using conformance::is_ok;
using conformance::must;
using realm_tests::JournalHome;
using realm_tests::JournalReading;
using realm_tests::WrittenJournal;
using ::testing::HasSubstr;

constexpr std::size_t kAway = 2;  // the vault
constexpr std::uint64_t kRunning =
    3;  // segments beside those that the vault lacks: being filled, opened ahead, being closed

class JournalWeek : public ::testing::Test {
 protected:
  // A frame a minute, and a burst now and then; each is durable a moment later, and no append takes longer than its own disk.
  void live(std::chrono::nanoseconds time) {
    const auto end = realm_.universe().elapsed() + time;
    while (realm_.universe().elapsed() < end && !HasFailure()) {
      const std::uint64_t frames = rng_.percent(1) ? 20 + rng_.below(100) : 1;
      const bool is_large = rng_.percent(2);
      for (std::uint64_t i = 0; i < frames; ++i) append(is_large ? 20'000 : 100 + rng_.below(2000));
      EXPECT_TRUE(home_.await(2s)) << "two vaults are there";
      realm_.universe().run_for(1min);
      most_spooled_ = std::max(most_spooled_, home_.writer().progress().spool_bytes);
    }
  }
  void append(std::size_t bytes) {
    const env::Instant before = home_.now();
    ASSERT_TRUE(is_ok(home_.append(bytes)));
    slowest_append_ = std::max<std::chrono::nanoseconds>(slowest_append_, home_.now() - before);
  }
  // The keeper's part: what earlier starts left is offered to the vaults every `spools_every_`, beside the writer.
  void start_keeper() {
    ++running_;
    realm_.home().start("spools", [this] {
      ignore(keep(), "the machine is dead");
      --running_;
    });
  }
  Status keep() {
    env::Clock& clock = realm_.home().env().clock;
    while (!is_over_) {
      left_ = TRY(home_.recover(20s));
      const env::Instant began = clock.monotonic();
      while (!is_over_ && clock.monotonic() - began < spools_every_) TRY(clock.sleep_until(clock.monotonic() + 15s));
    }
    return {};
  }
  // The part of the vault's own daemon: it fills its gaps from the others.
  void start_repairs() {
    ++running_;
    realm_.vault(kAway).machine().start("repair", [this] {
      env::Clock& clock = realm_.vault(kAway).machine().env().clock;
      const auto doors = realm_.doors_of_vault(kAway);
      while (!is_over_) {
        must(realm_.vault(kAway).repair(realm_tests::SimRealm::pointers_to(doors), {}));
        must(clock.sleep_until(clock.monotonic() + 10s));
      }
      --running_;
    });
  }
  void end_daemons() {
    is_over_ = true;
    while (running_ > 0) realm_.universe().run_for(100ms);
    is_over_ = false;
  }
  void TearDown() override { end_daemons(); }
  void lose_power_at_home() {
    realm_.home().set_survival(sim::Survival::Everything);  // a minute old: the kernel has written it back
    realm_.home().crash();
    end_daemons();
    home_.drop();
    realm_.home().restart();
    must(home_.open());
    start_keeper();
    realm_.universe().run_for(1min);
    ASSERT_EQ(left_.size(), 1U) << "the journal of before is found again";
    EXPECT_FALSE(left_[0].is_complete);
    EXPECT_GE(left_[0].holders, 2U);
    ASSERT_EQ(left_[0].reasons.size(), 1U);
    EXPECT_THAT(left_[0].reasons[0], HasSubstr(name_of_away()));
  }
  // In the spool is what the vault lacks, and no more.
  void expect_spool(std::uint64_t from_segment) {
    const auto progress = home_.writer().progress();
    std::set<std::uint64_t> indices;
    std::uint64_t bytes = 0;
    env::FileSystem& files = realm_.home().env().files;
    const std::string folder = home_.journal().spool + "/" + home_.journal().id().hex();
    for (const std::string& name : must(files.list(folder))) {
      if (!name.ends_with(".segment")) continue;
      indices.insert(std::stoull(name));
      bytes += must(files.stat(folder + "/" + name)).size;
    }
    EXPECT_EQ(bytes, progress.spool_bytes);
    ASSERT_FALSE(indices.empty());
    EXPECT_EQ(*indices.begin(), from_segment);
    EXPECT_EQ(indices.size(), *indices.rbegin() - *indices.begin() + 1) << "none is missing in between";
    EXPECT_GE(*indices.rbegin(), progress.segments);
    EXPECT_LT(*indices.rbegin(), progress.segments + kRunning);
  }
  // While frames go on, ten in a second: until the vault has all, and what earlier journals left is gone.
  std::chrono::nanoseconds catch_up(std::chrono::nanoseconds limit) {
    const auto began = realm_.universe().elapsed();
    const auto is_there = [&] {
      const auto progress = home_.writer().progress();
      return progress.vaults.at(kAway).frames + 20 >= progress.appended && spools() == 1;
    };
    while (!is_there() && realm_.universe().elapsed() - began < limit && !HasFailure()) {
      append(500);
      realm_.universe().run_for(100ms);
      home_.look();
    }
    EXPECT_TRUE(is_there()) << home_.writer().progress().vaults.at(kAway).frames << " of " << home_.journal().appended;
    return realm_.universe().elapsed() - began;
  }
  std::size_t spools() { return must(realm_.home().env().files.list(JournalHome::kSpools)).size(); }
  void end_well() {
    EXPECT_TRUE(is_ok(home_.finish(1min)));
    realm_.universe().run_for(30s);
    end_daemons();
    home_.drop();
    must(home_.recover(20s));
    EXPECT_EQ(spools(), 0U) << "everybody has it all";
  }
  void expect_equal_everywhere(const WrittenJournal& journal) {
    std::vector<format::ObjectName> names;
    for (std::size_t i = 0; i < realm_.vault_count(); ++i) {
      const auto site = realm_.vault(i).host().door(realm_.keys().site());
      std::vector<format::ObjectName> here;
      for (std::vector<store::HeldEntry> page; here.empty() || page.size() == store::kMaxEntriesPerCall;) {
        page = must(site->entries(journal.id(), format::EntryIndex(here.size()), store::kMaxEntriesPerCall));
        for (const auto& held : page) here.push_back(held.entry.entry.object);
        if (page.empty()) break;
      }
      if (i == 0) names = here;
      ASSERT_EQ(here, names) << "vault " << i;
      for (const auto& open : must(site->open_segments(realm_.keys().registry().id))) {
        EXPECT_NE(open.stream, journal.id()) << "all are closed";
      }
    }
    ASSERT_GT(names.size(), 10U);
    for (const format::ObjectName& name : names) {
      const auto first = bytes_at(0, name);
      ASSERT_TRUE(is_ok(first));
      for (std::size_t i = 1; i < realm_.vault_count(); ++i) ASSERT_EQ(must(bytes_at(i, name)), first.value());
    }
  }
  Result<Bytes> bytes_at(std::size_t vault, const format::ObjectName& name) {
    return realm_.vault(vault).machine().disk().content(realm_.vault(vault).host().path_of(name));
  }
  void expect_read(const WrittenJournal& journal) {
    const policy::Quorum quorum = realm_.keys().policy().quorum;
    const JournalReading reading = realm_tests::read_journal_abroad(realm_, journal, {0, kAway}, quorum);
    ASSERT_FALSE(reading.refusal.has_value()) << reading.refusal->message();
    EXPECT_FALSE(reading.wrong.has_value()) << *reading.wrong;
    EXPECT_EQ(reading.frames, journal.appended);
    EXPECT_TRUE(reading.is_proven(realm_.vault_count(), quorum.k, quorum.b));
    EXPECT_THAT(reading.end.problems, ::testing::IsEmpty());
  }
  std::string name_of_away() { return realm_.vault(kAway).name(); }

  realm_tests::SimRealm realm_{19};
  sim::detail::Rng rng_{19, "week"};
  std::uint64_t spool_limit_bytes_ = std::uint64_t{4} << 30;
  std::uint8_t largest_class_ = format::kLargestClass;
  JournalHome home_{realm_, [this](spread::JournalOptions& options) {
                      options.spool_limit_bytes = spool_limit_bytes_;
                      options.classes.largest = largest_class_;
                      options.heartbeat = 1min;      // there are frames as often
                      options.longest_pause = 1min;  // a week of attempts costs time
                    }};
  std::chrono::nanoseconds slowest_append_{};
  std::chrono::nanoseconds spools_every_ = 6h;
  std::uint64_t most_spooled_ = 0;
  bool is_over_ = false;  // orders the daemons to end
  int running_ = 0;       // of them
  std::vector<spread::SpooledStream> left_;
};

TEST_F(JournalWeek, L3_a_vault_that_is_cut_off_for_a_week_holds_nobody_up_and_catches_up_by_itself) {
  must(home_.open());
  start_keeper();
  live(2h);
  const std::uint64_t had = home_.writer().progress().vaults.at(kAway).segments;
  EXPECT_GT(had, 0U);
  realm_.universe().network().isolate(name_of_away());
  live(84h);
  expect_spool(had);
  lose_power_at_home();
  live(42h);
  home_.period = 4;
  must(home_.writer().roll());
  live(42h);
  expect_spool(0);
  const auto progress = home_.writer().progress();
  EXPECT_EQ(progress.vaults.at(kAway).frames, 0U);
  EXPECT_EQ(progress.vaults.at(kAway).dropped_segments, 0U);
  EXPECT_TRUE(progress.vaults.at(kAway).behind_since.has_value());

  realm_.universe().network().heal_all();
  spools_every_ = 15s;
  const auto took = catch_up(5min);
  end_well();
  EXPECT_LT(slowest_append_, 50ms);
  std::uint64_t frames = 0;
  for (const WrittenJournal& journal : home_.journals()) {
    expect_equal_everywhere(journal);
    expect_read(journal);
    frames += journal.appended;
  }
  EXPECT_GT(frames, 7U * 24 * 60);
  std::cout << "[ measured ] " << frames << " frames in a week, at most " << most_spooled_
            << " bytes in a spool, caught up in " << std::chrono::duration<double>(took).count()
            << " s, slowest append " << std::chrono::duration<double, std::milli>(slowest_append_).count() << " ms, "
            << realm_.universe().calls() << " calls\n";
}

// What repair brings, the vault's own daemon asks for by itself; here somebody has to say when.
TEST_F(JournalWeek, L3_beyond_its_limit_the_spool_stays_at_it_and_the_others_bring_what_was_dropped) {
  spool_limit_bytes_ = 2 << 20;
  largest_class_ = 18;
  must(home_.open());
  start_keeper();
  live(2h);
  realm_.universe().network().isolate(name_of_away());
  live(20h);
  EXPECT_GT(most_spooled_, spool_limit_bytes_ / 2);
  EXPECT_LE(most_spooled_, spool_limit_bytes_ + (kRunning << 18));

  realm_.universe().network().heal_all();
  for (int i = 0; i < 300; ++i) {
    append(500);
    realm_.universe().run_for(100ms);
    const auto away = home_.writer().progress().vaults.at(kAway);
    if (!away.failure.has_value()) continue;
    ASSERT_NE(away.failure->code(), Code::Corrupt) << "it said nothing wrong: " << away.failure->message();
  }
  EXPECT_GT(home_.writer().progress().vaults.at(kAway).dropped_segments, 0U);
  EXPECT_TRUE(home_.await(2s)) << "the two go on";
  start_repairs();
  catch_up(5min);
  end_well();
  EXPECT_LT(slowest_append_, 50ms);
  expect_equal_everywhere(home_.journal());
  expect_read(home_.journal());
}

}  // namespace
}  // namespace exclave::journal_tests
