#include "tests/conformance/table_conformance.h"

#include <filesystem>

#include "posix/file_system.h"
#include "posix/random.h"
#include "posix/threads.h"
#include "table/log_table.h"
#include "table/rocksdb_table.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::table {
namespace {

class RocksdbHome final : public TableHome {
 public:
  Result<std::unique_ptr<Table>> open() override { return open_rocksdb(directory_.path()); }
  void lose_root_file() override { CHECK(std::filesystem::remove(directory_ / "CURRENT")); }

 private:
  conformance::ScratchDirectory directory_{"table"};
};

class LogHome final : public TableHome {
 public:
  Result<std::unique_ptr<Table>> open() override { return open_log_table(files_, threads_, directory_.path()); }
  void lose_root_file() override { CHECK(std::filesystem::remove(directory_ / "table.log")); }

 private:
  posix::Random random_;
  posix::FileSystem files_{random_};
  posix::Threads threads_;
  conformance::ScratchDirectory directory_{"table"};
};

template <typename Home>
TableKind kind(const std::string& name) {
  return {name, [] { return std::unique_ptr<TableHome>(std::make_unique<Home>()); }};
}

INSTANTIATE_TEST_SUITE_P(EveryTable, TableConformance,
                         ::testing::Values(kind<RocksdbHome>("rocksdb"), kind<LogHome>("log")), name_of_kind);

}  // namespace
}  // namespace exclave::table
