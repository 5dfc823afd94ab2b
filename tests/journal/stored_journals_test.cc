// Journals that home has forgotten: whether the vaults still hold them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/stored_check.h"
#include "tests/journal/journal_case.h"

namespace exclave::journal_tests {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kSegments = 3;

class StoredJournals : public JournalTest {
 protected:
  using AtHome = std::set<std::uint64_t>;

  // A journal that every vault has whole.
  void write_journal(JournalBench& bench) {
    auto writer = bench.open_writer();
    std::uint64_t next = 0;
    for (std::uint64_t segment = 1; segment <= kSegments; ++segment) {
      append(*writer, next, 2);
      if (segment < kSegments) must(writer->roll());
    }
    must(writer->finish(bench.in(1min)));
    for (std::size_t i = 0; i < JournalBench::kVaults; ++i)
      ASSERT_EQ(bench.objects_at(i, "first").size(), kSegments) << "the test's own premise";
  }
  static std::uint64_t place() { return load_u64(JournalBench::stream_named("first").descriptor.start.view()); }
  // The same keys and acts, and nothing else.
  void replace_disk(JournalBench& bench, std::size_t i) {
    new_hosts_.push_back(
        std::make_unique<VaultHost>(bench.env(), "/new-vault-" + std::to_string(new_hosts_.size()), keys(), i));
    bench.door(i).replace(new_hosts_.back()->door(keys().writer()));
  }
  static engine::StoredCheck check(
      JournalBench& bench, std::function<std::optional<AtHome>()> at_home = [] { return AtHome(); }) {
    engine::StoredMemory memory;
    memory.journals_at_home = std::move(at_home);
    return engine::check_stored(keys().pinned(), format::EraNumber(1), memory, bench.vaults());
  }
  static const std::string& name_of(std::size_t vault) { return keys().policy().vaults[vault].name; }

  void run(const std::function<void(JournalBench&)>& body) {
    JournalTest::run([&](JournalBench& bench) {
      write_journal(bench);
      body(bench);
      new_hosts_.clear();
    });
  }

 private:
  std::vector<std::unique_ptr<VaultHost>> new_hosts_;
};

TEST_F(StoredJournals, nothing_is_endangered_while_every_vault_shows_all) {
  run([](JournalBench& bench) {
    const auto stored = check(bench);
    EXPECT_EQ(stored.endangered_segments, 0U);
    EXPECT_THAT(stored.lacking_segments, IsEmpty());
  });
}

TEST_F(StoredJournals, L1_log_that_a_replaced_vault_lacks_is_named_and_endangered_once_fewer_than_k_have_it) {
  run([this](JournalBench& bench) {
    replace_disk(bench, 1);
    EXPECT_EQ(check(bench).endangered_segments, 0U) << "two of three hold it";
    EXPECT_THAT(check(bench).lacking_segments, ElementsAre(name_of(1)));
    replace_disk(bench, 2);
    const auto stored = check(bench);
    EXPECT_EQ(stored.endangered_segments, kSegments);
    EXPECT_THAT(stored.showing_segments, ElementsAre(name_of(0)));
    EXPECT_THAT(stored.lacking_segments, ::testing::UnorderedElementsAre(name_of(1), name_of(2)));
    EXPECT_EQ(stored.endangered, 0U) << "no capture's objects";
    EXPECT_THAT(stored.lacking, IsEmpty());
  });
}

TEST_F(StoredJournals, a_silent_vault_is_not_known_to_have_lost_log) {
  run([this](JournalBench& bench) {
    replace_disk(bench, 1);
    bench.door(2).is_shut = true;
    EXPECT_EQ(check(bench).endangered_segments, 0U);
    EXPECT_THAT(check(bench).lacking_segments, ElementsAre(name_of(1)));
    bench.door(0).is_shut = true;
    bench.door(1).is_shut = true;
    EXPECT_EQ(check(bench).endangered_segments, 0U);
    EXPECT_THAT(check(bench).lacking_segments, IsEmpty());
  });
}

TEST_F(StoredJournals, a_journal_that_lies_in_a_spool_is_no_concern) {
  run([this](JournalBench& bench) {
    for (const std::size_t vault : {1U, 2U}) replace_disk(bench, vault);
    EXPECT_EQ(check(bench, [] { return AtHome{place()}; }).endangered_segments, 0U);
    EXPECT_EQ(check(bench, [] { return AtHome{place() + 1}; }).endangered_segments, kSegments);
    // Begun, or ended, while the vaults were asked.
    for (const int when : {0, 1}) {
      int calls = 0;
      EXPECT_EQ(check(bench, [&] { return calls++ == when ? AtHome{place()} : AtHome(); }).endangered_segments, 0U);
      EXPECT_EQ(calls, 2);
    }
    EXPECT_TRUE(check(bench).are_journals_known);
    EXPECT_FALSE(check(bench, [] { return std::nullopt; }).are_journals_known);
    EXPECT_EQ(check(bench, nullptr).endangered_segments, 0U) << "nobody asked";
  });
}

// Home may not read entries: whose word it is, it can tell.
TEST_F(StoredJournals, a_vault_that_alone_shows_more_is_named_in_the_alarm) {
  run([](JournalBench& bench) {
    bench.door(0).retells_heads = [](std::vector<store::StreamHead>& heads) {
      for (store::StreamHead& head : heads) head.receipt->receipt.index = format::EntryIndex(kSegments + 4);
    };
    const auto stored = check(bench);
    EXPECT_EQ(stored.endangered_segments, 5U);
    EXPECT_THAT(stored.showing_segments, ElementsAre(name_of(0)));
  });
}

TEST_F(StoredJournals, a_vault_that_signs_nothing_just_now_has_not_lost_its_log) {
  run([](JournalBench& bench) {
    for (const std::size_t vault : {1U, 2U}) {
      bench.door(vault).retells_heads = [](std::vector<store::StreamHead>& heads) {
        for (store::StreamHead& head : heads) head.receipt.reset();
      };
    }
    EXPECT_EQ(check(bench).endangered_segments, 0U);
    EXPECT_THAT(check(bench).lacking_segments, IsEmpty());
  });
}

TEST_F(StoredJournals, journals_of_another_era_are_not_looked_at) {
  run([this](JournalBench& bench) {
    for (const std::size_t vault : {1U, 2U}) replace_disk(bench, vault);
    engine::StoredMemory memory;
    memory.journals_at_home = [] { return AtHome(); };
    const auto stored = engine::check_stored(keys().pinned(), format::EraNumber(2), memory, bench.vaults());
    EXPECT_EQ(stored.endangered_segments, 0U);
  });
}

}  // namespace
}  // namespace exclave::journal_tests
