#include "table/log_table.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "posix/file_system.h"
#include "posix/random.h"
#include "posix/threads.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::table {
namespace {

class LogTableTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Table>> open() { return open_log_table(files_, threads_, directory_); }
  std::string log_path() const { return scratch_ / "table.log"; }
  Bytes read_log() const {
    std::ifstream file(log_path(), std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  }
  void write_log(ByteView bytes) const {
    std::ofstream file(log_path(), std::ios::binary | std::ios::trunc);
    file.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
  }
  static Batch pair(int number) {
    Batch batch;
    batch.put(as_bytes("a" + std::to_string(number)), as_bytes("x"));
    batch.put(as_bytes("b" + std::to_string(number)), as_bytes("x"));
    return batch;
  }
  static std::string keys_of(const Table& table) {
    std::string keys;
    EXPECT_TRUE(table
                    .scan(KeyRange::all(),
                          [&](ByteView key, ByteView) -> Result<Visit> {
                            keys += as_text(key);
                            return Visit::Continue;
                          })
                    .ok());
    return keys;
  }

  posix::Random random_;
  posix::FileSystem files_{random_};
  posix::Threads threads_;
  conformance::ScratchDirectory scratch_{"log-table"};
  const std::string directory_ = scratch_.path();
};

TEST_F(LogTableTest, a_missing_directory_is_not_made) {
  const auto opened = open_log_table(files_, threads_, scratch_ / "missing");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::NotFound);
}

TEST_F(LogTableTest, a_log_cut_at_any_length_leaves_whole_batches_and_goes_on_from_there) {
  {
    const auto table = open().value();
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(table->write(pair(i), Durability::Buffered).ok());
  }
  const Bytes log = read_log();
  std::string last_keys;
  std::size_t states = 0;
  for (std::size_t size = 0; size <= log.size(); ++size) {
    write_log(ByteView(log).first(size));
    auto opened = open();
    if (size < 32) {  // the header had been durable before the file got its name
      ASSERT_FALSE(opened.ok());
      EXPECT_EQ(opened.error().code(), Code::Corrupt);
      continue;
    }
    ASSERT_TRUE(opened.ok()) << size << ": " << opened.error().message();
    const std::string keys = keys_of(*opened.value());
    ASSERT_TRUE(keys == "" || keys == "a1b1" || keys == "a1a2b1b2" || keys == "a1a2a3b1b2b3") << keys;
    states += keys != last_keys;
    last_keys = keys;
    // A torn end is gone for good: what is written next is found next time.
    ASSERT_TRUE(opened.value()->write(pair(9), Durability::Synced).ok());
    opened.value().reset();
    ASSERT_NE(keys_of(*open().value()).find("a9"), std::string::npos);
  }
  EXPECT_EQ(states, 3u);
  EXPECT_EQ(last_keys, "a1a2a3b1b2b3");
}

TEST_F(LogTableTest, damage_to_synced_batches_is_refused_and_the_log_is_left_for_inspection) {
  {
    const auto table = open().value();
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(table->write(pair(i), Durability::Synced).ok());
  }
  Bytes log = read_log();
  log[40] ^= 1;
  write_log(log);
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::Corrupt);
  EXPECT_NE(opened.error().message().find(directory_), std::string::npos);
  EXPECT_EQ(read_log(), log);
}

TEST_F(LogTableTest, a_log_of_a_later_version_is_not_touched) {
  open().value().reset();
  Bytes log = read_log();
  log[18] = '2';
  write_log(log);
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::Unsupported);
  EXPECT_EQ(read_log(), log);
}

TEST_F(LogTableTest, overwriting_again_and_again_does_not_grow_the_log) {
  {
    const auto table = open().value();
    for (int i = 0; i < 200; ++i) {
      Batch batch;
      batch.put(as_bytes("key"), Bytes(100'000, static_cast<Byte>(i)));
      ASSERT_TRUE(table->write(batch, Durability::Buffered).ok());
      ASSERT_LT(std::filesystem::file_size(log_path()), 1'300'000u);
    }
  }
  EXPECT_EQ(*open().value()->get(as_bytes("key")).value(), Bytes(100'000, Byte{199}));
}

TEST_F(LogTableTest, leftovers_of_a_crashed_rewriting_are_removed) {
  open().value().reset();
  std::ofstream(scratch_ / ".tmp-0123456789abcdef") << "half";
  open().value().reset();
  EXPECT_FALSE(std::filesystem::exists(scratch_ / ".tmp-0123456789abcdef"));
}

}  // namespace
}  // namespace exclave::table
