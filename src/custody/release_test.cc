#include "custody/release.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/text.h"
#include "custody/detail/approval.h"
#include "custody/testing/world.h"
#include "policy/fields.h"

namespace exclave::custody {
namespace {

using ::testing::HasSubstr;
using testing::kToday;
using testing::TestCard;
using testing::TestPaper;
using testing::World;

class Release : public ::testing::Test {
 protected:
  static World& world() {
    static World world;
    return world;
  }
  static std::string error_of(const Status& status) { return status.ok() ? "accepted" : status.error().message(); }
  static std::string error_of_request(const std::function<void(ReleaseRequest&)>& change) {
    ReleaseRequest request = world().request();
    change(request);
    return error_of(check_release(world().policy, SignedRelease::sign(request, world().realm.site).take()));
  }
};

// `document` with its line `number` (from 1) replaced.
std::string with_line(const std::string& document, std::size_t number, const std::string& line) {
  std::string changed;
  std::size_t at = 0;
  for (const std::string_view each : split(std::string_view(document).substr(0, document.size() - 1), '\n')) {
    changed += (++at == number ? line : std::string(each)) + "\n";
  }
  return changed;
}

TEST_F(Release, request_reads_back_as_it_was_signed) {
  const SignedRelease made = world().release();
  const auto read = SignedRelease::parse(as_bytes(made.document), "r");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().request.text(), made.request.text());
  EXPECT_EQ(read.value().id, made.id);
  EXPECT_EQ(read.value().id.hex(), crypto::sha256(as_bytes(made.request.text())).hex());
  EXPECT_TRUE(check_release(world().policy, read.value()).ok());
}

TEST_F(Release, request_grammar_names_the_line_of_every_error) {
  // 1 domain, 2 realm, 3 registry, 4 registry-name, 5 era, 6 and 7 period, 8 site, 9 site-identity, 10 recipient,
  // 11 policy-version, 12 policy-hash, 13 approvals, 14 reason, 15 not-after, 16 nonce, 17 empty, 18 signature.
  const std::string good = world().release().document;
  const auto error_with = [&](std::size_t number, const std::string& line) {
    const auto read = SignedRelease::parse(as_bytes(with_line(good, number, line)), "r");
    return read.ok() ? std::string("accepted") : read.error().message();
  };
  EXPECT_EQ(error_with(1, "exclave/release/v2"), "r: is exclave/release/v2, this program knows exclave/release/v1");
  EXPECT_EQ(error_with(2, "realm 0"), "r: line 2: hexadecimal value has 1 digits instead of 32");
  EXPECT_EQ(error_with(3, "registry 0"), "r: line 3: hexadecimal value has 1 digits instead of 32");
  EXPECT_EQ(error_with(4, "registry-name Land Register"),
            "r: line 4: registry-name name 'Land Register' is not usable");
  EXPECT_EQ(error_with(5, "era 0"), "r: line 5: the first era is 1");
  EXPECT_EQ(error_with(6, "period 2-3"), "r: line 6: '2-3' is not a whole number in range");
  EXPECT_EQ(error_with(7, "period 2"), "r: line 7: periods are not in ascending order");
  EXPECT_EQ(error_with(7, "period 1"), "r: line 7: periods are not in ascending order");
  EXPECT_EQ(error_with(8, "site "), "r: line 8: has an ill-formed value");
  EXPECT_EQ(error_with(9, "site-identity 0"), "r: line 9: hexadecimal value has 1 digits instead of 64");
  EXPECT_EQ(error_with(10, "recipient " + std::string(64, '0')).substr(0, 12), "r: line 10: ") << "small order";
  EXPECT_EQ(error_with(11, "policy-version one"), "r: line 11: 'one' is not a whole number in range");
  EXPECT_EQ(error_with(12, "policy-hash 00"), "r: line 12: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(13, "approvals 0"), "r: line 13: a release needs at least one approval");
  EXPECT_EQ(error_with(14, "reasons none"), "r: line 14: expected 'reason', found 'reasons'");
  EXPECT_EQ(error_with(14, "reason a\x1b[2Jb"), "r: line 14: has an ill-formed value");
  EXPECT_EQ(error_with(15, "not-after soon"), "r: line 15: 'soon' is not a whole number in range");
  EXPECT_EQ(error_with(16, "nonce 0"), "r: line 16: hexadecimal value has 1 digits instead of 32");
  EXPECT_EQ(error_with(16, "veto none"), "r: line 16: expected 'nonce', found 'veto'");
  EXPECT_EQ(error_with(18, "signature lisbon " + to_base64(Bytes(64))),
            "r: its signature is not an Ed25519 signature by 'site'");
  std::string all_periods;
  for (int p = 3; p < 82; ++p) all_periods += "period " + std::to_string(p) + "\n";
  all_periods.pop_back();
  EXPECT_EQ(error_with(7, all_periods), "accepted");
  EXPECT_EQ(error_with(7, all_periods + "\nperiod 99"), "r: line 86: a release names at most 80 periods");
}

TEST_F(Release, approval_grammar_names_the_line_of_every_error) {
  // 1 domain, 2 release, 3 official, 4 x, 5 and 6 share, 7 empty, 8 signature.
  const std::string good = world().approve(world().release(), "bob").value();
  ASSERT_TRUE(detail::Approval::parse(as_bytes(good), "a").ok());
  const auto error_with = [&](std::size_t number, const std::string& line) {
    const auto read = detail::Approval::parse(as_bytes(with_line(good, number, line)), "a");
    return read.ok() ? std::string("accepted") : read.error().message();
  };
  const std::string salt(64, '1');
  EXPECT_EQ(error_with(1, "exclave/approval/v9"), "a: is exclave/approval/v9, this program knows exclave/approval/v1");
  EXPECT_EQ(error_with(2, "release 00"), "a: line 2: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(3, "official Bob"), "a: line 3: official name 'Bob' is not usable");
  EXPECT_EQ(error_with(4, "x 0"), "a: line 4: a share index is 1..255");
  EXPECT_EQ(error_with(4, "x 256"), "a: line 4: a share index is 1..255");
  EXPECT_EQ(error_with(5, "share 2 " + salt), "a: line 5: has 2 words separated by single spaces instead of 3");
  EXPECT_EQ(error_with(5, "share 2 11 AAAA"), "a: line 5: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(5, "share 2 " + salt + " AA"), "a: line 5: value is not canonical base64");
  EXPECT_EQ(error_with(6, "share 2 " + salt + " AAAA"), "a: line 6: periods are not in ascending order");
  EXPECT_EQ(error_with(6, "note thanks"), "a: line 6: unexpected field 'note'");
  EXPECT_EQ(error_with(8, "signature alice " + to_base64(Bytes(96))),
            "a: its signature is not a P-384 signature by 'bob'");
  EXPECT_EQ(error_with(8, "signature bob " + to_base64(Bytes(64))),
            "a: its signature is not a P-384 signature by 'bob'");
}

TEST_F(Release, request_is_held_against_the_policy) {
  EXPECT_EQ(error_of_request([](ReleaseRequest&) {}), "accepted");
  EXPECT_EQ(error_of_request([](ReleaseRequest& r) { r.realm = format::RealmId(); }),
            "release request: belongs to another realm");
  EXPECT_THAT(error_of_request([](ReleaseRequest& r) { r.policy_version = format::PolicyVersion(2); }),
              HasSubstr("names policy version 2"));
  EXPECT_THAT(error_of_request([](ReleaseRequest& r) { r.policy_hash.mutable_view()[0] ^= 1; }),
              HasSubstr("the policy at hand is version 1"));
  EXPECT_EQ(error_of_request([](ReleaseRequest& r) { r.registry = format::RegistryId(); }),
            "release request: the policy has no such registry");
  EXPECT_EQ(error_of_request([](ReleaseRequest& r) { r.registry_name = "harmless"; }),
            "release request: its registry id is that of 'land', not of 'harmless'");
  EXPECT_EQ(error_of_request([](ReleaseRequest& r) { r.site = "berlin"; }),
            "release request: the identity key is that of site 'lisbon', not of 'berlin'");
  EXPECT_EQ(error_of_request([](ReleaseRequest& r) { r.approvals = 6; }),
            "release request: asks for 6 approvals, the policy has 5 officials");
  ReleaseRequest empty = world().request();
  empty.periods.clear();
  EXPECT_FALSE(SignedRelease::sign(empty, world().realm.site).ok()) << "names no period";
}

TEST_F(Release, opens_exactly_the_periods_asked_for_with_keys_that_fit_the_agents) {
  const SignedRelease release = world().release();
  const auto combined = world().combine(release, world().approvals(release, {"erin", "alice", "carol"}));
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  EXPECT_EQ(combined.value().approved_by, (std::vector<std::string>{"erin", "alice", "carol"}));
  EXPECT_TRUE(combined.value().blamed.empty());
  ASSERT_EQ(combined.value().keys.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const format::OpeningKey& key = combined.value().keys[i];
    EXPECT_EQ(key.id.period.value(), i + 2);
    EXPECT_EQ(key.id.registry, release.request.registry);
    const format::SealingKey* sealing = world().ceremony.agent_keys.key_for(key.id.period);
    ASSERT_NE(sealing, nullptr);
    EXPECT_EQ(key.id, sealing->id);
    EXPECT_TRUE(equal(key.symmetric.view(), sealing->symmetric.view()));
    EXPECT_EQ(crypto::x25519_public_key(key.decapsulation), sealing->encapsulation);
  }
}

TEST_F(Release, opens_with_every_three_of_five_approvals_in_any_order) {
  const SignedRelease release = world().release();
  const std::vector<ApprovalFile> all = world().approvals(release, {"alice", "bob", "carol", "dave", "erin"});
  std::size_t opened = 0;
  for (std::size_t a = 0; a < 5; ++a) {
    for (std::size_t b = 0; b < 5; ++b) {
      for (std::size_t c = 0; c < 5; ++c) {
        if (a == b || b == c || a == c) continue;
        opened += world().combine(release, {all[a], all[b], all[c]}).ok() ? 1U : 0U;
      }
    }
  }
  EXPECT_EQ(opened, 60U);
}

TEST_F(Release, uses_exactly_as_many_approvals_as_it_asked_for) {
  ReleaseRequest request = world().request();
  request.approvals = 4;
  const SignedRelease release = SignedRelease::sign(request, world().realm.site).take();
  const std::vector<ApprovalFile> all = world().approvals(release, {"alice", "bob", "carol", "dave", "erin"});
  EXPECT_EQ(world().combine(release, all).value().approved_by,
            (std::vector<std::string>{"alice", "bob", "carol", "dave"}));
  const auto three = world().combine(release, {all[0], all[1], all[2]});
  ASSERT_FALSE(three.ok()) << "the officials were told that four are needed";
  EXPECT_EQ(three.error().message(), "3 of 4 needed approvals are valid: alice, bob, carol; missing 1");
}

TEST_F(Release, is_approved_with_the_paper_key_when_the_card_cannot_decrypt) {
  const SignedRelease release = world().release();
  std::vector<ApprovalFile> files = world().approvals(release, {"alice", "bob"});
  TestCard card(world().realm.official("carol"));
  TestPaper paper(world().realm.official("carol"));
  const auto by_paper = approve_release(world().random, {world().policy}, release, world().ceremony.era,
                                        as_bytes(world().leaf_of("carol")), card, paper, kToday);
  ASSERT_TRUE(by_paper.ok()) << by_paper.error().message();
  files.push_back({"carol", to_bytes(by_paper.value())});
  EXPECT_TRUE(world().combine(release, files).ok());
}

TEST_F(Release, is_not_approved_with_two_persons_keys_a_foreign_leaf_or_a_key_that_is_not_pinned) {
  const SignedRelease release = world().release();
  const auto code_of = [&](Credential& signer, Credential& opener, std::string_view leaf) {
    const auto result = approve_release(world().random, {world().policy}, release, world().ceremony.era,
                                        as_bytes(world().leaf_of(leaf)), signer, opener, kToday);
    return result.ok() ? Code::Bug : result.error().code();
  };
  TestCard alice(world().realm.official("alice"));
  TestPaper bob(world().realm.official("bob"));
  EXPECT_EQ(code_of(alice, bob, "bob"), Code::InvalidInput);
  EXPECT_EQ(code_of(alice, alice, "bob"), Code::Denied);

  policy::testing::TestOfficial renewed{
      "alice", crypto::P384PrivateKey::from_random(policy::testing::seeded_secret<64>("new card")),
      crypto::P384PrivateKey::from_random(policy::testing::seeded_secret<64>("alice decrypt")),
      policy::testing::seeded_secret<32>("alice paper")};
  TestCard not_pinned(renewed);
  EXPECT_EQ(code_of(not_pinned, not_pinned, "alice"), Code::Denied);

  const policy::testing::TestOfficial stranger = policy::testing::make_official("zoe");
  TestCard zoe(stranger);
  EXPECT_EQ(code_of(zoe, zoe, "alice"), Code::Denied);
}

TEST_F(Release, is_not_combined_with_a_recipient_key_or_an_era_that_is_not_its_own) {
  const SignedRelease release = world().release();
  const std::vector<ApprovalFile> files = world().approvals(release, {"alice", "bob", "carol"});
  const auto foreign_key = combine_release({world().policy}, release, world().ceremony.era, files,
                                           policy::testing::seeded_secret<32>("another recipient"));
  ASSERT_FALSE(foreign_key.ok());
  EXPECT_EQ(foreign_key.error().code(), Code::InvalidInput);

  testing::SeededRandom random("second");
  CeremonyRequest request = testing::ceremony_request(world().realm.policy, 6);
  request.era = format::EraNumber(2);
  const CeremonyResult second = hold_ceremony(random, request, world().realm.ceremony).take();
  const auto foreign_era = combine_release({world().policy}, release, second.era, files, world().recipient);
  ASSERT_FALSE(foreign_era.ok());
  EXPECT_EQ(foreign_era.error().message(), "the era document at hand is not of era 1 of registry 'land'");
}

TEST_F(Release, opens_an_era_of_an_earlier_ceremony_key_and_threshold_under_the_policy_that_changed_them) {
  policy::Policy next = world().policy.policy;
  next.version = format::PolicyVersion(2);
  next.previous = world().policy.hash;
  next.ceremony = policy::testing::machine_key("another ceremony").public_key();
  next.threshold_release = 2;
  next.registries[0].threshold = 2;
  next.registries[0].eras = 1;
  const std::vector<policy::SignedPolicy> chain = {
      world().policy, world().realm.signed_by(next, {"alice", "bob", "carol", "dave", "erin"})};
  ReleaseRequest request = world().request();
  request.policy_version = next.version;
  request.policy_hash = chain.back().hash;
  const auto approve = [&](const SignedRelease& release, std::string_view official) {
    TestCard card(world().realm.official(official));
    return approve_release(world().random, chain, release, world().ceremony.era, as_bytes(world().leaf_of(official)),
                           card, card, testing::kToday);
  };

  request.approvals = 2;  // what the new policy asks; the era's keys are shared three of five
  const auto refused = approve(SignedRelease::sign(request, world().realm.site).take(), "alice");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "release request: era 1 needs 3 shares, the release asks for 2 approvals only");

  request.approvals = 3;
  const SignedRelease release = SignedRelease::sign(request, world().realm.site).take();
  std::vector<ApprovalFile> files;
  for (const std::string_view name : {"alice", "bob", "carol"}) {
    auto approval = approve(release, name);
    ASSERT_TRUE(approval.ok()) << approval.error().message();
    files.push_back({std::string(name), to_bytes(approval.value())});
  }
  const auto combined = combine_release(chain, release, world().ceremony.era, files, world().recipient);
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  EXPECT_EQ(combined.value().keys.size(), 2U);
  EXPECT_FALSE(combine_release({chain.back()}, release, world().ceremony.era, files, world().recipient).ok())
      << "only the version that it was opened under vouches for the era";
}

TEST_F(Release, whose_era_publishes_a_wrong_key_is_corrupt_although_every_share_fits) {
  // A ceremony that published another key for period 2, with the right commitments: nobody's share is to blame.
  World wrong;
  wrong.ceremony.era.era.periods[2].encapsulation =
      crypto::x25519_public_key(policy::testing::seeded_secret<32>("wrong"));
  wrong.ceremony.era = policy::SignedEra::sign(wrong.ceremony.era.era, wrong.realm.ceremony);
  const SignedRelease release = wrong.release();
  const auto combined = wrong.combine(release, wrong.approvals(release, {"alice", "bob", "carol"}));
  ASSERT_FALSE(combined.ok());
  EXPECT_EQ(combined.error().code(), Code::Corrupt);
  EXPECT_THAT(combined.error().message(), HasSubstr("period 2: the shares fit their commitments"));
}

TEST_F(Release, ignores_files_that_are_no_approvals_and_names_them) {
  const SignedRelease release = world().release();
  std::vector<ApprovalFile> files = world().approvals(release, {"alice", "bob", "carol"});
  files.insert(files.begin(), {"notes.txt", to_bytes("hello\n")});
  files.insert(files.begin(), {"evil\x1b[2J", Bytes(1000, 0xff)});
  const auto combined = world().combine(release, files);
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  EXPECT_EQ(combined.value().blamed,
            (std::vector<std::string>{"evil\\x1b[2J: line 1: is not an exclave/approval/v1 document",
                                      "notes.txt: line 1: is not an exclave/approval/v1 document"}));
  EXPECT_TRUE(combined.value().bad_shares.empty()) << "nobody signed these";
}

TEST_F(Release, tells_a_bad_share_that_an_official_signed_from_files_that_are_nobodys_fault) {
  const SignedRelease release = world().release();
  std::vector<ApprovalFile> files = world().approvals(release, {"alice", "bob", "carol"});
  // Dave's station released another number than his share.
  const auto parsed = detail::Approval::parse(as_bytes(world().approve(release, "dave").take()), "dave").take();
  std::vector<detail::WrappedShare> shares = parsed.shares;
  shares[0].salt[0] ^= 1;
  std::string bad = detail::approval_text(release.id, "dave", parsed.x, shares);
  TestCard dave(world().realm.official("dave"));
  format::append_signature(bad, "dave", dave.sign(as_bytes(bad)).take().view());
  files.push_back({"dave.approval", to_bytes(bad)});
  // And somebody wrote one in Erin's name.
  std::string forged = detail::approval_text(release.id, "erin", 5, shares);
  format::append_signature(forged, "erin", dave.sign(as_bytes(forged)).take().view());
  files.push_back({"erin.approval", to_bytes(forged)});

  const auto combined = world().combine(release, files);
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  EXPECT_EQ(combined.value().bad_shares,
            (std::vector<std::string>{"dave: share for period 2 does not match its commitment"}));
  EXPECT_EQ(combined.value().blamed,
            (std::vector<std::string>{"dave: share for period 2 does not match its commitment",
                                      "erin.approval: the signature under the name of erin is wrong"}));
}

TEST_F(Release, names_no_period_that_the_era_does_not_have_whatever_a_vault_says) {
  const policy::Era& era = world().ceremony.era.era;  // of six periods
  const auto asked = [&](std::uint32_t first, std::uint32_t last) {
    return periods_of_request(era, format::PeriodNumber(first), format::PeriodNumber(last));
  };
  const auto whole = asked(0, 5);
  ASSERT_TRUE(whole.ok()) << whole.error().message();
  EXPECT_EQ(whole.value().size(), 6U);
  ASSERT_TRUE(asked(5, 5).ok());
  EXPECT_EQ(asked(5, 5).value(), std::vector<format::PeriodNumber>{format::PeriodNumber(5)});
  for (const auto& [first, last] : {std::pair{0U, 6U}, {2U, 1U}, {0U, 0xffffffffU}, {0xffffffffU, 0xffffffffU}}) {
    const auto refused = asked(first, last);
    ASSERT_FALSE(refused.ok()) << first << " to " << last;
    EXPECT_EQ(refused.error().code(), Code::Corrupt);
    EXPECT_THAT(refused.error().message(), HasSubstr("era 1 has periods 0 to 5"));
  }
}

TEST_F(Release, is_asked_for_only_if_enough_of_the_policys_officials_hold_shares_of_the_era) {
  const policy::Era& era = world().ceremony.era.era;
  policy::Policy next = world().policy.policy;
  next.version = format::PolicyVersion(2);
  EXPECT_TRUE(check_holders(next, era, 5).ok());
  next.officials[1].name = "frank";  // renewed one by one, after the era's ceremony
  next.officials[2].name = "grace";
  EXPECT_TRUE(check_holders(next, era, 3).ok());
  next.officials[3].name = "heidi";
  const Status refused = check_holders(next, era, 3);
  ASSERT_FALSE(refused.ok()) << "five could approve, and nothing would open";
  EXPECT_EQ(refused.error().code(), Code::Precondition);
  EXPECT_EQ(refused.error().message(),
            "2 of the officials of policy version 2 hold shares of era 1, and 3 approvals are needed");
  EXPECT_FALSE(refused.error().hint_text().empty());
}

TEST_F(Release, in_words_says_what_who_when_and_why_before_the_exact_text) {
  const SignedRelease release = world().release();
  const std::string words = release_in_words(world().policy, release, testing::kToday, &world().ceremony.era);
  for (const char* said : {"registry 'land'", "site 'lisbon'", "period 2: 2027-01-29T08:00:00Z to 2027-02-05T08:00:00Z",
                           "period 3: 2027-02-05T08:00:00Z to 2027-02-12T08:00:00Z",
                           "drill 14: restore the land register abroad", "3 of 5 officials of 'Testland'",
                           "2027-02-19T09:00:00Z", "version 1, fingerprint ", "Recipient key: fingerprint "}) {
    EXPECT_THAT(words, HasSubstr(said));
  }
  EXPECT_TRUE(words.starts_with("Can be approved until 2027-02-19T09:00:00Z.\n"));
  EXPECT_THAT(words, HasSubstr("sign for:\n\n" + release.request.text() + "\nOnce more"));
  EXPECT_THAT(release_in_words(world().policy, release, testing::kToday + 3601, &world().ceremony.era),
              ::testing::StartsWith("EXPIRED at 2027-02-19T09:00:00Z: do not approve."));
  const std::string hash = world().policy.hash.hex();
  EXPECT_THAT(words, HasSubstr(hash.substr(0, 8) + " " + hash.substr(8, 8)));
}

TEST_F(Release, in_words_shows_no_dates_without_the_right_era_and_warns_of_a_period_outside_it) {
  ReleaseRequest request = world().request();
  const SignedRelease release = SignedRelease::sign(request, world().realm.site).take();
  EXPECT_THAT(release_in_words(world().policy, release, testing::kToday),
              HasSubstr("period 2 (its dates stand in the era document)"));
  request.periods.push_back(format::PeriodNumber(77));
  EXPECT_THAT(release_in_words(world().policy, SignedRelease::sign(request, world().realm.site).take(), testing::kToday,
                               &world().ceremony.era),
              HasSubstr("period 77 (NOT IN THIS ERA: do not approve)"));
  request.era = format::EraNumber(2);
  EXPECT_THAT(release_in_words(world().policy, SignedRelease::sign(request, world().realm.site).take(), testing::kToday,
                               &world().ceremony.era),
              HasSubstr("period 2 (its dates stand in the era document)"));
}

TEST_F(Release, release_words_keep_a_reason_behind_its_own_margin) {
  ReleaseRequest request = world().request();
  const std::string false_lines =
      "Approvals: 1 of 5 officials are needed Policy: version 1, fingerprint 00000000 THIS IS A DRILL ";
  for (int i = 0; i < 5; ++i) request.reason = (i == 0 ? "" : request.reason + " ") + false_lines.substr(0, 90);
  request.reason += std::string("\xe6\xbc\x94\xe7\xbf\x92") + std::string(30, 'x');
  ASSERT_TRUE(check_reason(request.reason).ok());
  const SignedRelease release = SignedRelease::sign(request, world().realm.site).take();
  const std::string words = release_in_words(world().policy, release, testing::kToday, &world().ceremony.era);
  const std::size_t exact = words.find("The exact text that you sign for:");
  const std::size_t facts = words.find("\nApprovals:     3 of 5 officials");
  ASSERT_LT(facts, exact);
  std::string joined;
  std::size_t number = 0;
  for (const std::string_view line : split(std::string_view(words).substr(0, facts), '\n')) {
    if (!line.starts_with("  | ")) {
      EXPECT_EQ(line.find("Approvals"), std::string_view::npos) << line;
      EXPECT_EQ(line.find("DRILL"), std::string_view::npos) << line;
      continue;
    }
    EXPECT_LE(line.size(), 4U + 72 + 4) << "two of its characters have three bytes each";
    joined += (number++ == 0 ? "" : " ") + std::string(line.substr(4));
  }
  EXPECT_GT(number, 6U);
  EXPECT_EQ(joined, request.reason);
  EXPECT_NE(words.find("\nApprovals:     3 of 5 officials", exact), std::string::npos) << "the facts come last, too";

  const auto refusal = [&](const std::string& reason) {
    ReleaseRequest changed = request;
    changed.reason = reason;
    const auto made = SignedRelease::sign(changed, world().realm.site);
    return made.ok() ? std::string("taken") : made.error().message();
  };
  EXPECT_EQ(refusal(std::string(500, 'r')), "taken");
  EXPECT_EQ(refusal(std::string(501, 'r')), "release request: the reason is longer than 500 bytes");
  EXPECT_EQ(refusal("a  b"), "release request: the reason has two spaces in a row");
  EXPECT_EQ(refusal("a\xc2\xa0"
                    "b"),
            "release request: the reason is not one line of plain text");
  EXPECT_EQ(refusal("a\nb"), "release request: the reason is not one line of plain text");
  // Whoever signs with the site's key by other means is refused by the station.
  std::string text = request.text();
  text.replace(text.find("Policy: version"), 8, "Policy  ");
  const std::string document = format::with_signature(text, "site", world().realm.site.sign(as_bytes(text)).view());
  EXPECT_THAT(SignedRelease::parse(as_bytes(document), "r").error().message(), HasSubstr("two spaces in a row"));
}

TEST_F(Release, release_request_parses_what_it_wrote) {
  ReleaseRequest request = world().request();
  request.not_after_seconds = 9'000'000'001;
  EXPECT_FALSE(SignedRelease::sign(request, world().realm.site).ok()) << "nobody could read it";
  request.not_after_seconds = 9'000'000'000;
  const auto made = SignedRelease::sign(request, world().realm.site);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made.value().request.text(), request.text());
  EXPECT_EQ(SignedRelease::parse(as_bytes(made.value().document), "r").value().id, made.value().id);
}

}  // namespace
}  // namespace exclave::custody
