#include "engine/dataset_finder.h"

#include <gtest/gtest.h>

namespace exclave::engine {
namespace {

// Snapshots 0, 1, 2, ... in the order in which they were taken.
RegistryHoldings holdings_of(std::uint64_t count) {
  RegistryHoldings holdings;
  for (std::uint64_t i = 0; i < count; ++i) {
    FoundSnapshot snapshot;
    store_u64(snapshot.object.name.mutable_view(), i);
    store_u64(snapshot.start.mutable_view(), i);
    holdings.snapshots.push_back(std::move(snapshot));
  }
  return holdings;
}
std::uint64_t number_of(const FoundSnapshot& snapshot) {
  return load_u64(snapshot.object.name.view());
}

TEST(DatasetFinder, a_rare_dataset_is_found_behind_many_others) {
  auto holdings = holdings_of(1000);
  const auto tell = [](const FoundSnapshot& snapshot) -> Result<std::string> {
    return std::string(number_of(snapshot) < 3 ? "rare" : "common");
  };
  const auto found = keep_latest_of_dataset(holdings, "rare", tell);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found.value().others, std::vector<std::string>{"common"});
  EXPECT_EQ(number_of(choose_snapshot(holdings, "latest").value()), 2U);
}

TEST(DatasetFinder, the_newest_snapshots_dataset_is_taken_and_only_a_few_more_are_opened) {
  auto holdings = holdings_of(1000);
  std::size_t opened = 0;
  const auto tell = [&](const FoundSnapshot& snapshot) -> Result<std::string> {
    ++opened;
    return std::string(number_of(snapshot) % 2 == 1 ? "odd" : "even");
  };
  const auto found = keep_latest_of_dataset(holdings, "", tell);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().dataset, "odd");
  EXPECT_EQ(found.value().others, std::vector<std::string>{"even"});
  EXPECT_EQ(number_of(choose_snapshot(holdings, "latest").value()), 999U);
  EXPECT_LE(opened, 1 + kLooksForOthers);
}

TEST(DatasetFinder, a_dataset_that_is_named_is_not_looked_past) {
  auto holdings = holdings_of(1000);
  std::size_t opened = 0;
  const auto tell = [&](const FoundSnapshot&) -> Result<std::string> {
    ++opened;
    return std::string("only");
  };
  ASSERT_TRUE(keep_latest_of_dataset(holdings, "only", tell).ok());
  EXPECT_EQ(opened, 1U);
}

TEST(DatasetFinder, one_that_cannot_be_opened_is_not_passed_over) {
  for (const std::string wanted : {"", "files"}) {
    auto holdings = holdings_of(1000);
    const auto tell = [](const FoundSnapshot& snapshot) -> Result<std::string> {
      if (number_of(snapshot) == 998) return Error(Code::Corrupt, "its bytes were altered");
      return std::string(number_of(snapshot) == 999 ? "other" : "files");
    };
    ASSERT_TRUE(keep_latest_of_dataset(holdings, wanted, tell).ok());
    const auto chosen = choose_snapshot(holdings, "latest");
    if (wanted.empty()) {
      EXPECT_EQ(number_of(chosen.value()), 999U) << "the lost one is older";
    } else {
      ASSERT_FALSE(chosen.ok());
      EXPECT_EQ(chosen.error().code(), Code::Corrupt);
    }
  }
}

TEST(DatasetFinder, hosts_that_withhold_everything_are_not_asked_for_everything) {
  auto holdings = holdings_of(100'000);
  std::size_t opened = 0;
  const auto tell = [&](const FoundSnapshot&) -> Result<std::string> {
    ++opened;
    return Error(Code::Unavailable, "no route");
  };
  const auto found = keep_latest_of_dataset(holdings, "", tell);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), Code::Unavailable);
  EXPECT_LE(opened, 1 + kLooksPastLost);
}

TEST(DatasetFinder, a_dataset_that_is_not_there_is_not_found_and_the_others_are_named) {
  auto holdings = holdings_of(300);
  const auto found = keep_latest_of_dataset(
      holdings, "none", [](const FoundSnapshot&) -> Result<std::string> { return std::string("files"); });
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), Code::NotFound);
  EXPECT_NE(found.error().hint_text().find("files"), std::string::npos);
}

TEST(DatasetFinder, what_vaults_that_do_not_answer_may_hold_is_not_called_missing) {
  auto holdings = holdings_of(3);
  holdings.is_whole = false;
  holdings.unreachable = {"lux: connection refused", "oslo: no route"};
  const auto found = keep_latest_of_dataset(
      holdings, "none", [](const FoundSnapshot&) -> Result<std::string> { return std::string("files"); });
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code(), Code::Unavailable);
  EXPECT_EQ(found.error().message(),
            "the released periods hold no snapshot of dataset 'none'; but vaults that do not answer may hold it (lux: "
            "connection refused; oslo: no route)");
  EXPECT_EQ(choose_snapshot(holdings, "ffff").error().code(), Code::Unavailable);
}

}  // namespace
}  // namespace exclave::engine
