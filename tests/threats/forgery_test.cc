// A host that writes history itself: what it has is every public key of the realm, and a vault of its own.
// Mechanism: find_holdings and verify_holdings believe a stream only with the signature of a writer whom the policy
// pins (engine::PinnedRegistry::is_own). A period's sealing keys are public, so that every other check passes.
#include <gmock/gmock.h>

#include "engine/verify.h"
#include "tests/realm/posix_realm.h"

namespace exclave::realm_tests {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class Forgery : public PosixRealm {
 protected:
  Forgery() {
    write("deed", "the land belongs to Ada");
    let_time_pass();
    genuine_ = capture().snapshot;
    write("deed", "the land belongs to the forger");
    let_time_pass();
    forged_ = forge();
    // The site asks two honest vaults, and the forger's machine in the place of est.
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      VaultHost& host = i == 1 ? *forgers_hosts_[i] : *hosts_[i];
      doors_.push_back(std::make_unique<TapVault>(host.door(keys().site())));
    }
  }

  // A capture of the forger's tree, sealed to the realm's own periods, at vaults that do as he likes.
  format::ObjectName forge() {
    CHECK(forged_keys().policy().realm == keys().policy().realm);
    CHECK(forged_keys().era().text() == keys().era().text());
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      forgers_hosts_.push_back(std::make_unique<VaultHost>(env(), at("forger" + std::to_string(i)), forged_keys(), i));
      forgers_doors_.push_back(std::make_unique<TapVault>(forgers_hosts_.back()->door(forged_keys().writer())));
    }
    Agent agent(env(), at("forgers-agent"), forged_keys(), pointers(forgers_doors_));
    return must(agent.capture(source())).snapshot;
  }
  // The realm as the forger wishes it: the same era, vaults and officials, and a writer whose key is his.
  static const RealmKeys& forged_keys() {
    static const RealmKeys made(keys().era().starts_seconds + 3 * 86'400, RealmPlan{.writer = "writer forger"});
    return made;
  }

  format::ObjectName genuine_;
  format::ObjectName forged_;
  std::vector<std::unique_ptr<VaultHost>> forgers_hosts_;
  std::vector<std::unique_ptr<TapVault>> forgers_doors_;
  std::vector<std::unique_ptr<TapVault>> doors_;
};

TEST_F(Forgery, H10_a_snapshot_that_no_pinned_writer_signed_is_neither_shown_nor_restored) {
  Site site(env(), keys(), pointers(doors_));
  const auto holdings = must(site.holdings());
  EXPECT_THAT(holdings.problems, Contains(HasSubstr("vault est shows stream")));
  ASSERT_EQ(holdings.snapshots.size(), 1U);
  EXPECT_EQ(must(engine::choose_snapshot(holdings, "latest")).object.name, genuine_);
  EXPECT_TRUE(failed_with(site.restore(forged_, at("forged")), Code::NotFound));
  EXPECT_TRUE(is_ok(site.restore(genuine_, at("genuine"))));
  EXPECT_EQ(as_text(must(files().read_file(at("genuine/deed"), 100))), "the land belongs to Ada");
}

TEST_F(Forgery, H10_verify_names_the_vault_that_shows_a_forged_stream) {
  const auto verdict =
      must(engine::verify_holdings(env_, keys().pinned(), pointers(doors_), engine::Reading::HeadersOnly, {}));
  EXPECT_TRUE(verdict.is_damaged());
  for (const auto& vault : verdict.vaults) {
    const bool is_named = std::any_of(vault.findings.begin(), vault.findings.end(), [](const std::string& finding) {
      return finding.find("no writer of this registry signed it") != std::string::npos;
    });
    EXPECT_EQ(is_named, vault.vault == "est") << vault.vault;
  }
}

// What opens a snapshot follows from its period: who could name a later one would hide the latest from a release.
using Retold = PosixRealm;

TEST_F(Retold, H10_a_vault_that_says_another_period_of_a_snapshot_is_refuted_by_its_bytes_and_believed_no_more) {
  std::vector<format::ObjectName> taken;
  for (const std::string_view words : {"one", "two", "three"}) {
    write("deed", words);
    let_time_pass();
    taken.push_back(capture().snapshot);
  }
  site_taps_[0]->retells = [](store::HeldEntry& held) { held.period = format::PeriodNumber(5); };
  const std::uint64_t reads = site_taps_[0]->reads + site_taps_[1]->reads + site_taps_[2]->reads;
  const auto holdings = must(site().holdings());
  EXPECT_LE(site_taps_[0]->reads + site_taps_[1]->reads + site_taps_[2]->reads - reads, 1U) << "one was enough";
  ASSERT_EQ(holdings.problems.size(), 1U);
  EXPECT_THAT(holdings.problems.front(), HasSubstr("vault " + site_taps_[0]->name() + " says of snapshot"));
  ASSERT_EQ(holdings.snapshots.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(holdings.snapshots[i].object.name, taken[i]);
    EXPECT_EQ(holdings.snapshots[i].object.period, format::PeriodNumber(0));
  }
}

TEST_F(Retold, H9_verify_reads_no_more_than_an_object_can_be) {
  write("deed", "words");
  let_time_pass();
  capture();
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 33;
  site_taps_[0]->pretended_bytes = kHuge;
  site_taps_[0]->retells = [](store::HeldEntry& held) { held.object_bytes = kHuge; };
  const std::uint64_t reads = site_taps_[0]->reads;
  const auto verdict =
      must(engine::verify_holdings(env_, keys().pinned(), pointers(site_taps_), engine::Reading::EveryByte, {}));
  EXPECT_LE(site_taps_[0]->reads - reads, 17U) << "one object is looked at to see who is right";
  EXPECT_THAT(verdict.vaults[0].findings, Contains(HasSubstr("as no object can have")));
  EXPECT_TRUE(verdict.vaults[1].findings.empty());
}

TEST_F(Retold, H3_a_latest_snapshot_that_no_vault_gives_out_is_not_passed_over) {
  write("deed", "older");
  let_time_pass();
  capture();
  write("deed", "newer");
  let_time_pass();
  const auto latest = capture().snapshot;
  auto holdings = must(site().holdings());
  const std::uint64_t reads = site_taps_[0]->reads + site_taps_[1]->reads + site_taps_[2]->reads;
  engine::confirm_latest(holdings);
  EXPECT_EQ(site_taps_[0]->reads + site_taps_[1]->reads + site_taps_[2]->reads - reads, 1U);
  EXPECT_EQ(must(engine::choose_snapshot(holdings, "latest")).object.name, latest);
  for (const auto& tap : site_taps_) tap->loses = [latest](const auto& name) { return name == latest; };
  engine::confirm_latest(holdings);
  EXPECT_TRUE(failed_with(engine::choose_snapshot(holdings, "latest"), Code::NotFound));
}

}  // namespace
}  // namespace exclave::realm_tests
