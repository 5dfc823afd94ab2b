// The two worlds as a WorldUnderTest, for suites of modules that only use env: this machine, and a simulation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "posix/world.h"
#include "sim/universe.h"
#include "tests/conformance/scratch_directory.h"
#include "tests/conformance/world_under_test.h"

namespace exclave::conformance {

class RealWorld final : public WorldUnderTest {
 public:
  RealWorld() { CHECK(world_.env().files.make_directories(directory(), 0700).ok()); }

  void run(const std::function<void(env::Env)>& body) override { body(world_.env()); }
  std::string directory() override { return base_ / "test"; }
  Abilities abilities() const override { return {}; }

 private:
  posix::World world_{env::LogLevel::Error};
  ScratchDirectory base_{"test"};
};

// One machine; bodies run as an actor on it.
class SimWorld final : public WorldUnderTest {
 public:
  explicit SimWorld(std::uint64_t seed) : universe_(seed) {
    CHECK(machine().env().files.make_directories(directory(), 0700).ok());
  }
  void run(const std::function<void(env::Env)>& body) override {
    machine().run([&] { body(machine().env()); });
    universe_.run();
  }
  std::string directory() override { return "/srv/test"; }
  Abilities abilities() const override { return {}; }
  sim::Machine& machine() { return universe_.machine("lux"); }

 private:
  sim::Universe universe_;
};

inline WorldKind real_world() {
  return {.name = "posix", .make = [] { return std::make_unique<RealWorld>(); }};
}
inline WorldKind sim_world(std::uint64_t seed) {
  return {.name = "sim_seed_" + std::to_string(seed), .make = [=] { return std::make_unique<SimWorld>(seed); }};
}

}  // namespace exclave::conformance
