#include "table/rocksdb_table.h"

#include <gtest/gtest.h>
#include <rocksdb/iostats_context.h>
#include <rocksdb/perf_level.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/conformance/scratch_directory.h"

namespace exclave::table {
namespace {

class RocksdbTableTest : public ::testing::Test {
 protected:
  void fill(Table& table, int keys) const {
    for (int i = 0; i < keys; ++i) {
      Batch batch;
      batch.put(as_bytes("key" + std::to_string(i)), Bytes(1000, static_cast<Byte>(i)));
      ASSERT_TRUE(table.write(batch, Durability::Buffered).ok());
    }
  }
  std::vector<std::filesystem::path> files_with(std::string_view part) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (entry.path().filename().string().find(part) != std::string::npos) found.push_back(entry.path());
    }
    return found;
  }
  static void change_byte_in_the_middle(const std::filesystem::path& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(path) / 2);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 0x40));
  }

  conformance::ScratchDirectory scratch_{"rocksdb"};
  const std::string directory_ = scratch_.path();
};

TEST_F(RocksdbTableTest, a_missing_directory_is_not_made) {
  const auto opened = open_rocksdb(scratch_ / "missing");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::NotFound);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "missing"));
}

TEST_F(RocksdbTableTest, who_looks_sees_what_was_written_and_takes_the_table_from_nobody) {
  const auto none = open_rocksdb_to_look(directory_);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), Code::NotFound);
  EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "nor is one made";

  const auto written = open_rocksdb(directory_);
  ASSERT_TRUE(written.ok());
  fill(*written.value(), 300);
  ASSERT_TRUE(written.value()->flush().ok());
  fill(*written.value(), 301);  // the last one only in the log
  ASSERT_TRUE(written.value()->write({}, Durability::Synced).ok());
  const auto files = files_with("");
  {
    const auto looked = open_rocksdb_to_look(directory_);
    ASSERT_TRUE(looked.ok()) << looked.error().message();
    fill(*written.value(), 302);
    const auto has = [&](int key) {
      return looked.value()->get(as_bytes("key" + std::to_string(key))).value().has_value();
    };
    EXPECT_TRUE(has(299));
    EXPECT_TRUE(has(300));
    EXPECT_FALSE(has(301)) << "it came later";
    ASSERT_TRUE(written.value()->write({}, Durability::Synced).ok());
  }
  EXPECT_EQ(files_with(""), files) << "nothing was made, nothing was removed";
  ASSERT_TRUE(written.value()->flush().ok());
}

TEST_F(RocksdbTableTest, who_looks_at_a_damaged_table_is_told_and_leaves_it_as_it_is) {
  { fill(*open_rocksdb(directory_).value(), 3); }
  std::filesystem::remove(files_with("MANIFEST").at(0));
  const auto looked = open_rocksdb_to_look(directory_);
  ASSERT_FALSE(looked.ok());
  EXPECT_EQ(looked.error().code(), Code::Corrupt) << looked.error().message();
}

TEST_F(RocksdbTableTest, a_changed_byte_in_a_table_file_is_corruption_and_never_another_value) {
  fill(*open_rocksdb(directory_).value(), 500);
  open_rocksdb(directory_).value().reset();  // reopening moves the log's content to a table file
  const auto tables = files_with(".sst");
  ASSERT_FALSE(tables.empty());
  change_byte_in_the_middle(tables.front());
  const auto table = open_rocksdb(directory_).value();
  int corrupt = 0;
  for (int i = 0; i < 500; ++i) {
    const auto value = table->get(as_bytes("key" + std::to_string(i)));
    if (value.ok()) {
      ASSERT_TRUE(value.value().has_value());
      EXPECT_EQ(*value.value(), Bytes(1000, static_cast<Byte>(i)));
    } else {
      EXPECT_EQ(value.error().code(), Code::Corrupt) << value.error().message();
      ++corrupt;
    }
  }
  EXPECT_GT(corrupt, 0);
  EXPECT_LT(corrupt, 20);
  const Status scanned =
      table->scan(KeyRange::all(), [](ByteView, ByteView) -> Result<Visit> { return Visit::Continue; });
  ASSERT_FALSE(scanned.ok());
  EXPECT_EQ(scanned.error().code(), Code::Corrupt);
}

TEST_F(RocksdbTableTest, a_lost_table_file_is_corruption) {
  fill(*open_rocksdb(directory_).value(), 500);
  open_rocksdb(directory_).value().reset();
  std::filesystem::remove(files_with(".sst").front());
  const auto opened = open_rocksdb(directory_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::Corrupt) << opened.error().message();
}

TEST_F(RocksdbTableTest, a_table_without_CURRENT_is_corrupt_at_the_second_start_too) {
  fill(*open_rocksdb(directory_).value(), 500);
  open_rocksdb(directory_).value().reset();
  const std::string current = scratch_ / "CURRENT";
  const std::string kept = directory_ + "-CURRENT";
  std::filesystem::rename(current, kept);
  const auto tables = files_with(".sst");
  ASSERT_FALSE(tables.empty());
  for (int start = 1; start <= 2; ++start) {
    const auto opened = open_rocksdb(directory_);
    ASSERT_FALSE(opened.ok()) << "start " << start;
    EXPECT_EQ(opened.error().code(), Code::Corrupt) << opened.error().message();
    EXPECT_EQ(files_with(".sst"), tables) << "nothing is tidied away";
    EXPECT_FALSE(std::filesystem::exists(current));
  }
  std::filesystem::rename(kept, current);
  EXPECT_TRUE(open_rocksdb(directory_).value()->get(as_bytes("key499")).value().has_value());
}

// The files that RocksDB makes before CURRENT: it died there, and nothing was ever promised.
TEST_F(RocksdbTableTest, a_creation_that_died_before_CURRENT_is_begun_again) {
  open_rocksdb(directory_).value().reset();
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    const std::string name = entry.path().filename().string();
    if (name != "LOCK" && name != "IDENTITY") std::filesystem::remove(entry.path());
  }
  std::ofstream(scratch_ / "MANIFEST-000001") << "half a";
  std::ofstream(scratch_ / "000001.dbtmp") << "MANI";
  EXPECT_TRUE(open_rocksdb(directory_).ok());
}

// What a sync costs is counted by RocksDB where it makes the call, in the thread that waits for it.
TEST_F(RocksdbTableTest, what_is_written_to_be_synced_is_synced_before_the_write_returns) {
  const auto table = open_rocksdb(directory_).value();
  Batch batch;
  batch.put(as_bytes("key"), as_bytes("value"));
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableTimeExceptForMutex);
  const auto has_synced = [&](const Batch& written, Durability durability) {
    rocksdb::get_iostats_context()->Reset();
    EXPECT_TRUE(table->write(written, durability).ok());
    return rocksdb::get_iostats_context()->fsync_nanos > 0;
  };
  EXPECT_TRUE(has_synced(batch, Durability::Synced));
  EXPECT_FALSE(has_synced(batch, Durability::Buffered));
  EXPECT_TRUE(has_synced({}, Durability::Synced)) << "it makes durable what was buffered before";
  EXPECT_FALSE(has_synced({}, Durability::Buffered));
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
}

TEST_F(RocksdbTableTest, damage_to_the_log_takes_nothing_back_that_was_flushed_or_closed) {
  const auto put_one = [](Table& table, std::string_view key) {
    Batch batch;
    batch.put(as_bytes(key), as_bytes("value"));
    ASSERT_TRUE(table.write(batch, Durability::Synced).ok());
  };
  const std::string copy = directory_ + "-copy";
  {
    const auto table = open_rocksdb(directory_).value();
    put_one(*table, "flushed");
    ASSERT_TRUE(table->flush().ok());
    std::filesystem::copy(directory_, copy);  // as after a kill
    put_one(*table, "closed");
  }
  for (const std::string& directory : {copy, directory_}) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (entry.path().extension() == ".log") std::filesystem::resize_file(entry.path(), 0);
    }
    const auto table = open_rocksdb(directory).value();
    EXPECT_TRUE(table->get(as_bytes("flushed")).value().has_value());
    EXPECT_EQ(table->get(as_bytes("closed")).value().has_value(), directory == directory_);
  }
  std::filesystem::remove_all(copy);
}

TEST_F(RocksdbTableTest, a_log_cut_at_many_lengths_leaves_a_first_part_of_the_batches) {
  constexpr int kBatches = 12;
  const std::string killed = directory_ + "-killed";
  {
    const auto table = open_rocksdb(directory_).value();
    for (int i = 0; i < kBatches; ++i) {
      Batch batch;
      batch.put(as_bytes("a" + std::to_string(100 + i)), as_bytes("x"));
      batch.put(as_bytes("b" + std::to_string(100 + i)), as_bytes("x"));
      ASSERT_TRUE(table->write(batch, Durability::Buffered).ok());
    }
    std::filesystem::copy(directory_, killed);  // before closing, which would empty the log
  }
  std::filesystem::remove_all(directory_);
  std::filesystem::rename(killed, directory_);
  const auto logs = files_with(".log");
  ASSERT_EQ(logs.size(), 1u);
  const auto full = std::filesystem::file_size(logs.front());
  ASSERT_GT(full, 29U * kBatches);
  std::size_t seen_before = 0;
  for (std::uintmax_t size = 0; size <= full; size += 29) {
    const std::string copy = directory_ + "-cut";
    std::filesystem::copy(directory_, copy);
    std::filesystem::resize_file(copy / logs.front().filename(), size);
    std::vector<std::string> keys;
    {
      const auto table = open_rocksdb(copy).value();
      const Status scanned = table->scan(KeyRange::all(), [&](ByteView key, ByteView) -> Result<Visit> {
        keys.emplace_back(as_text(key));
        return Visit::Continue;
      });
      ASSERT_TRUE(scanned.ok());
    }
    ASSERT_EQ(keys.size() % 2, 0u) << size;
    const std::size_t batches = keys.size() / 2;
    for (std::size_t i = 0; i < batches; ++i) {
      EXPECT_EQ(keys[i], "a" + std::to_string(100 + i));
      EXPECT_EQ(keys[batches + i], "b" + std::to_string(100 + i));
    }
    EXPECT_GE(batches, seen_before);
    seen_before = batches;
    std::filesystem::remove_all(copy);
  }
  EXPECT_GE(seen_before, static_cast<std::size_t>(kBatches - 1));
}

// Lets files grow to `bytes` and no further, as a full disk does: writes beyond fail with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    CHECK(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    static_cast<void>(::setrlimit(RLIMIT_FSIZE, &before_));
    static_cast<void>(::signal(SIGXFSZ, handler_));
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  sighandler_t handler_ = nullptr;
};

Status put(Table& table, std::string_view key) {
  Batch batch;
  batch.put(as_bytes(key), as_bytes("value"));
  return table.write(batch, Durability::Synced);
}

bool holds(Table& table, std::string_view key) {
  const auto value = table.get(as_bytes(key));
  EXPECT_TRUE(value.ok());
  return value.ok() && value.value().has_value();
}

// The batch may have been made of what the table was before the failed one came back.
void expect_refused_once(Table& table) {
  EXPECT_FALSE(table.settled().ok());
  const Status refused = put(table, "made of what was before");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Unavailable);
  EXPECT_NE(refused.error().message().find("opened anew"), std::string::npos) << refused.error().message();
  EXPECT_TRUE(table.settled().ok());
  EXPECT_FALSE(holds(table, "made of what was before"));
}

TEST_F(RocksdbTableTest, a_disk_that_failed_and_works_again_is_written_to_without_a_restart) {
  const auto table = open_rocksdb(directory_).value();
  ASSERT_TRUE(put(*table, "before").ok());
  {
    const FileSizeLimit full(1);
    EXPECT_FALSE(put(*table, "refused").ok());
    EXPECT_TRUE(holds(*table, "before"));
  }
  expect_refused_once(*table);
  ASSERT_TRUE(put(*table, "after").ok());
  EXPECT_TRUE(holds(*table, "before"));
  EXPECT_TRUE(holds(*table, "after"));
}

TEST_F(RocksdbTableTest, every_batch_made_of_what_was_before_is_refused_once_it_was_opened_anew) {
  const auto table = open_rocksdb(directory_).value();
  ASSERT_TRUE(put(*table, "before").ok());
  Batch late;  // of somebody who read before the failure, and writes after the others
  late.made_of(table->generation());
  late.put(as_bytes("late"), as_bytes("value"));
  {
    const FileSizeLimit full(1);
    EXPECT_FALSE(put(*table, "refused").ok());
  }
  expect_refused_once(*table);
  ASSERT_TRUE(put(*table, "after").ok());
  const Status refused = table->write(late, Durability::Synced);
  EXPECT_EQ(refused.error().code(), Code::Unavailable);
  EXPECT_FALSE(holds(*table, "late"));
  late.made_of(table->generation());
  EXPECT_TRUE(table->write(late, Durability::Synced).ok());
  EXPECT_TRUE(holds(*table, "late"));
}

TEST_F(RocksdbTableTest, while_the_disk_is_full_writes_say_so_and_reads_go_on) {
  auto table = open_rocksdb(directory_).value();
  ASSERT_TRUE(put(*table, "before").ok());
  {
    const FileSizeLimit full(1);
    for (int i = 0; i < 3; ++i) {
      const Status refused = put(*table, "refused");
      ASSERT_FALSE(refused.ok());
      EXPECT_NE(refused.error().message().find("File too large"), std::string::npos) << refused.error().message();
      EXPECT_FALSE(table->settled().ok()) << "what is read may be in memory alone";
      EXPECT_TRUE(holds(*table, "before"));
    }
  }
  expect_refused_once(*table);
  ASSERT_TRUE(put(*table, "after").ok());
  table.reset();
  table = open_rocksdb(directory_).value();
  EXPECT_TRUE(holds(*table, "before"));
  EXPECT_TRUE(holds(*table, "after"));
}

TEST_F(RocksdbTableTest, a_scan_in_progress_outlives_a_failed_write) {
  const auto table = open_rocksdb(directory_).value();
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(put(*table, key).ok());
  int seen = 0;
  ASSERT_TRUE(table
                  ->scan(KeyRange::all(),
                         [&](ByteView, ByteView) -> Result<Visit> {
                           if (++seen == 1) {
                             const FileSizeLimit full(1);
                             EXPECT_FALSE(put(*table, "refused").ok());
                           }
                           EXPECT_FALSE(put(*table, "also refused: nobody closes it under the scan").ok());
                           return Visit::Continue;
                         })
                  .ok());
  EXPECT_EQ(seen, 3);
  expect_refused_once(*table);
  EXPECT_TRUE(put(*table, "after").ok());
}

// A file system that vanished under a running vault leaves the empty directory that it was mounted on.
TEST_F(RocksdbTableTest, a_table_whose_files_vanished_is_not_made_anew_after_a_failed_write) {
  const std::string away = directory_ + "-away";
  auto table = open_rocksdb(directory_).value();
  ASSERT_TRUE(put(*table, "before").ok());
  {
    const FileSizeLimit full(1);
    EXPECT_FALSE(put(*table, "refused").ok());
  }
  std::filesystem::rename(directory_, away);
  std::filesystem::create_directory(directory_);
  for (int i = 0; i < 3; ++i) {
    const Status refused = put(*table, "refused");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::Corrupt) << refused.error().message();
    EXPECT_FALSE(table->get(as_bytes("before")).ok()) << "an empty answer would be a lie";
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
  }
  open_rocksdb(directory_).value().reset();  // and neither is a strange table in its place taken for it
  const Status refused = put(*table, "refused");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Corrupt) << refused.error().message();
  std::filesystem::remove_all(directory_);
  std::filesystem::rename(away, directory_);
  expect_refused_once(*table);
  EXPECT_TRUE(put(*table, "after").ok()) << "what comes back is used again";
  EXPECT_TRUE(holds(*table, "before"));
}

TEST_F(RocksdbTableTest, it_keeps_no_diary_that_could_fail) {
  for (int i = 0; i < 3; ++i) fill(*open_rocksdb(directory_).value(), 10);
  EXPECT_TRUE(files_with("LOG").empty());
}

}  // namespace
}  // namespace exclave::table
