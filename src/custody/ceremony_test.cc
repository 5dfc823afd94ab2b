#include "custody/ceremony.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

#include "crypto/shamir.h"
#include "custody/detail/leaf.h"
#include "custody/testing/world.h"

namespace exclave::custody {
namespace {

using testing::SeededRandom;
using testing::TestCard;
using testing::TestPaper;
using testing::World;

const World& world() {
  static const World kWorld;
  return kWorld;
}

Result<OpenedLeaf> open_with(Credential& credential, const std::string& document, const World& of = world()) {
  return open_leaf(as_bytes(document), of.ceremony.era, {of.policy}, credential);
}

OpenedLeaf opened(const std::string& official) {
  TestCard card(world().realm.official(official));
  return open_with(card, world().leaf_of(official)).take();
}

// Whether these officials' shares of `period` give the key that the era document publishes.
bool opens(const std::vector<const OpenedLeaf*>& leaves, std::uint32_t period) {
  std::vector<crypto::Share> shares;
  for (const OpenedLeaf* leaf : leaves) {
    shares.push_back({leaf->x, crypto::SecretBytes(to_bytes(leaf->shares[period].y.view()))});
  }
  std::vector<const crypto::Share*> pointers;
  for (const crypto::Share& share : shares) pointers.push_back(&share);
  const crypto::SecretBytes secret = crypto::combine_shares(pointers).take();
  const format::OpeningKey key = format::derive_opening_key({}, crypto::Secret<32>::from_view(secret.view()));
  return crypto::x25519_public_key(key.decapsulation) == world().ceremony.era.era.periods[period].encapsulation;
}

TEST(ceremony, makes_shares_of_which_every_three_open_and_no_two_or_one_do) {
  std::vector<OpenedLeaf> leaves;
  for (const std::string& name : world().ceremony.era.era.officials) leaves.push_back(opened(name));
  std::size_t opening = 0;
  for (std::uint32_t subset = 1; subset < 32; ++subset) {
    std::vector<const OpenedLeaf*> chosen;
    for (std::size_t j = 0; j < 5; ++j) {
      if ((subset >> j & 1U) != 0) chosen.push_back(&leaves[j]);
    }
    for (std::uint32_t period = 0; period < 6; ++period) {
      EXPECT_EQ(opens(chosen, period), std::popcount(subset) >= 3) << "subset " << subset << " period " << period;
      opening += opens(chosen, period) ? 1U : 0U;
    }
  }
  EXPECT_EQ(opening, 6U * (10 + 5 + 1));
}

TEST(ceremony, publishes_an_era_that_the_policy_accepts) {
  const policy::SignedEra& era = world().ceremony.era;
  EXPECT_TRUE(policy::verify_era(world().policy.policy, era).ok());
  const auto read = policy::SignedEra::parse(as_bytes(era.document), "era");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().hash, era.hash);
  EXPECT_EQ(era.era.officials, (std::vector<std::string>{"alice", "bob", "carol", "dave", "erin"}));
  EXPECT_EQ(era.era.threshold, 3U);
  EXPECT_EQ(era.era.periods.size(), 6U);
}

TEST(ceremony, gives_the_agent_what_seals_and_nothing_that_opens) {
  const AgentKeys& keys = world().ceremony.agent_keys;
  const policy::Era& era = world().ceremony.era.era;
  ASSERT_EQ(keys.periods.size(), era.periods.size());
  for (std::size_t p = 0; p < keys.periods.size(); ++p) {
    EXPECT_EQ(keys.periods[p].encapsulation, era.periods[p].encapsulation);
    EXPECT_TRUE(era.has(keys.periods[p].id));
    for (std::size_t other = 0; other < p; ++other) {
      EXPECT_FALSE(equal(keys.periods[p].symmetric.view(), keys.periods[other].symmetric.view()));
    }
    EXPECT_FALSE(equal(keys.periods[p].symmetric.view(), keys.dedup.view()));
  }
  EXPECT_EQ(keys.key_for(format::PeriodNumber(4)), &keys.periods[4]);
  EXPECT_EQ(keys.key_for(format::PeriodNumber(6)), nullptr);
}

TEST(agent_keys, are_refused_unless_they_are_those_that_the_era_document_publishes) {
  const auto answer_to = [](void (*change)(AgentKeys&)) {
    AgentKeys keys = World::hold(world().realm, 6).agent_keys;
    change(keys);
    const Status checked = check_agent_keys(keys, world().ceremony.era.era, "F");
    return checked.ok() ? std::string("taken") : checked.error().message();
  };
  const std::string refusal = "the keys in 'F' are not those that the ceremony published for era 1";
  EXPECT_EQ(answer_to([](AgentKeys&) {}), "taken");
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.periods.erase(keys.periods.begin()); }), "taken") << "an ended period";
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.periods[5].symmetric.mutable_view()[31] ^= 1; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.dedup.mutable_view()[0] ^= 1; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.periods[0].encapsulation = keys.periods[1].encapsulation; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.periods[5].id.period = format::PeriodNumber(6); }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { ++keys.starts_seconds; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { ++keys.period_seconds; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys.registry = {}; }), refusal);
  EXPECT_EQ(answer_to([](AgentKeys& keys) { keys = World::hold(world().realm, 6, "another day").agent_keys; }),
            refusal);
}

TEST(ceremony, draws_every_salt_and_share_afresh) {
  std::set<Bytes> seen;
  for (const std::string& name : world().ceremony.era.era.officials) {
    for (const LeafShare& share : opened(name).shares) {
      EXPECT_TRUE(seen.insert(share.salt).second);
      EXPECT_TRUE(seen.insert(to_bytes(share.y.view())).second);
    }
  }
  EXPECT_EQ(seen.size(), 2U * 5 * 6);
}

TEST(ceremony, numbers_share_holders_by_name_however_the_policy_holds_them) {
  policy::testing::TestRealm realm = policy::testing::make_realm({.officials = 3, .threshold = 2});
  std::reverse(realm.policy.officials.begin(), realm.policy.officials.end());
  const CeremonyResult result = World::hold(realm, 1);
  EXPECT_EQ(result.era.era.officials, (std::vector<std::string>{"alice", "bob", "carol"}));
  EXPECT_EQ(result.leaves[0].official, "alice");
}

TEST(ceremony, works_for_thresholds_of_one_and_of_all) {
  for (const std::uint32_t threshold : {1U, 4U}) {
    const policy::testing::TestRealm realm = policy::testing::make_realm({.officials = 4, .threshold = threshold});
    const CeremonyResult result = World::hold(realm, 2);
    EXPECT_TRUE(policy::verify_era(realm.policy, result.era).ok());
  }
}

TEST(ceremony, makes_leaves_of_the_longest_era_that_fit_the_grammar_and_refuses_a_longer_one) {
  const policy::testing::TestRealm realm = policy::testing::make_realm({.officials = 2, .threshold = 2});
  SeededRandom random("long");
  const auto longest = hold_ceremony(random, testing::ceremony_request(realm.policy, 80), realm.ceremony);
  ASSERT_TRUE(longest.ok()) << longest.error().message();
  TestCard card(realm.official("bob"));
  EXPECT_EQ(open_leaf(as_bytes(longest.value().leaves[1].document), longest.value().era, {realm.signed_by_all()}, card)
                .value()
                .shares.size(),
            80U);
  const auto longer = hold_ceremony(random, testing::ceremony_request(realm.policy, 81), realm.ceremony);
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().code(), Code::InvalidInput);
  EXPECT_FALSE(hold_ceremony(random, testing::ceremony_request(realm.policy, 0), realm.ceremony).ok());
}

TEST(ceremony, refuses_a_foreign_ceremony_key_a_foreign_registry_and_impossible_times) {
  const policy::testing::TestRealm& realm = world().realm;
  SeededRandom random("refusals");
  const auto code_of = [&](const CeremonyRequest& request, const crypto::Ed25519SigningKey& key) {
    const auto result = hold_ceremony(random, request, key);
    return result.ok() ? Code::Bug : result.error().code();
  };
  EXPECT_EQ(code_of(testing::ceremony_request(realm.policy, 2), realm.site), Code::InvalidInput);

  policy::Registry foreign = realm.policy.registries[0];
  foreign.threshold = 1;
  CeremonyRequest request = testing::ceremony_request(realm.policy, 2);
  request.registry = &foreign;
  EXPECT_EQ(code_of(request, realm.ceremony), Code::InvalidInput) << "fewer shares than the policy demands";

  request = testing::ceremony_request(realm.policy, 2);
  request.starts_seconds = 9'000'000'000;
  EXPECT_EQ(code_of(request, realm.ceremony), Code::InvalidInput);
  request = testing::ceremony_request(realm.policy, 2);
  request.period_seconds = 0;
  EXPECT_EQ(code_of(request, realm.ceremony), Code::InvalidInput);
  request = testing::ceremony_request(realm.policy, 2);
  request.era = format::EraNumber(0);
  EXPECT_EQ(code_of(request, realm.ceremony), Code::InvalidInput);
}

TEST(ceremony, stops_when_randomness_fails_at_any_call) {
  class FailingRandom final : public env::Random {
   public:
    explicit FailingRandom(std::size_t good_calls) : left_(good_calls) {}
    Status fill(MutableByteView out) override {
      if (left_ == 0) return Error(Code::Unavailable, "no randomness");
      --left_;
      return inner_.fill(out);
    }
    std::size_t left() const { return left_; }

   private:
    std::size_t left_;
    SeededRandom inner_{"failing"};
  };
  const policy::testing::TestRealm realm = policy::testing::make_realm({.officials = 2, .threshold = 2});
  std::size_t failures = 0;
  for (std::size_t calls = 0; calls < 100; ++calls) {
    FailingRandom random(calls);
    const auto result = hold_ceremony(random, testing::ceremony_request(realm.policy, 2), realm.ceremony);
    if (result.ok()) break;
    EXPECT_EQ(result.error().code(), Code::Unavailable);
    ++failures;
  }
  EXPECT_GT(failures, 10U);
  EXPECT_LT(failures, 100U);
}

TEST(share_leaf, opens_with_the_decryption_key_and_with_the_paper_key) {
  TestCard card(world().realm.official("carol"));
  TestPaper paper(world().realm.official("carol"));
  const auto by_card = open_with(card, world().leaf_of("carol"));
  const auto by_paper = open_with(paper, world().leaf_of("carol"));
  ASSERT_TRUE(by_card.ok()) << by_card.error().message();
  ASSERT_TRUE(by_paper.ok()) << by_paper.error().message();
  EXPECT_EQ(by_card.value().x, 3);
  EXPECT_EQ(by_paper.value().x, 3);
  for (std::size_t p = 0; p < 6; ++p) {
    EXPECT_TRUE(equal(by_card.value().shares[p].y.view(), by_paper.value().shares[p].y.view()));
  }
}

TEST(share_leaf, of_another_official_is_refused) {
  TestCard bob(world().realm.official("bob"));
  const auto refused = open_with(bob, world().leaf_of("carol"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Denied);
  EXPECT_EQ(refused.error().message(), "share leaf of carol: is not bob's");
}

TEST(share_leaf, does_not_open_for_a_person_of_the_same_name_with_other_keys) {
  policy::testing::TestOfficial impostor = policy::testing::make_official("impostor");
  impostor.name = "carol";
  TestCard card(impostor);
  TestPaper paper(impostor);
  EXPECT_EQ(open_with(card, world().leaf_of("carol")).error().code(), Code::Denied);
  EXPECT_EQ(open_with(paper, world().leaf_of("carol")).error().code(), Code::Denied);
}

TEST(share_leaf, of_another_era_or_registry_is_refused) {
  const policy::testing::TestRealm& realm = world().realm;
  TestCard card(realm.official("carol"));
  SeededRandom random("second era");
  CeremonyRequest request = testing::ceremony_request(realm.policy, 6);
  request.era = format::EraNumber(2);
  request.previous_era = world().ceremony.era.hash;
  const CeremonyResult second = hold_ceremony(random, request, realm.ceremony).take();
  const auto refused = open_with(card, second.leaves[2].document);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "share leaf of carol: belongs to era 2, not to era 1");

  policy::testing::TestRealm other = policy::testing::make_realm();
  other.policy.registries[0].id = policy::testing::seeded_id<format::RegistryId>("registry tax");
  const CeremonyResult tax = World::hold(other, 6);
  EXPECT_EQ(open_with(card, tax.leaves[2].document).error().message(),
            "share leaf of carol: belongs to another registry");
}

TEST(share_leaf, of_a_second_ceremony_for_the_same_era_is_blamed_by_its_commitments) {
  const CeremonyResult again = World::hold(world().realm, 6, "another ceremony");
  TestCard card(world().realm.official("carol"));
  const auto refused = open_with(card, again.leaves[2].document);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Corrupt);
  EXPECT_EQ(refused.error().message(), "carol: share for period 0 does not match its commitment");
}

TEST(share_leaf, with_any_changed_byte_is_refused) {
  TestCard card(world().realm.official("alice"));
  const std::string& good = world().leaf_of("alice");
  for (std::size_t at = 0; at < good.size(); at += 3) {
    std::string changed = good;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    if (changed != good) {
      EXPECT_FALSE(open_with(card, changed).ok()) << "byte " << at;
    }
  }
  EXPECT_FALSE(open_with(card, good.substr(0, good.size() - 1)).ok());
  EXPECT_FALSE(open_with(card, good + "\n").ok());
}

TEST(share_leaf, signed_by_another_key_than_the_ceremonys_is_refused) {
  const std::string& good = world().leaf_of("alice");
  const std::string text = good.substr(0, good.find("\n\n") + 1);
  std::string forged = text;
  format::append_signature(forged, "ceremony", world().realm.site.sign(as_bytes(text)).view());
  TestCard card(world().realm.official("alice"));
  EXPECT_EQ(open_with(card, forged).error().message(),
            "share leaf of alice: its signature is not by the policy's ceremony key");
}

TEST(share_record, of_a_wrong_shape_is_corrupt) {
  detail::RecordBuilder builder(4, 2);
  builder.add(Bytes(32, 1), Bytes(32, 2));
  builder.add(Bytes(32, 3), Bytes(32, 4));
  const Bytes good = to_bytes(builder.view());
  ASSERT_EQ(good.size(), 5U + 2 * 68);
  const auto parsed = detail::parse_record(good);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().x, 4);
  EXPECT_EQ(parsed.value().shares[1].salt, Bytes(32, 3));
  EXPECT_TRUE(equal(parsed.value().shares[1].y.view(), Bytes(32, 4)));

  const auto refuses = [](Bytes record) { return detail::parse_record(record).error().code() == Code::Corrupt; };
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_TRUE(refuses({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}));
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_TRUE(refuses(longer));
  Bytes index_zero = good;
  index_zero[0] = 0;
  EXPECT_TRUE(refuses(index_zero));
  Bytes many = good;
  many[1] = 0xff;  // claims 4 thousand million periods
  EXPECT_TRUE(refuses(many));
  Bytes disordered = good;
  disordered[8] = 1;
  EXPECT_TRUE(refuses(disordered));
}

TEST(leaf_file_name, says_registry_and_era) {
  EXPECT_EQ(leaf_file_name(format::RegistryId(), format::EraNumber(12)),
            "00000000000000000000000000000000-era-12.leaf");
}

}  // namespace
}  // namespace exclave::custody
