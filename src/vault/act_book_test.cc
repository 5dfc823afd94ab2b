// Acts as a vault takes them in: what a host, or a ceremony key that was replaced, can put in force.
#include <gtest/gtest.h>

#include "tests/conformance/vault_bench.h"
#include "tests/conformance/worlds.h"

namespace exclave::vault {
namespace {

using conformance::Door;
using conformance::failed_with;
using conformance::is_ok;
using conformance::must;
using conformance::VaultBench;
using policy::testing::machine_key;

class Acts : public ::testing::Test {
 protected:
  Acts()
      : bench_(universe_.machine("lux").env(), "/srv/vault", Door::Embedded), site_(bench_.as(bench_.realm.site())) {}

  Status put(const std::string& document) { return site_->put_act(as_bytes(document)); }
  std::size_t held() { return must(site_->acts()).size(); }

  sim::Universe universe_{1};
  VaultBench bench_;
  std::unique_ptr<store::VaultApi> site_;
};

TEST_F(Acts, vault_refuses_a_new_era_by_a_replaced_ceremony_key) {
  const auto& realm = bench_.realm;
  const auto era = [&](std::uint32_t number) { return realm.era_document(realm.land(), number); };
  const crypto::Ed25519SigningKey renewed = machine_key("renewed ceremony");
  // Two eras were open when the key was replaced; this vault has seen the first of them.
  const auto second = realm.successor(realm.first, [&](policy::Policy& next) {
    next.ceremony = renewed.public_key();
    for (policy::Registry& registry : next.registries) registry.eras = 2;
  });
  ASSERT_TRUE(is_ok(put(second.document)));
  const auto stolen = policy::SignedEra::sign(era(3), realm.realm.ceremony);
  EXPECT_TRUE(failed_with(put(stolen.document), Code::Denied));
  EXPECT_TRUE(is_ok(put(policy::SignedEra::sign(era(2), realm.realm.ceremony).document)));
  EXPECT_TRUE(is_ok(put(policy::SignedEra::sign(era(3), renewed).document)));
}

TEST_F(Acts, of_one_text_are_one_policy_version_and_the_first_is_kept) {
  const auto& realm = bench_.realm;
  policy::Policy next = realm.policy();
  next.version = format::PolicyVersion(2);
  next.previous = realm.first.hash;
  next.expires_seconds += 1;
  const std::string first = realm.realm.document(next, {"alice", "bob"});
  const std::string other = realm.realm.document(next, {"carol", "bob", "alice"});
  ASSERT_TRUE(is_ok(put(first)));
  const std::size_t acts = held();
  EXPECT_TRUE(is_ok(put(other)));
  EXPECT_EQ(held(), acts);
  EXPECT_EQ(must(site_->act(crypto::sha256(as_bytes(first)))), to_bytes(first));
  EXPECT_TRUE(failed_with(site_->act(crypto::sha256(as_bytes(other))), Code::NotFound));
  // The next version follows whichever of the two its signers held.
  const auto third = realm.successor(policy::SignedPolicy::parse(as_bytes(other), "other").take(),
                                     [](policy::Policy& policy) { policy.expires_seconds += 1; });
  EXPECT_TRUE(is_ok(put(third.document)));
}

}  // namespace
}  // namespace exclave::vault
