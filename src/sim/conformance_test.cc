// sim under the same conformance suites as posix: what code learns from one world holds in the other.
#include <utility>

#include "sim/universe.h"
#include "tests/conformance/attributes_conformance.h"
#include "tests/conformance/directory_conformance.h"
#include "tests/conformance/file_system_conformance.h"
#include "tests/conformance/network_conformance.h"
#include "tests/conformance/threads_conformance.h"

namespace exclave::conformance {
namespace {

// Whether the body runs as an actor of a machine or on the test's own thread: both are allowed.
enum class BodyRuns : std::uint8_t { AsActor, OnTestThread };

class SimWorld final : public WorldUnderTest {
 public:
  SimWorld(std::uint64_t seed, BodyRuns where) : universe_(seed), where_(where) {
    EXPECT_TRUE(machine().env().files.make_directories("/srv/test", 0755).ok());
  }
  void run(const std::function<void(env::Env)>& body) override {
    if (where_ == BodyRuns::OnTestThread) {
      body(machine().env());
    } else {
      machine().run([&] { body(machine().env()); });
    }
    universe_.run();
  }
  std::string directory() override { return "/srv/test"; }
  Abilities abilities() const override { return {}; }

 private:
  sim::Machine& machine() { return universe_.machine("lux"); }

  sim::Universe universe_;
  const BodyRuns where_;
};

WorldKind world(std::string name, std::uint64_t seed, BodyRuns where) {
  return {.name = std::move(name), .make = [=] { return std::make_unique<SimWorld>(seed, where); }};
}

const auto kWorlds = ::testing::Values(
    world("sim_seed_1", 1, BodyRuns::AsActor), world("sim_seed_2", 2, BodyRuns::AsActor),
    world("sim_seed_3", 3, BodyRuns::AsActor), world("sim_on_test_thread", 4, BodyRuns::OnTestThread));
const auto kName = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Sim, FileSystemConformance, kWorlds, kName);
INSTANTIATE_TEST_SUITE_P(Sim, AttributesConformance, kWorlds, kName);
INSTANTIATE_TEST_SUITE_P(Sim, NetworkConformance, kWorlds, kName);
INSTANTIATE_TEST_SUITE_P(Sim, ThreadsConformance, kWorlds, kName);

}  // namespace
}  // namespace exclave::conformance
