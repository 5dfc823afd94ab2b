#include "repo/relied_entries.h"

#include <gtest/gtest.h>

#include "repo/dedup_index.h"
#include "sim/universe.h"
#include "table/log_table.h"

namespace exclave::repo {
namespace {

class ReliedEntriesTest : public ::testing::Test {
 protected:
  ReliedEntriesTest() {
    CHECK(env_.files.make_directories("/table", 0700).ok());
    table_ = table::open_log_table(env_.files, env_.threads, "/table").take();
  }
  static format::StreamId stream(std::uint64_t number) {
    format::StreamId id;
    store_u64(id.mutable_view(), number);
    return id;
  }

  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("home").env();
  std::unique_ptr<table::Table> table_;
};

TEST_F(ReliedEntriesTest, what_is_relied_on_of_a_stream_never_goes_back) {
  EXPECT_EQ(relied_in(*table_).take(), ReliedEntries());
  for (const std::uint64_t entries : {2U, 9U, 4U}) ASSERT_TRUE(rely_on(*table_, stream(1), entries).ok());
  ASSERT_TRUE(rely_on(*table_, stream(2), 1).ok());
  EXPECT_EQ(relied_in(*table_).take(), (ReliedEntries{{stream(1), 9}, {stream(2), 1}}));
}

TEST_F(ReliedEntriesTest, rows_of_the_dedup_index_are_none_of_its_own_nor_the_other_way_round) {
  DedupIndex index = DedupIndex::open(*table_).take();
  PackRecord pack;
  pack.directory.assign(format::kDirectoryEntryBytes, Byte{'e'});
  ASSERT_TRUE(index.add_durable_pack(pack).ok());
  ASSERT_TRUE(index.take_start(7).ok());
  ASSERT_TRUE(rely_on(*table_, stream(1), 3).ok());
  EXPECT_EQ(relied_in(*table_).take(), (ReliedEntries{{stream(1), 3}}));
  EXPECT_TRUE(index.receipts().take().empty());
  EXPECT_EQ(index.unindexed_packs().take().size(), 1U);
}

TEST_F(ReliedEntriesTest, a_damaged_row_is_an_error_and_not_nothing) {
  for (const auto& [key, value] : {std::pair<std::string, std::string>{"e short", "12345678"},
                                   {"e" + std::string(format::StreamId::kSize, 'x'), "1234567"}}) {
    table::Batch damage;
    damage.put(as_bytes(key), as_bytes(value));
    ASSERT_TRUE(table_->write(damage, table::Durability::Buffered).ok());
    const auto relied = relied_in(*table_);
    ASSERT_FALSE(relied.ok());
    EXPECT_EQ(relied.error().code(), Code::Corrupt);
    damage.clear();
    damage.erase(as_bytes(key));
    ASSERT_TRUE(table_->write(damage, table::Durability::Buffered).ok());
  }
}

}  // namespace
}  // namespace exclave::repo
