// The real world passes every conformance suite.

#include <utility>

#include "posix/world.h"
#include "tests/conformance/file_system_conformance.h"
#include "tests/conformance/network_conformance.h"
#include "tests/conformance/scratch_directory.h"
#include "tests/conformance/threads_conformance.h"

namespace exclave::posix {
namespace {

using conformance::AttributesConformance;
using conformance::FileSystemConformance;
using conformance::NetworkConformance;
using conformance::ThreadsConformance;
using conformance::WorldKind;
using conformance::WorldUnderTest;

class RealWorld : public WorldUnderTest {
 public:
  RealWorld() {
    env::FileSystem& files = world_.env().files;
    CHECK(files.make_directories(directory(), 0700).ok());
    probe(*files.open_directory(base_.path()).take());
  }

  void run(const std::function<void(env::Env)>& body) override { body(world_.env()); }
  std::string directory() override { return base_ / "test"; }
  conformance::Abilities abilities() const override { return abilities_; }

 private:
  // Depends on the file system of the temporary directory, and on whether the tests run as root.
  void probe(env::Directory& directory) {
    CHECK(directory.create_file("probe", 0600).ok());
    env::FileAttributes attributes;
    attributes.owner = {12345, 12345};
    abilities_.change_owner = directory.set_attributes("probe", attributes).ok();
    abilities_.device_nodes = directory.create_node("device", env::FileType::CharDevice, 0600, 1, 3).ok();
    abilities_.user_xattrs = can_set(directory, {"user.probe", {}});
    const Bytes smallest_acl = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 4,   0,
                                4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    abilities_.acls = can_set(directory, {"system.posix_acl_access", smallest_acl});
  }
  static bool can_set(env::Directory& directory, const env::Xattr& xattr) {
    env::FileAttributes attributes;
    attributes.xattrs = {xattr};
    const Status set = directory.set_attributes("probe", attributes);
    CHECK(set.ok() || set.error().code() == Code::Unsupported);
    return set.ok();
  }

  World world_;
  conformance::ScratchDirectory base_{"posix"};
  conformance::Abilities abilities_;
};

const WorldKind kPosix{"posix", [] { return std::unique_ptr<WorldUnderTest>(std::make_unique<RealWorld>()); }};

INSTANTIATE_TEST_SUITE_P(Posix, FileSystemConformance, ::testing::Values(kPosix));
INSTANTIATE_TEST_SUITE_P(Posix, AttributesConformance, ::testing::Values(kPosix));
INSTANTIATE_TEST_SUITE_P(Posix, NetworkConformance, ::testing::Values(kPosix));
INSTANTIATE_TEST_SUITE_P(Posix, ThreadsConformance, ::testing::Values(kPosix));

}  // namespace
}  // namespace exclave::posix
