#include "vault/records.h"

#include <gtest/gtest.h>

#include "sim/universe.h"
#include "table/log_table.h"

namespace exclave::vault {
namespace {

// A vault's table in which a test can put what no vault writes.
class RecordsTest : public ::testing::Test {
 protected:
  RecordsTest() {
    CHECK(env_.files.make_directories("/t", 0700).ok());
    table_ = table::open_log_table(env_.files, env_.threads, "/t").take();
  }
  void put(std::string_view key, ByteView value) {
    table::Batch batch;
    batch.put(as_bytes(key), value);
    CHECK(table_->write(batch, table::Durability::Buffered).ok());
  }
  template <typename T>
  Code code_of(const Result<T>& result) {
    return result.ok() ? Code::Bug : result.error().code();
  }

  sim::Universe universe_{1};
  env::Env env_ = universe_.machine("lux").env();
  std::unique_ptr<table::Table> table_;
};

TEST_F(RecordsTest, a_count_with_bytes_behind_it_is_corrupt) {
  Records records(*table_);
  put("n", Bytes(8, 1));
  ASSERT_TRUE(records.object_count().ok());
  put("n", Bytes(9, 1));
  ASSERT_FALSE(records.object_count().ok());
  EXPECT_EQ(records.object_count().error().code(), Code::Corrupt);
}

TEST_F(RecordsTest, a_signed_document_that_does_not_parse_is_corrupt_and_no_fault_of_who_asks) {
  Records records(*table_);
  const std::string stream(format::StreamId::kSize, '\0');
  const std::string vault(crypto::Ed25519PublicKey::kSize, '\0');
  const std::string object(format::ObjectName::kSize, '\0');
  put("s" + stream, as_bytes("no document"));
  put("m" + stream + std::string(8, '\0'), as_bytes("no document"));
  put("w" + vault + object, as_bytes("no document"));
  EXPECT_EQ(code_of(records.stream({})), Code::Corrupt);
  EXPECT_EQ(code_of(records.mark({})), Code::Corrupt);
  EXPECT_EQ(code_of(records.reading({}, {})), Code::Corrupt);
}

TEST_F(RecordsTest, keys_of_another_length_are_corrupt_and_not_read_beyond_their_end) {
  Records records(*table_);
  const auto any_stream = [](const format::StreamId&) -> Result<table::Visit> { return table::Visit::Continue; };
  const auto any_entry = [](format::EntryIndex, const EntryRow&) -> Result<table::Visit> {
    return table::Visit::Continue;
  };
  ASSERT_TRUE(records.scan_streams({}, {}, any_stream).ok());
  put("r" + std::string(format::RegistryId::kSize, '\0') + "\xff", {});
  EXPECT_EQ(code_of(records.scan_streams({}, {}, any_stream)), Code::Corrupt);
  put("o" + std::string(format::ObjectName::kSize, '\0') + "\xff", Bytes(40));
  EXPECT_EQ(code_of(records.scan_objects({},
                                         [](const format::ObjectName&, const ObjectRow&) -> Result<table::Visit> {
                                           return table::Visit::Continue;
                                         })),
            Code::Corrupt);
  const auto any_segment = [](const format::SegmentPlace&, const SegmentRow&) -> Result<table::Visit> {
    return table::Visit::Continue;
  };
  put("j" + std::string(format::StreamId::kSize + 7, '\0'), Bytes(25));
  EXPECT_EQ(code_of(records.scan_segments(any_segment)), Code::Corrupt);
  put("p", Bytes(24));
  EXPECT_EQ(code_of(records.scan_readers([](const crypto::Ed25519PublicKey&, const ReaderRow&) -> Result<table::Visit> {
              return table::Visit::Continue;
            })),
            Code::Corrupt);
  put("e" + std::string(format::StreamId::kSize, '\0') + "\xff", Bytes(132));
  EXPECT_EQ(code_of(records.scan_entries({}, {}, any_entry)), Code::Corrupt);
}

}  // namespace
}  // namespace exclave::vault
