#include "tests/conformance/table_conformance.h"
#include "table/log_table.h"
#include "table/rocksdb_table.h"
#include "tests/conformance/table_weather.h"
#include "tests/conformance/worlds.h"

namespace exclave::conformance {
namespace {

Result<std::unique_ptr<Table>> open_rocksdb(env::Env /*env*/, const std::string& directory) {
  return table::open_rocksdb(directory);
}
Result<std::unique_ptr<Table>> open_log(env::Env env, const std::string& directory) {
  return table::open_log_table(env.files, env.threads, directory);
}

const auto kKinds = ::testing::Values(TableKind{"rocksdb", real_world(), open_rocksdb, "CURRENT"},
                                      TableKind{"log", real_world(), open_log, "table.log"},
                                      TableKind{"log_on_sim_1", sim_world(1), open_log, "table.log"},
                                      TableKind{"log_on_sim_2", sim_world(2), open_log, "table.log"});
const auto kName = [](const auto& each) { return each.param.name; };
INSTANTIATE_TEST_SUITE_P(EveryTable, TableConformance, kKinds, kName);

TEST(TableInWeather, H7_what_a_log_table_acknowledged_lives_through_any_weather) {
  const TableKind kind{"log", sim_world(1), open_log, "table.log"};
  expect_sound([&] { return std::make_unique<RowsInWeather>(kind); }, {.seeds = 60, .lives = 6, .many_calls = 60});
}

}  // namespace
}  // namespace exclave::conformance
