// A vault passes the VaultApi suites through every door: in the process, over HTTP on simulated pipes, over TLS.
#include "tests/conformance/vault_api_conformance.h"
#include "tests/conformance/vault_journal_conformance.h"
#include "tests/conformance/vault_roles_conformance.h"
#include "tests/conformance/vault_weather.h"
#include "tests/conformance/worlds.h"

namespace exclave::conformance {
namespace {

const auto kKinds =
    ::testing::Values(VaultKind{"embedded_posix_rocksdb", real_world(), Door::Embedded, Tables::Rocksdb},
                      VaultKind{"embedded_sim", sim_world(1), Door::Embedded, Tables::Log},
                      VaultKind{"http_sim_1", sim_world(1), Door::Plain, Tables::Log},
                      VaultKind{"http_sim_2", sim_world(2), Door::Plain, Tables::Log},
                      VaultKind{"tls_posix_rocksdb", real_world(), Door::Tls, Tables::Rocksdb});
const auto kName = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(EveryDoor, VaultApiConformance, kKinds, kName);
INSTANTIATE_TEST_SUITE_P(EveryDoor, VaultJournalConformance, kKinds, kName);
INSTANTIATE_TEST_SUITE_P(EveryDoor, VaultRolesConformance, kKinds, kName);

TEST(VaultInWeather, H7_what_a_vault_vouched_for_lives_through_any_weather) {
  const VaultKind kind{"embedded", sim_world(1)};
  expect_sound([&] { return std::make_unique<VaultInWeather>(kind); },
               {.seeds = 40, .lives = 6, .many_calls = 800, .room = 3'000'000});
}

TEST(VaultInWeather, H7_what_a_vault_vouched_for_over_http_lives_through_any_weather) {
  const VaultKind kind{"http", sim_world(1), Door::Plain};
  expect_sound([&] { return std::make_unique<VaultInWeather>(kind); },
               {.seeds = 15, .lives = 6, .many_calls = 800, .room = 3'000'000, .cuts_per_million = 2000});
}

}  // namespace
}  // namespace exclave::conformance
