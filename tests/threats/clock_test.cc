// H8: clocks that are wrong by minutes or by years.
// Mechanisms: snapshots are ordered by what the writer signed, which rises whatever its clock does; the period to seal
// under is bounded by the k-th newest of what vaults say and have signed (engine::current_period); retention is computed at the vault and only
// ever extended; verify tells a vault that retains for a shorter time than the policy says.
#include <gmock/gmock.h>

#include "engine/period_keeper.h"
#include "engine/verify.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr std::int64_t kTenYears = std::int64_t{3653} * 86'400;

class WrongClocks : public PosixRealm {
 protected:
  engine::CaptureReport capture_words(std::string_view words) {
    write("file", words);
    let_time_pass();
    return capture();
  }
  format::ObjectName latest() { return must(engine::choose_snapshot(must(site().holdings()), "latest")).object.name; }
  // In a new stream, without its bytes: a writer may do so at any time.
  void refer_again(store::VaultApi& vault, const format::ObjectName& object) {
    format::StreamDescriptor descriptor;
    descriptor.realm = keys().policy().realm;
    descriptor.writer = keys().writer().public_key();
    descriptor.registry = keys().registry().id;
    descriptor.era = keys().era().number;
    must(vault.open_stream(format::SignedStream::sign(descriptor, keys().writer())));
    const format::StreamId id = descriptor.id();
    const auto chain = format::next_chain(format::chain_start(id), object, {});
    must(vault.put(format::SignedEntry::sign({id, format::EntryIndex(0), object, chain, {}}, keys().writer()), {}));
  }
  format::PeriodNumber period_of(const format::ObjectName& snapshot) {
    return must(engine::choose_snapshot(must(site().holdings()), snapshot.hex())).object.period;
  }
};

TEST_F(WrongClocks, H8_captures_and_restores_go_on_and_the_latest_snapshot_stays_the_latest) {
  for (const std::int64_t off : {std::int64_t{600}, -std::int64_t{600}, kTenYears, -kTenYears}) {
    for (std::size_t wrong = 0; wrong < 3; ++wrong) {
      capture_words("before " + std::to_string(off));
      vault_clocks_[wrong]->off_by_seconds = off;
      const auto during = capture_words("during " + std::to_string(off) + " " + std::to_string(wrong));
      EXPECT_TRUE(during.vaults_behind().empty());
      EXPECT_EQ(latest(), during.snapshot) << "vault " << wrong << " is off by " << off << " s";
      vault_clocks_[wrong]->off_by_seconds = 0;
      const auto after = capture_words("after " + std::to_string(off) + " " + std::to_string(wrong));
      EXPECT_EQ(latest(), after.snapshot) << "vault " << wrong << " was off by " << off << " s";
      expect_restores_as_source(after.snapshot);
    }
  }
}

TEST_F(WrongClocks, H8_a_vault_that_was_ahead_and_is_half_of_those_that_answer_makes_no_older_snapshot_the_latest) {
  vault_clocks_[1]->off_by_seconds = kTenYears;
  capture_words("older");
  vault_clocks_[1]->off_by_seconds = 0;
  const auto newer = capture_words("newer");
  site_taps_[2]->is_down = true;
  EXPECT_EQ(latest(), newer.snapshot);
}

TEST_F(WrongClocks, an_agent_whose_clock_is_set_back_still_makes_the_latest_snapshot) {
  capture_words("older");
  agent_clock_->off_by_seconds = -kTenYears;
  const auto newer = capture_words("newer");
  EXPECT_EQ(latest(), newer.snapshot);
  agent_clock_->off_by_seconds = -2 * kTenYears;
  const auto newest = capture_words("newest");
  EXPECT_EQ(latest(), newest.snapshot);
}

TEST_F(WrongClocks, a_table_lost_with_a_clock_set_back_still_makes_the_latest_snapshot_the_latest) {
  agent_clock_->off_by_seconds = kTenYears;
  capture_words("older");
  agent_clock_->off_by_seconds = 0;
  agent_.reset();
  for (const std::string& name : must(files().list(at("agent/table"))))
    must(files().remove_file(at("agent/table/" + name)));
  start_agent();
  const auto newer = capture_words("newer");
  EXPECT_EQ(latest(), newer.snapshot);
  expect_restores_as_source(newer.snapshot);
}

TEST_F(WrongClocks, a_policy_that_changes_the_retention_makes_no_earlier_object_a_broken_promise) {
  capture_words("words");
  policy::Registry changed = keys().registry();
  for (const std::uint64_t after : {changed.retention_seconds * 10, changed.retention_seconds / 10}) {
    engine::PinnedRegistry pinned{keys().policy(), changed, keys().pinned().writers, keys().pinned().retention};
    changed.retention_seconds = after;
    pinned.retention.shortest = std::min(pinned.retention.shortest, after);
    pinned.retention.longest = std::max(pinned.retention.longest, after);
    const auto verdict =
        must(engine::verify_holdings(env_, pinned, pointers(site_taps_), engine::Reading::HeadersOnly, {}));
    EXPECT_TRUE(verdict.is_clean()) << verdict.vaults.front().findings.front();
  }
}

TEST(Verdict, a_vault_that_hangs_up_does_not_clear_itself_of_what_was_found) {
  engine::HoldingsVerdict verdict;
  verdict.vaults.emplace_back();
  verdict.vaults.back().reachable = false;
  EXPECT_FALSE(verdict.is_damaged());
  verdict.vaults.back().finding_count = 1;
  EXPECT_TRUE(verdict.is_damaged());
}

TEST_F(WrongClocks, H8_one_vault_that_is_years_ahead_moves_no_period_ahead) {
  const auto before = capture_words("one");
  vault_clocks_[1]->off_by_seconds = kTenYears;
  capture_words("two");
  const auto third = capture_words("three");
  EXPECT_EQ(period_of(third.snapshot), period_of(before.snapshot));
}

TEST_F(WrongClocks, a_capture_after_a_gap_is_sealed_under_the_period_that_runs) {
  constexpr std::int64_t kGap = std::int64_t{15} * 86'400;  // into the third of the era's weeks
  const auto pass = [&](std::int64_t seconds) {
    for (const auto& clock : vault_clocks_) clock->off_by_seconds += seconds;
    agent_clock_->off_by_seconds += seconds;
  };
  const auto before = capture_words("before");
  EXPECT_EQ(period_of(before.snapshot), format::PeriodNumber(0));
  EXPECT_TRUE(before.notes.empty());
  pass(kGap);
  const auto after = capture_words("after");
  EXPECT_EQ(period_of(after.snapshot), format::PeriodNumber(2)) << "a release of the first week must not open it";
  EXPECT_TRUE(after.notes.empty());
  EXPECT_EQ(latest(), after.snapshot);

  // One vault that does not answer, or lies, neither holds the period back nor moves it ahead.
  pass(7 * 86'400);
  writer_taps_[0]->is_down = true;
  EXPECT_EQ(period_of(capture_words("one is down").snapshot), format::PeriodNumber(3));
  writer_taps_[0]->is_down = false;
  pass(7 * 86'400);
  for (const std::int64_t lie : {-kTenYears, kTenYears}) {
    vault_clocks_[1]->off_by_seconds += lie;
    EXPECT_EQ(period_of(capture_words("one lies by " + std::to_string(lie)).snapshot), format::PeriodNumber(4));
    vault_clocks_[1]->off_by_seconds -= lie;
  }
}

TEST_F(WrongClocks, a_restore_with_an_older_release_says_that_later_snapshots_exist) {
  const auto older = capture_words("older");
  for (const auto& clock : vault_clocks_) clock->off_by_seconds = 8 * 86'400;
  agent_clock_->off_by_seconds = 8 * 86'400;
  const auto newer = capture_words("newer");
  const auto newest = capture_words("newest");
  const auto names_of = [](const std::vector<engine::FoundSnapshot>& all) {
    std::vector<format::ObjectName> names;
    for (const auto& each : all) names.push_back(each.object.name);
    return names;
  };
  using Names = std::vector<format::ObjectName>;
  const auto opened_by = [&](const std::vector<format::PeriodNumber>& periods, format::EraNumber era, Names& aside) {
    auto holdings = must(site().holdings());
    aside = names_of(engine::set_aside_unreleased(holdings, era, periods));
    return names_of(holdings.snapshots);
  };
  Names aside;
  EXPECT_EQ(opened_by({format::PeriodNumber(0)}, keys().era().number, aside), Names({older.snapshot}));
  EXPECT_EQ(aside, Names({newer.snapshot, newest.snapshot})) << "both are later, and neither is opened";
  EXPECT_EQ(opened_by({format::PeriodNumber(1)}, keys().era().number, aside), Names());
  EXPECT_EQ(aside.size(), 3U) << "the newer ones need objects of the first period";
  EXPECT_EQ(opened_by({format::PeriodNumber(0), format::PeriodNumber(1)}, format::EraNumber(2), aside), Names());
  EXPECT_EQ(aside.size(), 3U);
}

TEST_F(WrongClocks, a_capture_says_so_when_the_clocks_disagree_about_the_period) {
  agent_clock_->off_by_seconds = kTenYears;
  EXPECT_THAT(capture_words("words").notes, Contains(HasSubstr("by this machine's clock period 5 runs")));
  agent_clock_->off_by_seconds = 0;
  for (const auto& tap : writer_taps_) tap->tells_no_time = true;
  EXPECT_THAT(capture_words("more").notes, Contains(HasSubstr("only 0 vaults said what time it is")));
}

TEST_F(WrongClocks, H8_an_agent_that_is_years_ahead_seals_under_the_running_period_and_erases_no_key_early) {
  const auto before = capture_words("right");
  agent_.reset();
  WrongClock ahead(env_.clock);
  ahead.off_by_seconds = kTenYears;
  const env::Env wrong{ahead, env_.random, env_.files, env_.network, env_.processes, env_.log, env_.threads};
  Agent agent(wrong, at("agent"), keys(), pointers(writer_taps_));
  write("file", "wrong");
  let_time_pass();
  const auto during = must(agent.capture(source()));
  EXPECT_EQ(period_of(during.snapshot), period_of(before.snapshot));
  EXPECT_EQ(latest(), during.snapshot);
  expect_restores_as_source(during.snapshot);

  custody::AgentKeys held = keys().agent_keys();
  must(engine::erase_ended_periods(agent.context(), held));
  EXPECT_EQ(held.periods.front().id.period, period_of(before.snapshot)) << "its last keys: it could seal no more";
}

TEST_F(WrongClocks, H8_retention_never_shrinks_and_a_vault_that_retains_too_short_is_named) {
  const auto right = capture_words("right");
  const auto retained = [&](std::size_t vault) {
    std::map<std::pair<format::StreamId, std::uint64_t>, std::int64_t> all;
    for (const auto& head : must(site_taps_[vault]->heads(keys().registry().id))) {
      for (const auto& held : must(site_taps_[vault]->entries(head.stream.descriptor.id(), {}, 1000)))
        all[{head.stream.descriptor.id(), held.entry.entry.index.value()}] = held.retain_until_seconds;
    }
    return all;
  };
  const auto promised = retained(1);
  vault_clocks_[1]->off_by_seconds = -kTenYears;
  capture_words("wrong");
  for (const auto& tap : writer_taps_) refer_again(*tap, right.snapshot);
  const auto now = retained(1);
  for (const auto& [entry, until] : promised) EXPECT_GE(now.at(entry), until);
  const auto verdict =
      must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::HeadersOnly, {}));
  for (const auto& vault : verdict.vaults) {
    if (vault.vault == hosts_[1]->entry().name) {
      EXPECT_THAT(vault.findings, Contains(HasSubstr("retained shorter than the policy says")));
    } else {
      EXPECT_TRUE(vault.findings.empty()) << vault.vault << ": " << vault.findings.front();
    }
  }
}

}  // namespace
}  // namespace exclave::realm_tests
