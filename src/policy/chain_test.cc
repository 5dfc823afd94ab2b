#include <gtest/gtest.h>

#include "policy/policy.h"
#include "policy/testing/realm.h"

namespace exclave::policy {
namespace {

using Names = std::vector<std::string>;

class PolicyChain : public ::testing::Test {
 protected:
  // The next version of `current`, unchanged otherwise.
  static Policy successor(const SignedPolicy& current) {
    Policy next = current.policy;
    next.version = format::PolicyVersion(current.policy.version.value() + 1);
    next.previous = current.hash;
    return next;
  }
  static Code code_of(const Status& status) { return status.ok() ? Code::Bug : status.error().code(); }

  // Five officials, three sign; frank can be hired.
  PolicyChain() : realm_(testing::make_realm()), first_(realm_.signed_by(realm_.policy, {"alice", "bob", "carol"})) {
    realm_.officials.push_back(testing::make_official("frank"));
    realm_.officials.push_back(testing::make_official("grete"));
  }
  // `next` with exactly these officials of the realm, threshold 3 of 5.
  Policy with_officials(Policy next, const Names& names) const {
    next.officials.clear();
    for (const std::string& name : names) next.officials.push_back(realm_.official(name).entry());
    return next;
  }

  testing::TestRealm realm_;
  SignedPolicy first_;
};

TEST_F(PolicyChain, starts_with_a_version_that_enough_of_its_own_officials_signed) {
  EXPECT_TRUE(verify_genesis(first_).ok());
  const Status refused = verify_genesis(realm_.signed_by(realm_.policy, {"alice", "bob"}));
  ASSERT_EQ(code_of(refused), Code::Denied);
  EXPECT_EQ(refused.error().message(),
            "policy version 1: 2 of 3 signatures needed by the officials of version 1: alice, bob");
  EXPECT_NE(refused.error().hint_text().find("another official's signature"), std::string::npos);
}

TEST_F(PolicyChain, denies_a_document_that_an_official_signed_twice) {
  const SignedPolicy twice = realm_.signed_by(realm_.policy, {"alice", "bob", "carol", "alice"});
  const Status refused = verify_genesis(twice);
  ASSERT_EQ(code_of(refused), Code::Denied);
  EXPECT_EQ(refused.error().message(), "policy version 1: it bears two signatures of alice by one key");
  EXPECT_FALSE(count_approvals(twice.policy, as_bytes(twice.policy.text()), twice.signatures).ok());
}

TEST_F(PolicyChain, denies_a_document_with_a_signer_whom_it_does_not_know) {
  const SignedPolicy strangers = realm_.signed_by(realm_.policy, {"alice", "bob", "carol", "frank"});
  const Status refused = verify_genesis(strangers);
  ASSERT_EQ(code_of(refused), Code::Denied);
  EXPECT_EQ(refused.error().message(), "policy version 1: it bears a signature of 'frank', who is no official");
}

TEST_F(PolicyChain, policy_with_an_added_signature_is_the_same_version) {
  const Policy second = successor(first_);
  const SignedPolicy three = realm_.signed_by(second, {"alice", "bob", "carol"});
  const SignedPolicy four = realm_.signed_by(second, {"dave", "carol", "bob", "alice"});
  EXPECT_NE(three.file_hash, four.file_hash);
  EXPECT_EQ(three.hash, four.hash);
  EXPECT_EQ(three.hash.hex(), crypto::sha256(as_bytes(second.text())).hex());
  // What follows one of them follows the other, whoever holds which.
  const SignedPolicy third = realm_.signed_by(successor(three), {"alice", "bob", "carol"});
  EXPECT_TRUE(verify_chain({first_, three, third}, first_.hash).ok());
  EXPECT_TRUE(verify_chain({first_, four, third}, first_.hash).ok());
}

TEST_F(PolicyChain, denies_a_document_in_which_a_known_officials_signature_is_wrong) {
  std::string document = first_.document;
  format::append_signature(document, "dave", realm_.official("dave").sign.sign(as_bytes("another text")).view());
  const SignedPolicy forged = SignedPolicy::parse(as_bytes(document), "p").take();
  EXPECT_EQ(code_of(verify_genesis(forged)), Code::Denied);
  document = first_.document;
  format::append_signature(document, "dave", Bytes(95));
  EXPECT_EQ(code_of(verify_genesis(SignedPolicy::parse(as_bytes(document), "p").take())), Code::Denied);
}

TEST_F(PolicyChain, refuses_a_signature_moved_under_another_officials_name) {
  std::string document = realm_.policy.text();
  for (const char* name : {"alice", "bob", "carol"}) {
    format::append_signature(document, name, realm_.official("alice").sign.sign(as_bytes(realm_.policy.text())).view());
  }
  EXPECT_EQ(code_of(verify_genesis(SignedPolicy::parse(as_bytes(document), "p").take())), Code::Denied);
}

TEST_F(PolicyChain, goes_on_with_a_version_that_old_and_new_officials_signed) {
  const Policy next = with_officials(successor(first_), {"carol", "dave", "erin", "frank", "grete"});
  EXPECT_TRUE(verify_successor(first_, realm_.signed_by(next, {"carol", "dave", "erin"})).ok());
  EXPECT_TRUE(verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol", "frank", "grete"})).ok());
}

TEST_F(PolicyChain, refuses_a_version_signed_by_the_old_quorum_only) {
  const Policy next = with_officials(successor(first_), {"carol", "dave", "erin", "frank", "grete"});
  const Status refused = verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol"}));
  ASSERT_EQ(code_of(refused), Code::Denied);
  EXPECT_EQ(refused.error().message(),
            "policy version 2: 1 of 3 signatures needed by the officials of version 2: carol");
}

TEST_F(PolicyChain, refuses_a_version_signed_by_the_new_quorum_only) {
  const Policy next = with_officials(successor(first_), {"carol", "dave", "erin", "frank", "grete"});
  const Status refused = verify_successor(first_, realm_.signed_by(next, {"carol", "frank", "grete"}));
  ASSERT_EQ(code_of(refused), Code::Denied);
  EXPECT_EQ(refused.error().message(),
            "policy version 2: 1 of 3 signatures needed by the officials of version 1: carol");
}

TEST_F(PolicyChain, asks_for_the_thresholds_of_both_versions) {
  Policy stricter = successor(first_);
  stricter.threshold_policy = 5;
  EXPECT_EQ(code_of(verify_successor(first_, realm_.signed_by(stricter, {"alice", "bob", "carol", "dave"}))),
            Code::Denied);
  Policy laxer = successor(first_);
  laxer.threshold_policy = 1;
  EXPECT_EQ(code_of(verify_successor(first_, realm_.signed_by(laxer, {"alice", "bob"}))), Code::Denied);
  EXPECT_TRUE(verify_successor(first_, realm_.signed_by(laxer, {"alice", "bob", "carol"})).ok());
}

TEST_F(PolicyChain, lets_an_official_change_keys_by_signing_with_both) {
  const testing::TestOfficial renewed = [] {
    testing::TestOfficial official = testing::make_official("alice renewed");
    official.name = "alice";
    return official;
  }();
  Policy next = successor(first_);
  next.officials[0] = renewed.entry();
  const std::string text = next.text();
  std::string document = realm_.document(next, {"alice", "bob", "carol"});
  EXPECT_EQ(code_of(verify_successor(first_, SignedPolicy::parse(as_bytes(document), "p").take())), Code::Denied)
      << "the new key has not signed";
  format::append_signature(document, "alice", renewed.sign.sign(as_bytes(text)).view());
  EXPECT_TRUE(verify_successor(first_, SignedPolicy::parse(as_bytes(document), "p").take()).ok());
  format::append_signature(document, "alice", renewed.sign.sign(as_bytes("other")).view());
  EXPECT_EQ(code_of(verify_successor(first_, SignedPolicy::parse(as_bytes(document), "p").take())), Code::Denied)
      << "a signature that fits neither key";
}

TEST_F(PolicyChain, refuses_to_skip_repeat_or_go_back_a_version) {
  for (const std::uint64_t version : {1U, 3U, 4U}) {
    Policy next = successor(first_);
    next.version = format::PolicyVersion(version);
    if (version == 1) next.previous.reset();
    EXPECT_EQ(code_of(verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol"}))), Code::Conflict)
        << version;
  }
}

TEST_F(PolicyChain, refuses_a_version_of_another_realm) {
  Policy next = successor(first_);
  next.realm = testing::seeded_id<format::RealmId>("another realm");
  EXPECT_EQ(code_of(verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol"}))), Code::Conflict);
}

TEST_F(PolicyChain, refuses_a_version_that_names_another_predecessor) {
  Policy next = successor(first_);
  Policy other = realm_.policy;
  other.name = "Testland, renamed";
  next.previous = realm_.signed_by(other, {"bob", "carol", "dave"}).hash;
  EXPECT_EQ(code_of(verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol"}))), Code::Conflict);
}

TEST_F(PolicyChain, changes_at_most_one_vault_at_a_time) {
  const auto verified = [&](void (*change)(Policy&)) {
    Policy next = successor(first_);
    change(next);
    const Status status = verify_successor(first_, realm_.signed_by(next, {"alice", "bob", "carol"}));
    return status.ok() ? std::string("ok") : status.error().message();
  };
  EXPECT_EQ(verified([](Policy& p) {
              p.vaults.push_back(testing::make_vault("sgp"));
              p.quorum = default_quorum(4);
            }),
            "ok");
  EXPECT_EQ(verified([](Policy& p) { p.vaults[0].identity = testing::machine_key("new key").public_key(); }), "ok");
  EXPECT_EQ(verified([](Policy& p) { p.vaults[0].receipt = testing::machine_key("new key").public_key(); }), "ok");
  EXPECT_EQ(verified([](Policy& p) {
              for (VaultEntry& vault : p.vaults) vault.address = "moved.example:" + std::to_string(vault.name[0]);
            }),
            "ok")
      << "a vault that moves keeps its keys and stays the same";
  EXPECT_EQ(verified([](Policy& p) {
              p.vaults[0].identity = testing::machine_key("new key").public_key();
              p.vaults[1].receipt = testing::machine_key("another new key").public_key();
            }),
            "policy version 2 changes 2 vaults (che, est); a version changes at most one");
  EXPECT_EQ(verified([](Policy& p) { p.vaults[0] = testing::make_vault("sgp"); }),
            "policy version 2 changes 2 vaults (che, sgp); a version changes at most one")
      << "one removed and one added";
  EXPECT_EQ(verified([](Policy& p) { p.vaults[0].name = "lux2"; }),
            "policy version 2 changes 2 vaults (che, lux2); a version changes at most one");
  EXPECT_EQ(verified([](Policy& p) { std::swap(p.vaults[0].identity, p.vaults[1].identity); }),
            "policy version 2 changes 2 vaults (che, est); a version changes at most one");
}

TEST_F(PolicyChain, refuses_a_version_that_takes_an_opened_era_back) {
  Policy second = successor(first_);
  second.registries[0].eras = 3;
  const SignedPolicy signed_second = realm_.signed_by(second, {"alice", "bob", "carol"});
  EXPECT_TRUE(verify_successor(first_, signed_second).ok());
  Policy third = successor(signed_second);
  third.registries[0].eras = 2;
  EXPECT_EQ(code_of(verify_successor(signed_second, realm_.signed_by(third, {"alice", "bob", "carol"}))),
            Code::InvalidInput);
  Policy early = realm_.policy;
  early.registries[0].eras = 1;
  EXPECT_FALSE(check_rules(early).ok()) << "a ceremony needs a policy";
}

TEST_F(PolicyChain, remembers_every_writer_that_a_version_pinned) {
  Policy next = successor(first_);
  next.registries[0].writer = testing::machine_key("writer two").public_key();
  const std::vector<SignedPolicy> chain = {first_, realm_.signed_by(next, {"alice", "bob", "carol"})};
  const auto& registry = first_.policy.registries[0];
  EXPECT_EQ(writers_of(chain, registry.id),
            (std::vector<crypto::Ed25519PublicKey>{registry.writer, next.registries[0].writer}));
  EXPECT_TRUE(writers_of(chain, testing::seeded_id<format::RegistryId>("another")).empty());
}

TEST_F(PolicyChain, remembers_the_shortest_and_the_longest_retention) {
  Policy next = successor(first_);
  next.registries[0].retention_seconds = 7;
  const std::vector<SignedPolicy> chain = {first_, realm_.signed_by(next, {"alice", "bob", "carol"})};
  const auto& registry = first_.policy.registries[0];
  EXPECT_EQ(retention_of(chain, registry.id).shortest, 7U);
  EXPECT_EQ(retention_of(chain, registry.id).longest, registry.retention_seconds);
  EXPECT_EQ(retention_of({first_}, registry.id).shortest, registry.retention_seconds);
}

TEST_F(PolicyChain, removes_one_vault_at_a_time) {
  testing::TestRealm realm = testing::make_realm({.vaults = 5});
  const SignedPolicy first = realm.signed_by_all();
  Policy next = successor(first);
  next.vaults.pop_back();
  next.quorum = default_quorum(4);
  EXPECT_TRUE(verify_successor(first, realm.signed_by(next, {"alice", "bob", "carol"})).ok());
  next.vaults.pop_back();
  next.quorum = default_quorum(3);
  EXPECT_EQ(code_of(verify_successor(first, realm.signed_by(next, {"alice", "bob", "carol"}))), Code::InvalidInput);
}

TEST_F(PolicyChain, is_verified_from_the_trusted_first_version_to_the_newest) {
  std::vector<SignedPolicy> chain = {first_};
  for (int i = 0; i < 3; ++i) chain.push_back(realm_.signed_by(successor(chain.back()), {"alice", "bob", "carol"}));
  const auto newest = verify_chain(chain, first_.hash);
  ASSERT_TRUE(newest.ok()) << newest.error().message();
  EXPECT_EQ(newest.value().policy.version.value(), 4U);
  EXPECT_EQ(verify_chain({first_}, first_.hash).value().hash, first_.hash);

  const auto untrusted = verify_chain(chain, chain[1].hash);
  ASSERT_FALSE(untrusted.ok());
  EXPECT_EQ(untrusted.error().code(), Code::Denied);
  EXPECT_FALSE(verify_chain({}, first_.hash).ok());
  EXPECT_EQ(verify_chain({chain[0], chain[2], chain[3]}, first_.hash).error().code(), Code::Conflict);
  EXPECT_EQ(verify_chain({chain[0], chain[1], chain[1]}, first_.hash).error().code(), Code::Conflict);
  EXPECT_EQ(verify_chain({chain[1]}, chain[1].hash).error().code(), Code::Conflict) << "a later version is no root";
}

TEST_F(PolicyChain, breaks_with_any_changed_byte_of_a_version_in_the_middle) {
  const std::string document = realm_.signed_by(successor(first_), {"alice", "bob", "carol"}).document;
  std::size_t tried = 0;
  for (std::size_t at = 0; at < document.size(); at += 7) {
    std::string changed = document;
    changed[at] = changed[at] == 'a' ? 'b' : 'a';
    if (changed == document) continue;
    const auto parsed = SignedPolicy::parse(as_bytes(changed), "p");
    if (!parsed.ok()) continue;
    ++tried;
    EXPECT_FALSE(verify_successor(first_, parsed.value()).ok()) << "byte " << at;
  }
  EXPECT_GT(tried, 20U);
}

}  // namespace
}  // namespace exclave::policy
