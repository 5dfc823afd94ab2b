#include "repo/dedup_index.h"

#include <gtest/gtest.h>

#include "sim/universe.h"
#include "table/log_table.h"

namespace exclave::repo {
namespace {

class DedupIndexTest : public ::testing::Test {
 protected:
  DedupIndexTest() {
    CHECK(env_.files.make_directories("/table", 0700).ok());
    table_ = table::open_log_table(env_.files, env_.threads, "/table").take();
    index_.emplace(DedupIndex::open(*table_).take());
  }
  static PackRecord pack_of(std::uint64_t number, std::size_t chunks) {
    PackRecord pack;
    store_u64(pack.name.mutable_view(), number);
    pack.size_class = 24;
    for (std::size_t i = 0; i < chunks; ++i) {
      format::ChunkEntry entry;
      store_u64(entry.id.mutable_view(), number * 1000 + i);
      entry.stored_bytes = 1;
      entry.plain_bytes = 1;
      format::append_entry(pack.directory, entry);
    }
    return pack;
  }
  // Numbers of the packs that come at once, until there are no more.
  std::vector<std::vector<std::uint64_t>> pages(std::size_t limit) {
    std::vector<std::vector<std::uint64_t>> all;
    std::uint64_t from = 0;
    while (true) {
      const auto some = index_->unindexed_packs(from, limit).take();
      if (some.packs.empty()) return all;
      all.emplace_back();
      for (const PackRecord& pack : some.packs) all.back().push_back(load_u64(pack.name.view()));
      CHECK(some.next > from);
      from = some.next;
    }
  }

  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("home").env();
  std::unique_ptr<table::Table> table_;
  std::optional<DedupIndex> index_;
};

TEST_F(DedupIndexTest, indexing_packs_needs_memory_for_one_object) {
  using Pages = std::vector<std::vector<std::uint64_t>>;
  EXPECT_EQ(pages(1000), Pages());
  for (std::uint64_t number = 1; number <= 5; ++number) {
    ASSERT_TRUE(index_->add_durable_pack(pack_of(number, number == 4 ? 100 : 10)).ok());
  }
  const std::size_t section = format::kIndexSectionHeaderBytes + 10 * format::kDirectoryEntryBytes;
  EXPECT_EQ(pages(2 * section), Pages({{1, 2}, {3}, {4}, {5}})) << "as many as fit, and one that fits nowhere alone";
  EXPECT_EQ(pages(2 * section - 1), Pages({{1}, {2}, {3}, {4}, {5}}));
  EXPECT_EQ(pages(1 << 24), Pages({{1, 2, 3, 4, 5}}));
  EXPECT_EQ(index_->unindexed_packs().take().size(), 5U);
  ASSERT_TRUE(index_->finish_snapshot({}, {format::ObjectReference{}}).ok());
  EXPECT_EQ(pages(1 << 24), Pages());
}

}  // namespace
}  // namespace exclave::repo
