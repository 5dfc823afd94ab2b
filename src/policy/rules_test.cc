#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "policy/policy.h"
#include "policy/testing/realm.h"

namespace exclave::policy {
namespace {

constexpr std::uint32_t kMostTried = 12;

// How few members the group of the first `a` of `n` vaults can share with some group of `b`: by trying all groups.
std::uint32_t fewest_shared(std::uint32_t n, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t first = (1U << a) - 1;
  std::uint32_t fewest = n;
  for (std::uint32_t group = 0; group < 1U << n; ++group) {
    if (static_cast<std::uint32_t>(std::popcount(group)) != b) continue;
    fewest = std::min(fewest, static_cast<std::uint32_t>(std::popcount(group & first)));
  }
  return fewest;
}

TEST(quorum, is_allowed_exactly_when_any_two_groups_share_an_honest_vault) {
  for (std::uint32_t n = 3; n <= kMostTried; ++n) {
    for (std::uint32_t k = 1; k <= n; ++k) {
      for (std::uint32_t q = 1; q <= n; ++q) {
        const std::uint32_t deciding = fewest_shared(n, q, q);
        const std::uint32_t reading = fewest_shared(n, k, q);
        for (std::uint32_t b = 0; b <= n; ++b) {
          EXPECT_EQ(check_quorum({k, q, b}, n).ok(), deciding > b && reading > b)
              << "n=" << n << " k=" << k << " q=" << q << " b=" << b;
        }
      }
    }
  }
}

TEST(quorum, is_refused_when_k_or_q_is_outside_1_to_n) {
  for (std::uint32_t n = 3; n <= kMostTried; ++n) {
    EXPECT_FALSE(check_quorum({0, n, 0}, n).ok());
    EXPECT_FALSE(check_quorum({n + 1, n, 0}, n).ok());
    EXPECT_FALSE(check_quorum({n, 0, 0}, n).ok());
    EXPECT_FALSE(check_quorum({n, n + 1, 0}, n).ok());
  }
  constexpr std::uint32_t kHuge = 0xffffffff;
  EXPECT_FALSE(check_quorum({kHuge, kHuge, kHuge}, 3).ok());
  EXPECT_FALSE(check_quorum({3, 3, kHuge}, 3).ok());
}

TEST(quorum, of_a_trial_realm_is_one_of_one_and_nothing_else) {
  EXPECT_TRUE(check_quorum({1, 1, 0}, 1).ok());
  EXPECT_FALSE(check_quorum({1, 1, 1}, 1).ok());
  EXPECT_FALSE(check_quorum({2, 1, 0}, 1).ok());
  EXPECT_FALSE(check_quorum({1, 2, 0}, 1).ok());
}

TEST(quorum, does_not_exist_for_no_vault_two_vaults_or_more_than_64) {
  for (std::uint32_t k = 0; k <= 2; ++k) {
    for (std::uint32_t q = 0; q <= 2; ++q) {
      EXPECT_FALSE(check_quorum({k, q, 0}, 0).ok());
      EXPECT_FALSE(check_quorum({k, q, 0}, 2).ok());
    }
  }
  EXPECT_TRUE(check_quorum(default_quorum(64), 64).ok());
  EXPECT_FALSE(check_quorum(default_quorum(65), 65).ok());
  EXPECT_FALSE(check_quorum(default_quorum(0), 0).ok());
  EXPECT_FALSE(check_quorum(default_quorum(2), 2).ok());
}

TEST(default_quorum, satisfies_the_rule_and_is_the_smallest_that_does_with_the_most_liars_survivable) {
  for (std::uint32_t n = 1; n <= kMostTried; ++n) {
    if (n == 2) continue;
    const Quorum quorum = default_quorum(n);
    EXPECT_TRUE(check_quorum(quorum, n).ok()) << n;
    EXPECT_LE(quorum.q, n - quorum.b) << "as many as lie may also be silent, with " << n;
    if (quorum.q > 1) {
      EXPECT_FALSE(check_quorum({n, quorum.q - 1, quorum.b}, n).ok()) << n;
    }
    if (quorum.k > 1) {
      EXPECT_FALSE(check_quorum({quorum.k - 1, quorum.q, quorum.b}, n).ok()) << n;
    }
    // One more liar could not be tolerated by any quorum that does without that many vaults.
    for (std::uint32_t q = 1; n > quorum.b + 1 && q <= n - quorum.b - 1; ++q) {
      EXPECT_FALSE(check_quorum({n, q, quorum.b + 1}, n).ok()) << n;
    }
  }
}

TEST(default_quorum, is_what_the_documents_say) {
  EXPECT_EQ(default_quorum(1), (Quorum{1, 1, 0}));
  EXPECT_EQ(default_quorum(3), (Quorum{2, 2, 0}));
  EXPECT_EQ(default_quorum(4), (Quorum{3, 3, 1}));
  EXPECT_EQ(default_quorum(5), (Quorum{3, 4, 1}));
  EXPECT_EQ(default_quorum(7), (Quorum{5, 5, 2}));
}

TEST(quorum, is_put_into_words_by_what_it_survives) {
  Policy policy = testing::make_realm().policy;
  EXPECT_EQ(policy.quorum_in_words(), "tolerates 0 lying and 1 unreachable of 3 vaults");
  policy.quorum = {3, 2, 0};
  EXPECT_EQ(policy.quorum_in_words(), "tolerates 0 lying and 0 unreachable of 3 vaults");
  policy = testing::make_realm({.vaults = 4}).policy;
  EXPECT_EQ(policy.quorum_in_words(), "tolerates 1 lying and 1 unreachable of 4 vaults");
  policy = testing::make_realm({.vaults = 1}).policy;
  EXPECT_EQ(policy.quorum_in_words(), "tolerates 0 lying and 0 unreachable of 1 vault (a trial realm)");
  EXPECT_TRUE(policy.is_trial());
}

// A place in a policy where a public key stands.
struct KeySlot {
  std::string owner;
  MutableByteView bytes;
};

std::vector<KeySlot> key_slots(Policy& policy) {
  std::vector<KeySlot> slots;
  for (Official& official : policy.officials) {
    slots.push_back({official.name + "'s sign", official.sign.mutable_view()});
    slots.push_back({official.name + "'s decrypt", official.decrypt.mutable_view()});
    slots.push_back({official.name + "'s paper", official.paper.mutable_view()});
  }
  slots.push_back({"ceremony", policy.ceremony.mutable_view()});
  for (VaultEntry& vault : policy.vaults) {
    slots.push_back({vault.name + "'s identity", vault.identity.mutable_view()});
    slots.push_back({vault.name + "'s receipt", vault.receipt.mutable_view()});
  }
  for (Site& site : policy.sites) slots.push_back({site.name, site.identity.mutable_view()});
  for (Registry& registry : policy.registries) slots.push_back({registry.name, registry.writer.mutable_view()});
  return slots;
}

const Policy& policy_with_pairs() {
  static const Policy kPolicy = [] {
    Policy policy = testing::make_realm({.officials = 3, .threshold = 2}).policy;
    policy.sites.push_back({"oslo", testing::machine_key("site oslo").public_key()});
    policy.registries.push_back({"tax", testing::seeded_id<format::RegistryId>("registry tax"), 2,
                                 testing::machine_key("writer tax").public_key(), 1, 1});
    return policy;
  }();
  return kPolicy;
}

TEST(policy_rules, refuse_one_public_key_in_any_two_places) {
  const Policy good = policy_with_pairs();
  ASSERT_TRUE(check_rules(good).ok()) << check_rules(good).error().message();
  Policy counted = good;
  const std::size_t slots = key_slots(counted).size();
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < slots; ++i) {
    for (std::size_t j = i + 1; j < slots; ++j) {
      Policy policy = good;
      const std::vector<KeySlot> keys = key_slots(policy);
      if (keys[i].bytes.size() != keys[j].bytes.size()) continue;
      std::copy(keys[i].bytes.begin(), keys[i].bytes.end(), keys[j].bytes.begin());
      const Status refused = check_rules(policy);
      ++pairs;
      ASSERT_FALSE(refused.ok()) << keys[i].owner << " and " << keys[j].owner;
      EXPECT_NE(refused.error().message().find("same public key"), std::string::npos) << refused.error().message();
    }
  }
  // 6 P-384 keys, and 3 paper, 1 ceremony, 6 vault, 2 site, 2 writer keys of 32 bytes.
  EXPECT_EQ(pairs, 6U * 5 / 2 + 14U * 13 / 2);
}

TEST(policy_rules, take_a_key_and_its_negative_for_one) {
  Policy policy = policy_with_pairs();
  policy.officials[1].sign = policy.officials[0].sign;
  policy.officials[1].sign.mutable_view()[96] ^= 1;  // same x, another y
  EXPECT_FALSE(check_rules(policy).ok());
  policy = policy_with_pairs();
  policy.sites[1].identity = policy.sites[0].identity;
  policy.sites[1].identity.mutable_view()[31] ^= 0x80;
  EXPECT_FALSE(check_rules(policy).ok());
}

TEST(policy_rules, refuse_a_key_of_zeros_anywhere) {
  const Policy good = policy_with_pairs();
  Policy counted = good;
  for (std::size_t i = 0; i < key_slots(counted).size(); ++i) {
    Policy policy = good;
    const KeySlot slot = key_slots(policy)[i];
    std::fill(slot.bytes.begin(), slot.bytes.end(), Byte{0});
    EXPECT_FALSE(check_rules(policy).ok()) << slot.owner;
  }
}

TEST(policy_rules, bound_every_threshold_by_the_number_of_officials) {
  const Policy good = policy_with_pairs();
  for (const std::uint32_t threshold : {0U, 4U, 0xffffffffU}) {
    Policy policy = good;
    policy.threshold_policy = threshold;
    EXPECT_FALSE(check_rules(policy).ok()) << threshold;
    policy = good;
    policy.threshold_release = threshold;
    EXPECT_FALSE(check_rules(policy).ok()) << threshold;
    policy = good;
    policy.registries[0].threshold = threshold;
    EXPECT_FALSE(check_rules(policy).ok()) << threshold;
  }
  for (const std::uint32_t threshold : {1U, 2U, 3U}) {
    Policy policy = good;
    policy.threshold_policy = policy.threshold_release = policy.registries[0].threshold = threshold;
    EXPECT_TRUE(check_rules(policy).ok()) << threshold;
  }
}

TEST(policy_rules, name_the_entry_that_breaks_them) {
  const auto message_of = [](void (*break_it)(Policy&)) {
    Policy policy = policy_with_pairs();
    break_it(policy);
    const Status refused = check_rules(policy);
    return refused.ok() ? std::string("accepted") : refused.error().message();
  };
  EXPECT_EQ(message_of([](Policy& p) { p.officials[1].name = "alice"; }), "official 'alice' appears twice");
  EXPECT_EQ(message_of([](Policy& p) { p.vaults[1].name = "lux"; }), "vault 'lux' appears twice");
  EXPECT_EQ(message_of([](Policy& p) { p.sites[1].name = "lisbon"; }), "site 'lisbon' appears twice");
  EXPECT_EQ(message_of([](Policy& p) { p.registries[1].name = "land"; }), "registry 'land' appears twice");
  EXPECT_EQ(message_of([](Policy& p) { p.registries[1].id = p.registries[0].id; }),
            "registry 'tax' has the id of another registry");
  EXPECT_EQ(message_of([](Policy& p) { p.officials[0].name = "Alice"; }), "official name 'Alice' is not usable");
  EXPECT_EQ(message_of([](Policy& p) { p.vaults[0].address = "lux"; }),
            "vault 'lux': address 'lux' is neither host:port nor dir:/path");
  EXPECT_EQ(message_of([](Policy& p) { p.vaults[0].address = "dir:relative"; }),
            "vault 'lux': address 'dir:relative' is neither host:port nor dir:/path");
  EXPECT_EQ(message_of([](Policy& p) { p.vaults[0].address = "lux:0"; }),
            "vault 'lux': address 'lux:0' is neither host:port nor dir:/path");
  EXPECT_EQ(message_of([](Policy& p) { p.vaults.pop_back(); }), "a realm has one vault (for trials) or 3 to 64, not 2");
  EXPECT_EQ(message_of([](Policy& p) { p.previous = PolicyHash(); }), "version 1 has a previous version's hash");
  EXPECT_EQ(message_of([](Policy& p) { p.version = format::PolicyVersion(2); }),
            "version 2 lacks a previous version's hash");
  EXPECT_EQ(message_of([](Policy& p) { p.version = format::PolicyVersion(0); }),
            "the version is 0; the first one is 1");
  EXPECT_EQ(message_of([](Policy& p) { p.name = "two\nlines"; }), "the realm's name is not printable text");
  EXPECT_EQ(message_of([](Policy& p) { p.expires_seconds = -1; }), "expires is out of range");
  EXPECT_EQ(message_of([](Policy& p) { p.realm = format::RealmId(); }), "the realm id is zeros");
}

TEST(release_threshold, is_the_larger_of_the_realms_and_the_registrys) {
  Policy policy = policy_with_pairs();
  policy.threshold_release = 1;
  policy.registries[0].threshold = 3;
  EXPECT_EQ(policy.release_threshold(policy.registries[0]), 3U);
  policy.threshold_release = 3;
  policy.registries[0].threshold = 1;
  EXPECT_EQ(policy.release_threshold(policy.registries[0]), 3U);
}

TEST(policy_rules, policy_refuses_an_ed25519_key_of_small_order) {
  // Under the neutral element, R = the neutral element and S = 0 is a signature of any message.
  const auto neutral = crypto::Ed25519PublicKey::from_hex("01" + std::string(62, '0')).value();
  crypto::Ed25519Signature forged;
  forged.mutable_view()[0] = 1;
  EXPECT_TRUE(crypto::verify(neutral, as_bytes("anything"), forged).ok()) << "libcrypto does not look: we have to";
  for (const std::string& hex : {"01" + std::string(62, '0'), std::string("ec") + std::string(60, 'f') + "7f",
                                 std::string("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
                                 std::string("ee") + std::string(62, 'f')}) {
    const auto key = crypto::Ed25519PublicKey::from_hex(hex).value();
    testing::TestRealm realm = testing::make_realm();
    for (crypto::Ed25519PublicKey* place :
         {&realm.policy.ceremony, &realm.policy.vaults[1].identity, &realm.policy.vaults[1].receipt,
          &realm.policy.sites[0].identity, &realm.policy.registries[0].writer}) {
      const crypto::Ed25519PublicKey good = std::exchange(*place, key);
      const Status refused = check_rules(realm.policy);
      ASSERT_FALSE(refused.ok()) << hex;
      EXPECT_NE(refused.error().message().find("has a key of small order"), std::string::npos);
      *place = good;
    }
    EXPECT_TRUE(check_rules(realm.policy).ok());
  }
}

}  // namespace
}  // namespace exclave::policy
