// What every conformance suite needs from the world it examines, and the helpers its tests are written with.
// Hides: how a world is made and where a test's body must run (sim: on an actor's thread; posix: anywhere).
//
//   INSTANTIATE_TEST_SUITE_P(Posix, FileSystemConformance, ::testing::Values(WorldKind{"posix", make_world}));
//
// I1  Each test gets a fresh world whose directory() is empty.
// I2  must() and run() belong together: a failed must() ends the body of run(), and only that.
// Threads: must() only on the thread of the body; is_ok and failed_with anywhere.
// Include a suite in exactly one source file per test binary: its header defines the tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "base/result.h"
#include "env/env.h"

namespace exclave::conformance {

// What the examined world can do beyond the contract's minimum; tests of what it cannot are skipped, and say so.
struct Abilities {
  bool holes = true;         // next_data tells holes from data
  bool user_xattrs = true;   // user.* on files and directories
  bool acls = true;          // system.posix_acl_*
  bool change_owner = true;  // set_attributes may give files away
  bool device_nodes = true;  // create_node may make devices
};

class WorldUnderTest {
 public:
  virtual ~WorldUnderTest() = default;
  // Runs `body` where env calls are allowed, and returns when it ended. Called once.
  virtual void run(const std::function<void(env::Env)>& body) = 0;
  // An absolute path of an empty directory for this test alone.
  virtual std::string directory() = 0;
  virtual Abilities abilities() const = 0;
  // What Network::listen takes to mean: this machine, any free port.
  virtual std::string listen_address() const { return "127.0.0.1:0"; }
};

struct WorldKind {
  std::string name;
  std::function<std::unique_ptr<WorldUnderTest>()> make;
  friend void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }
};

template <typename T>
::testing::AssertionResult is_ok(const Result<T>& result) {
  if (result.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << name_of(result.error().code()) << ": " << result.error().message();
}

template <typename T>
::testing::AssertionResult failed_with(const Result<T>& result, Code code) {
  if (result.ok()) return ::testing::AssertionFailure() << "it succeeded";
  if (result.error().code() == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << name_of(result.error().code()) << ": " << result.error().message();
}

// Thrown by must(), caught by run(): the rest of this body would make no sense.
struct BodyAbandoned {};

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << "needed for the test, but " << name_of(result.error().code()) << ": " << result.error().message();
    throw BodyAbandoned{};
  }
  return result.take();
}

class WorldConformance : public ::testing::TestWithParam<WorldKind> {
 protected:
  using Body = std::function<void(env::Env env, const std::string& root)>;

  void SetUp() override { world_ = GetParam().make(); }
  void TearDown() override { world_.reset(); }

  void run(const Body& body) {
    const std::string root = world_->directory();
    world_->run([&](env::Env env) {
      try {
        body(env, root);
      } catch (const BodyAbandoned&) {
        SUCCEED() << "the failure is already recorded";
      }
    });
  }
  WorldUnderTest& world() { return *world_; }
  Abilities abilities() const { return world_->abilities(); }

 private:
  std::unique_ptr<WorldUnderTest> world_;
};

}  // namespace exclave::conformance
