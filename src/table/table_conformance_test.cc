#include "tests/conformance/table_conformance.h"

#include <cstdlib>
#include <filesystem>

#include "posix/file_system.h"
#include "posix/random.h"
#include "posix/threads.h"
#include "table/log_table.h"
#include "table/rocksdb_table.h"

namespace exclave::table {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = ::testing::TempDir() + "exclave-table-XXXXXX";
    CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class RocksdbHome final : public TableHome {
 public:
  Result<std::unique_ptr<Table>> open() override { return open_rocksdb(directory_.path()); }
  void lose_root_file() override { CHECK(std::filesystem::remove(directory_.path() + "/CURRENT")); }

 private:
  TemporaryDirectory directory_;
};

class LogHome final : public TableHome {
 public:
  Result<std::unique_ptr<Table>> open() override { return open_log_table(files_, threads_, directory_.path()); }
  void lose_root_file() override { CHECK(std::filesystem::remove(directory_.path() + "/table.log")); }

 private:
  posix::Random random_;
  posix::FileSystem files_{random_};
  posix::Threads threads_;
  TemporaryDirectory directory_;
};

template <typename Home>
TableKind kind(const std::string& name) {
  return {name, [] { return std::unique_ptr<TableHome>(std::make_unique<Home>()); }};
}

INSTANTIATE_TEST_SUITE_P(EveryTable, TableConformance,
                         ::testing::Values(kind<RocksdbHome>("rocksdb"), kind<LogHome>("log")), name_of_kind);

}  // namespace
}  // namespace exclave::table
