// A realm with an era, for tests of releases: credentials in memory, a ceremony held, requests and approvals made.
// Hides: how these are put together, so that a test shows only what it changes.
//
// I1  Everything but ECDSA signatures is the same in every run: the randomness is a seeded counter.
// Threads: values.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crypto/wrap.h"
#include "custody/ceremony.h"
#include "custody/release.h"
#include "env/random.h"
#include "policy/testing/realm.h"

namespace exclave::custody::testing {

constexpr std::int64_t kEraStarts = 1'800'000'000;
constexpr std::int64_t kWeek = 604'800;
constexpr std::int64_t kToday = kEraStarts + 5 * kWeek;

class SeededRandom final : public env::Random {
 public:
  explicit SeededRandom(std::string_view seed) : seed_(seed) {}
  Status fill(MutableByteView out) override {
    const std::string label = seed_ + " " + std::to_string(calls_++);
    // One HKDF gives at most 255 hashes; larger wishes are served in steps.
    constexpr std::size_t kStep = 4096;
    for (std::size_t at = 0; at < out.size(); at += kStep) {
      crypto::hkdf(crypto::HkdfHash::Sha256, as_bytes(label), {}, as_bytes(std::to_string(at)),
                   out.subspan(at, std::min(kStep, out.size() - at)));
    }
    return {};
  }

 private:
  std::string seed_;
  std::uint64_t calls_ = 0;
};

// What a card does: signs with SIG_j, unwraps with DEC_j.
class TestCard final : public Credential {
 public:
  explicit TestCard(const policy::testing::TestOfficial& official) : official_(official) {}
  const std::string& name() const override { return official_.name; }
  Result<crypto::P384Signature> sign(ByteView message) override { return official_.sign.sign(message); }
  Result<crypto::SecretBytes> unwrap(ByteView context, ByteView wrapped) override {
    return crypto::unwrap_with_p384(official_.decrypt, context, wrapped);
  }

 private:
  const policy::testing::TestOfficial& official_;  // outlives the card
};

// What a paper key does.
class TestPaper final : public Credential {
 public:
  explicit TestPaper(const policy::testing::TestOfficial& official) : official_(official) {}
  const std::string& name() const override { return official_.name; }
  Result<crypto::P384Signature> sign(ByteView message) override {
    static_cast<void>(message);
    return Error(Code::Denied, "paper does not sign");
  }
  Result<crypto::SecretBytes> unwrap(ByteView context, ByteView wrapped) override {
    return crypto::unwrap_with_x25519(official_.paper, context, wrapped);
  }

 private:
  const policy::testing::TestOfficial& official_;
};

inline CeremonyRequest ceremony_request(const policy::Policy& policy, std::uint32_t periods) {
  CeremonyRequest request;
  request.policy = &policy;
  request.registry = policy.registries.data();
  request.starts_seconds = kEraStarts;
  request.period_seconds = kWeek;
  request.periods = periods;
  return request;
}

// A realm of five officials with threshold three and an era of six periods, unless said otherwise.
struct World {
  policy::testing::TestRealm realm;
  policy::SignedPolicy policy;
  CeremonyResult ceremony;
  crypto::Secret<32> recipient = policy::testing::seeded_secret<32>("recipient");
  SeededRandom random{"world"};

  explicit World(const policy::testing::RealmShape& shape = {}, std::uint32_t periods = 6)
      : realm(policy::testing::make_realm(shape)), policy(realm.signed_by_all()), ceremony(hold(realm, periods)) {}

  static CeremonyResult hold(const policy::testing::TestRealm& realm, std::uint32_t periods,
                             std::string_view seed = "ceremony") {
    SeededRandom drawn(seed);
    return hold_ceremony(drawn, ceremony_request(realm.policy, periods), realm.ceremony).take();
  }

  const std::string& leaf_of(std::string_view official) const {
    const auto is_theirs = [&](const ShareLeafFile& leaf) { return leaf.official == official; };
    const auto leaf = std::find_if(ceremony.leaves.begin(), ceremony.leaves.end(), is_theirs);
    CHECK(leaf != ceremony.leaves.end());
    return leaf->document;
  }

  // Periods 2 and 3 for Lisbon, valid for an hour.
  ReleaseRequest request() const {
    ReleaseRequest request;
    request.realm = policy.policy.realm;
    request.registry = policy.policy.registries[0].id;
    request.registry_name = "land";
    request.era = format::EraNumber(1);
    request.periods = {format::PeriodNumber(2), format::PeriodNumber(3)};
    request.site = "lisbon";
    request.site_identity = realm.site.public_key();
    request.recipient = crypto::x25519_public_key(recipient);
    request.policy_version = policy.policy.version;
    request.policy_hash = policy.hash;
    request.approvals = policy.policy.release_threshold(policy.policy.registries[0]);
    request.reason = "drill 14: restore the land register abroad";
    request.not_after_seconds = kToday + 3600;
    request.nonce = policy::testing::seeded_id<Id<16, struct ReleaseNonceTag>>("nonce");
    return request;
  }
  SignedRelease release() const { return SignedRelease::sign(request(), realm.site).take(); }

  Result<std::string> approve(const SignedRelease& release, std::string_view official) {
    TestCard card(realm.official(official));
    return approve_release(random, {policy}, release, ceremony.era, as_bytes(leaf_of(official)), card, card, kToday);
  }
  // Approvals that must succeed, as files named "<official>.approval".
  std::vector<ApprovalFile> approvals(const SignedRelease& release, const std::vector<std::string>& officials) {
    std::vector<ApprovalFile> files;
    for (const std::string& name : officials) {
      files.push_back({name + ".approval", to_bytes(approve(release, name).take())});
    }
    return files;
  }
  Result<CombinedRelease> combine(const SignedRelease& release, const std::vector<ApprovalFile>& approvals) const {
    return combine_release({policy}, release, ceremony.era, approvals, recipient);
  }
};

}  // namespace exclave::custody::testing
