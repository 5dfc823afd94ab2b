// A realm for tests: officials, vaults, sites and registries with keys that follow from their names. Never a real key.
// Hides: how test keys are derived (HKDF of a label), so that every test and every frozen sample means the same realm.
//
//   officials  alice, bob, carol, dave, erin, ...     vaults lux, est, che, ...     site lisbon     registry land
//
// I1  The same arguments give the same realm; only ECDSA signatures differ from run to run.
// Threads: values.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/hash.h"
#include "policy/policy.h"

namespace exclave::policy::testing {

template <std::size_t N>
crypto::Secret<N> seeded_secret(std::string_view label) {
  crypto::Secret<N> secret;
  crypto::hkdf(crypto::HkdfHash::Sha256, as_bytes(label), {}, as_bytes("exclave test key"), secret.mutable_view());
  return secret;
}
template <typename AnyId>
AnyId seeded_id(std::string_view label) {
  return AnyId::from_view(seeded_secret<AnyId::kSize>(label).view());
}
inline crypto::Ed25519SigningKey machine_key(std::string_view label) {
  return crypto::Ed25519SigningKey::from_seed(seeded_secret<32>(label));
}

struct TestOfficial {
  std::string name;
  crypto::P384PrivateKey sign;
  crypto::P384PrivateKey decrypt;
  crypto::Secret<32> paper;

  Official entry() const { return {name, sign.public_key(), decrypt.public_key(), crypto::x25519_public_key(paper)}; }
};

inline TestOfficial make_official(const std::string& name) {
  return {name, crypto::P384PrivateKey::from_random(seeded_secret<64>(name + " sign")),
          crypto::P384PrivateKey::from_random(seeded_secret<64>(name + " decrypt")),
          seeded_secret<32>(name + " paper")};
}

inline VaultEntry make_vault(const std::string& name) {
  return {name, machine_key(name + " identity").public_key(), machine_key(name + " receipt").public_key(),
          name + ".example:4100"};
}

struct RealmShape {
  std::size_t officials = 5;  // up to 8
  std::uint32_t threshold = 3;
  std::size_t vaults = 3;  // up to 7
};

struct TestRealm {
  Policy policy;
  std::vector<TestOfficial> officials;
  crypto::Ed25519SigningKey ceremony = machine_key("ceremony");
  crypto::Ed25519SigningKey site = machine_key("site lisbon");
  crypto::Ed25519SigningKey writer = machine_key("writer land");

  const TestOfficial& official(std::string_view name) const {
    return *std::find_if(officials.begin(), officials.end(), [&](const auto& each) { return each.name == name; });
  }

  // `version` as a document, signed by the officials with these names, in this order.
  std::string document(const Policy& version, const std::vector<std::string>& signers) const {
    std::string document = version.text();
    const std::string text = document;
    for (const std::string& name : signers) {
      format::append_signature(document, name, official(name).sign.sign(as_bytes(text)).view());
    }
    return document;
  }
  SignedPolicy signed_by(const Policy& version, const std::vector<std::string>& signers) const {
    return SignedPolicy::parse(as_bytes(document(version, signers)), "test policy").take();
  }
  SignedPolicy signed_by_all() const {
    std::vector<std::string> names;
    for (const TestOfficial& each : officials) names.push_back(each.name);
    return signed_by(policy, names);
  }
};

inline TestRealm make_realm(const RealmShape& shape = {}) {
  constexpr std::array<std::string_view, 8> kOfficials = {"alice", "bob",  "carol", "dave",
                                                          "erin",  "finn", "gita",  "hugo"};
  constexpr std::array<std::string_view, 7> kVaults = {"lux", "est", "che", "sgp", "isl", "nzl", "ury"};
  CHECK(shape.officials <= kOfficials.size() && shape.vaults <= kVaults.size());
  TestRealm realm;
  Policy& policy = realm.policy;
  policy.realm = seeded_id<format::RealmId>("realm");
  policy.name = "Testland";
  policy.expires_seconds = 1'830'000'000;
  policy.threshold_policy = shape.threshold;
  policy.threshold_release = shape.threshold;
  for (std::size_t i = 0; i < shape.officials; ++i) {
    realm.officials.push_back(make_official(std::string(kOfficials[i])));
    policy.officials.push_back(realm.officials.back().entry());
  }
  policy.ceremony = realm.ceremony.public_key();
  policy.quorum = default_quorum(shape.vaults);
  for (std::size_t i = 0; i < shape.vaults; ++i) policy.vaults.push_back(make_vault(std::string(kVaults[i])));
  policy.sites.push_back({"lisbon", realm.site.public_key()});
  policy.registries.push_back({"land", seeded_id<format::RegistryId>("registry land"), shape.threshold,
                               realm.writer.public_key(), 1'000'000'000'000, 31'536'000});
  return realm;
}

}  // namespace exclave::policy::testing
