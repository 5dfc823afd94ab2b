// Attacks by officials, on officials, and in their name: rows O1, O2, O4, O5 and O10 of docs/threat-model.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "crypto/shamir.h"
#include "custody/release.h"
#include "custody/testing/world.h"
#include "policy/testing/realm.h"

namespace exclave::custody {
namespace {

using ::testing::HasSubstr;
using testing::kToday;
using testing::TestCard;
using testing::World;

class Officials : public ::testing::Test {
 protected:
  World world_;
  SignedRelease release_ = world_.release();

  // What the station of `official` answers to `release` at `now`; empty if it approves.
  std::string refusal(const SignedRelease& release, std::int64_t now = kToday) {
    TestCard card(world_.realm.official("alice"));
    const auto answer = approve_release(world_.random, {world_.policy}, release, world_.ceremony.era,
                                        as_bytes(world_.leaf_of("alice")), card, card, now);
    return answer.ok() ? "" : answer.error().message();
  }
  std::string refusal_of(void (*change)(ReleaseRequest&)) {
    ReleaseRequest request = world_.request();
    change(request);
    return refusal(SignedRelease::sign(request, world_.realm.site).take());
  }
  OpenedLeaf leaf(std::string_view official) {
    TestCard card(world_.realm.official(official));
    return open_leaf(as_bytes(world_.leaf_of(official)), world_.ceremony.era, {world_.policy}, card).take();
  }

  // docs/formats/release.md, written down once more: what a dishonest official's own program would do.
  Bytes wrap(std::string_view official, std::uint32_t period, ByteView y, const crypto::X25519PublicKey& recipient) {
    Bytes context = to_bytes("exclave/approval/v1");
    context.push_back(0);
    append(context, release_.id.view());
    append(context, as_bytes(official));
    context.resize(context.size() + 4);
    store_u32(MutableByteView(context).last(4), period);
    crypto::Secret<32> ephemeral;
    CHECK(world_.random.fill(ephemeral.mutable_view()).ok());
    return crypto::wrap_to_x25519(recipient, context, y, ephemeral);
  }
  struct Forged {
    std::uint32_t period;
    Bytes salt;
    Bytes wrapped;
  };
  ApprovalFile forge(const std::string& official, unsigned x, const std::vector<Forged>& shares,
                     const std::string& signing_key_of) {
    std::string text = "exclave/approval/v1\nrelease " + release_.id.hex() + "\nofficial " + official + "\nx " +
                       std::to_string(x) + "\n";
    for (const Forged& share : shares) {
      text +=
          "share " + std::to_string(share.period) + " " + to_hex(share.salt) + " " + to_base64(share.wrapped) + "\n";
    }
    std::string document = text;
    format::append_signature(document, official,
                             world_.realm.official(signing_key_of).sign.sign(as_bytes(text)).view());
    return {"forged-" + official + ".approval", to_bytes(document)};
  }
  // The shares that an honest `official` would send, to be spoilt.
  std::vector<Forged> honest_shares(const std::string& official) {
    const OpenedLeaf opened = leaf(official);
    std::vector<Forged> shares;
    for (const std::uint32_t period : {2U, 3U}) {
      shares.push_back({period, opened.shares[period].salt,
                        wrap(official, period, opened.shares[period].y.view(), release_.request.recipient)});
    }
    return shares;
  }
};

// --- O1: one fewer than the threshold ---

TEST_F(Officials, O1_one_approval_fewer_than_the_threshold_opens_nothing_and_says_who_is_missing) {
  const auto two = world_.combine(release_, world_.approvals(release_, {"alice", "bob"}));
  ASSERT_FALSE(two.ok());
  EXPECT_EQ(two.error().code(), Code::Denied);
  EXPECT_EQ(two.error().message(), "2 of 3 needed approvals are valid: alice, bob; missing 1");
  EXPECT_THAT(two.error().hint_text(), HasSubstr("exclave release approve"));
  const auto none = world_.combine(release_, {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message(), "0 of 3 needed approvals are valid; missing 3");
}

TEST_F(Officials, O1_two_who_pool_their_opened_leaves_cannot_compute_any_periods_key) {
  const OpenedLeaf alice = leaf("alice");
  const OpenedLeaf bob = leaf("bob");
  for (std::uint32_t period = 0; period < 6; ++period) {
    // Whatever the third share's byte were, some secret fits: they try the only thing there is, to combine two.
    const crypto::Share a{alice.x, crypto::SecretBytes(to_bytes(alice.shares[period].y.view()))};
    const crypto::Share b{bob.x, crypto::SecretBytes(to_bytes(bob.shares[period].y.view()))};
    const crypto::SecretBytes guess = crypto::combine_shares({&a, &b}).take();
    const format::OpeningKey key = format::derive_opening_key({}, crypto::Secret<32>::from_view(guess.view()));
    EXPECT_NE(crypto::x25519_public_key(key.decapsulation), world_.ceremony.era.era.periods[period].encapsulation);
    EXPECT_FALSE(equal(key.symmetric.view(), world_.ceremony.agent_keys.periods[period].symmetric.view()));
  }
}

TEST_F(Officials, O1_every_secret_is_possible_to_two_who_pool_their_shares) {
  // For the first byte of a period's secret: each of the 256 values is explained by exactly one share of carol's.
  const OpenedLeaf alice = leaf("alice");
  const OpenedLeaf bob = leaf("bob");
  std::vector<bool> possible(256);
  for (unsigned value = 0; value < 256; ++value) {
    const crypto::Share a{alice.x, crypto::SecretBytes(Bytes{alice.shares[3].y.view()[0]})};
    const crypto::Share b{bob.x, crypto::SecretBytes(Bytes{bob.shares[3].y.view()[0]})};
    const crypto::Share c{3, crypto::SecretBytes(Bytes{static_cast<Byte>(value)})};
    possible[crypto::combine_shares({&a, &b, &c}).take().view()[0]] = true;
  }
  EXPECT_EQ(std::count(possible.begin(), possible.end(), true), 256);
}

TEST_F(Officials, O1_a_site_cannot_talk_the_station_into_fewer_approvals_than_the_policy_demands) {
  EXPECT_EQ(refusal_of([](ReleaseRequest& r) { r.approvals = 2; }),
            "release request: asks for 2 approvals, the policy demands 3 for registry 'land'");
  ReleaseRequest request = world_.request();
  request.approvals = 2;
  const SignedRelease cheap = SignedRelease::sign(request, world_.realm.site).take();
  EXPECT_FALSE(world_.combine(cheap, {}).ok()) << "nor its own program";
}

TEST_F(Officials, O1_an_era_with_a_lower_threshold_than_the_policys_is_not_used) {
  policy::Era weak = world_.ceremony.era.era;
  weak.threshold = 1;
  const policy::SignedEra era = policy::SignedEra::sign(weak, world_.realm.ceremony);
  TestCard card(world_.realm.official("alice"));
  const auto answer = approve_release(world_.random, {world_.policy}, release_, era, as_bytes(world_.leaf_of("alice")),
                                      card, card, kToday);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code(), Code::Denied);
}

// --- O2: one person counts once ---

TEST_F(Officials, O2_the_same_approval_handed_in_three_times_counts_once) {
  const ApprovalFile alice = world_.approvals(release_, {"alice"})[0];
  const auto refused = world_.combine(release_, {alice, {"copy", alice.document}, {"copy of copy", alice.document}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "1 of 3 needed approvals are valid: alice; missing 2");
}

TEST_F(Officials, O2_one_official_who_approves_three_times_anew_counts_once) {
  const auto files = world_.approvals(release_, {"alice", "alice", "alice", "bob"});
  EXPECT_NE(files[0].document, files[1].document);
  const auto refused = world_.combine(release_, files);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "2 of 3 needed approvals are valid: alice, bob; missing 1");
}

TEST_F(Officials, O2_an_official_cannot_sign_under_a_colleagues_name) {
  std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "bob"});
  // Bob knows everything of carol's approval but her signing key.
  files.push_back(forge("carol", 3, honest_shares("carol"), "bob"));
  const auto refused = world_.combine(release_, files);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("2 of 3 needed approvals are valid: alice, bob; missing 1"));
}

TEST_F(Officials, O2_no_policy_gives_two_officials_one_key_or_one_person_two_places) {
  for (int which = 0; which < 4; ++which) {
    policy::Policy bad = world_.realm.policy;
    if (which == 0) bad.officials[1].sign = bad.officials[0].sign;
    if (which == 1) bad.officials[1].decrypt = bad.officials[0].decrypt;
    if (which == 2) bad.officials[1].paper = bad.officials[0].paper;
    if (which == 3) bad.officials[1].decrypt = bad.officials[0].sign;
    const auto parsed = policy::SignedPolicy::parse(as_bytes(bad.text()), "policy");
    ASSERT_FALSE(parsed.ok()) << which;
    EXPECT_THAT(parsed.error().message(), HasSubstr("has the same public key as official 'alice'"));
  }
}

TEST_F(Officials, O2_even_under_a_policy_that_was_never_checked_one_key_counts_once) {
  // A caller that builds its policy by hand: bob's place holds alice's signing key.
  policy::SignedPolicy unchecked = world_.policy;
  unchecked.policy.officials[1].sign = unchecked.policy.officials[0].sign;
  std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "carol"});
  files.push_back(forge("bob", 2, honest_shares("bob"), "alice"));
  const auto refused = combine_release({unchecked}, release_, world_.ceremony.era, files, world_.recipient);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "2 of 3 needed approvals are valid: alice, carol; missing 1");
}

// --- O4: old approvals, other scopes, expiry ---

TEST_F(Officials, O4_an_approval_of_another_request_is_not_counted) {
  ReleaseRequest yesterday = world_.request();
  yesterday.nonce.mutable_view()[0] ^= 1;  // the same in all but the nonce
  const SignedRelease old = SignedRelease::sign(yesterday, world_.realm.site).take();
  const std::vector<ApprovalFile> old_files = world_.approvals(old, {"alice", "bob", "carol"});
  const auto refused = world_.combine(release_, old_files);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("0 of 3 needed approvals are valid; missing 3"));
  EXPECT_THAT(refused.error().message(), HasSubstr("not counted: alice.approval: is for another release"));
  EXPECT_TRUE(world_.combine(old, old_files).ok());
}

TEST_F(Officials, O4_an_approval_rewritten_for_another_request_is_not_counted) {
  ReleaseRequest other = world_.request();
  other.reason = "another reason";
  const SignedRelease second = SignedRelease::sign(other, world_.realm.site).take();
  std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "bob", "carol"});
  for (ApprovalFile& file : files) {
    std::string document(as_text(file.document));
    document.replace(document.find(release_.id.hex()), 64, second.id.hex());
    file.document = to_bytes(document);
  }
  const auto refused = world_.combine(second, files);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("the signature under the name of alice is wrong"));
}

TEST_F(Officials, O4_an_expired_request_is_refused_by_the_stations_clock) {
  const std::int64_t end = release_.request.not_after_seconds;
  EXPECT_EQ(refusal(release_, end), "");
  EXPECT_EQ(refusal(release_, end + 1), "release request: expired at 2027-02-19T09:00:00Z");
}

TEST_F(Officials, O4_a_request_under_another_policy_version_is_refused) {
  EXPECT_THAT(refusal_of([](ReleaseRequest& r) { r.policy_version = format::PolicyVersion(2); }),
              HasSubstr("names policy version 2"));
  EXPECT_THAT(refusal_of([](ReleaseRequest& r) { r.policy_hash = policy::PolicyHash(); }),
              HasSubstr("the policy at hand is version 1"));
}

TEST_F(Officials, O4_a_request_with_periods_outside_the_era_is_refused) {
  EXPECT_EQ(refusal_of([](ReleaseRequest& r) { r.periods.push_back(format::PeriodNumber(6)); }),
            "release request: period 6 is outside era 1, which has 6 periods");
  EXPECT_EQ(refusal_of([](ReleaseRequest& r) { r.periods.push_back(format::PeriodNumber(0xffffffff)); }),
            "release request: period 4294967295 is outside era 1, which has 6 periods");
  EXPECT_EQ(refusal_of([](ReleaseRequest& r) { r.era = format::EraNumber(2); }),
            "the era document at hand is not of era 2 of registry 'land'");
}

TEST_F(Officials, O4_a_release_of_period_3_gives_nothing_of_period_4) {
  ReleaseRequest request = world_.request();
  request.periods = {format::PeriodNumber(3)};
  const SignedRelease release = SignedRelease::sign(request, world_.realm.site).take();
  const std::vector<ApprovalFile> files = world_.approvals(release, {"alice", "bob", "carol"});
  for (const ApprovalFile& file : files) {
    const std::string_view document = as_text(file.document);
    EXPECT_THAT(document, HasSubstr("\nshare 3 "));
    const std::size_t first = document.find("\nshare ");
    EXPECT_EQ(document.find("\nshare ", first + 1), std::string_view::npos) << "one share, of one period";
    const std::string name = file.source.substr(0, file.source.find('.'));
    for (const LeafShare& share : leaf(name).shares) {
      // Not even the salts of other periods leave the leaf; and no share at all in the clear.
      EXPECT_EQ(document.find(to_hex(share.salt)) != std::string_view::npos, share.period.value() == 3);
      EXPECT_EQ(document.find(to_hex(share.y.view())), std::string_view::npos);
      EXPECT_EQ(document.find(to_base64(share.y.view())), std::string_view::npos);
    }
  }
  const CombinedRelease combined = world_.combine(release, files).take();
  ASSERT_EQ(combined.keys.size(), 1U);
  EXPECT_EQ(combined.keys[0].id.period.value(), 3U);
  const auto& next = world_.ceremony.agent_keys.periods[4];
  EXPECT_FALSE(equal(combined.keys[0].symmetric.view(), next.symmetric.view()));
  EXPECT_NE(crypto::x25519_public_key(combined.keys[0].decapsulation), next.encapsulation);
}

// --- O5: a bad share ---

TEST_F(Officials, O5_a_bad_share_is_blamed_by_name_and_a_fourth_official_makes_up_for_it) {
  std::vector<Forged> bad = honest_shares("carol");
  Bytes wrong = to_bytes(leaf("carol").shares[3].y.view());
  wrong[7] ^= 1;
  bad[1].wrapped = wrap("carol", 3, wrong, release_.request.recipient);
  std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "bob"});
  files.insert(files.begin() + 1, forge("carol", 3, bad, "carol"));

  const auto refused = world_.combine(release_, files);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Denied);
  EXPECT_EQ(refused.error().message(),
            "2 of 3 needed approvals are valid: alice, bob; missing 1; not counted: carol: share for period 3 does not "
            "match its commitment");

  files.push_back(world_.approvals(release_, {"dave"})[0]);
  const auto tolerated = world_.combine(release_, files);
  ASSERT_TRUE(tolerated.ok()) << tolerated.error().message();
  EXPECT_EQ(tolerated.value().approved_by, (std::vector<std::string>{"alice", "bob", "dave"}));
  EXPECT_EQ(tolerated.value().blamed,
            (std::vector<std::string>{"carol: share for period 3 does not match its commitment"}));
}

TEST_F(Officials, O5_every_other_way_of_spoiling_an_approval_is_blamed_too) {
  const auto other_recipient = crypto::x25519_public_key(policy::testing::seeded_secret<32>("oslo's recipient"));
  const OpenedLeaf opened = leaf("carol");
  const auto blame_of = [&](const ApprovalFile& bad) {
    std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "bob", "dave"});
    files.insert(files.begin(), bad);
    const auto combined = world_.combine(release_, files);
    EXPECT_TRUE(combined.ok());
    return combined.ok() && combined.value().blamed.size() == 1 ? combined.value().blamed[0] : std::string("nobody");
  };
  std::vector<Forged> shares = honest_shares("carol");
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")), "nobody") << "the forge itself is a good approval";
  shares[0].salt[0] ^= 1;
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")), "carol: share for period 2 does not match its commitment");
  shares = honest_shares("carol");
  shares[0].wrapped = wrap("carol", 2, opened.shares[2].y.view(), other_recipient);
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")),
            "carol: share for period 2 was not sealed to this key, or was altered");
  shares = honest_shares("carol");
  shares[0].wrapped.clear();
  shares[0].wrapped.resize(3);
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")),
            "carol: share for period 2 was not sealed to this key, or was altered");
  shares = honest_shares("carol");
  shares[0].wrapped = wrap("carol", 2, ByteView(opened.shares[2].y.view()).first(31), release_.request.recipient);
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")), "carol: share for period 2 does not match its commitment");
  shares = honest_shares("carol");
  EXPECT_EQ(blame_of(forge("carol", 4, shares, "carol")), "carol: share index is not the official's");
  shares.pop_back();
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")), "carol: shares are not those of the periods asked for");
  shares = honest_shares("carol");
  shares.push_back({4, opened.shares[4].salt, wrap("carol", 4, opened.shares[4].y.view(), release_.request.recipient)});
  EXPECT_EQ(blame_of(forge("carol", 3, shares, "carol")), "carol: shares are not those of the periods asked for");
  shares = honest_shares("carol");
  EXPECT_EQ(blame_of(forge("erin", 3, shares, "erin")), "erin: share index is not the official's")
      << "erin hands in carol's shares";
}

TEST_F(Officials, O5_nobody_is_blamed_for_what_a_stranger_wrote_in_her_name) {
  std::vector<Forged> bad = honest_shares("carol");
  bad[0].wrapped.back() ^= 1;
  std::vector<ApprovalFile> files = {forge("carol", 3, bad, "erin")};
  for (ApprovalFile& good : world_.approvals(release_, {"alice", "bob", "carol"})) files.push_back(std::move(good));
  const auto combined = world_.combine(release_, files);
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  EXPECT_EQ(combined.value().approved_by, (std::vector<std::string>{"alice", "bob", "carol"}));
  EXPECT_EQ(combined.value().blamed,
            (std::vector<std::string>{"forged-carol.approval: the signature under the name of carol is wrong"}));
}

TEST_F(Officials, O5_an_official_who_first_sent_a_bad_share_can_send_a_good_one) {
  std::vector<Forged> bad = honest_shares("carol");
  bad[0].wrapped.back() ^= 1;
  std::vector<ApprovalFile> files = {forge("carol", 3, bad, "carol")};
  for (ApprovalFile& good : world_.approvals(release_, {"alice", "bob", "carol"})) files.push_back(std::move(good));
  EXPECT_TRUE(world_.combine(release_, files).ok());
}

// --- O10: another site's recipient key ---

TEST_F(Officials, O10_a_request_by_a_site_that_the_policy_does_not_pin_is_refused) {
  const crypto::Ed25519SigningKey rogue = policy::testing::machine_key("rogue site");
  ReleaseRequest request = world_.request();
  request.recipient = crypto::x25519_public_key(policy::testing::seeded_secret<32>("rogue recipient"));
  request.site_identity = rogue.public_key();
  EXPECT_EQ(refusal(SignedRelease::sign(request, rogue).take()),
            "release request: the policy pins no site with the identity key it names");
  request.site_identity = world_.realm.site.public_key();
  EXPECT_EQ(refusal(SignedRelease::sign(request, rogue).take()),
            "release request: its signature is not by site 'lisbon'");
}

TEST_F(Officials, O10_a_recipient_key_exchanged_on_the_way_is_refused) {
  std::string document = release_.document;
  const std::string theirs = crypto::x25519_public_key(policy::testing::seeded_secret<32>("another recipient")).hex();
  document.replace(document.find(release_.request.recipient.hex()), 64, theirs);
  const auto parsed = SignedRelease::parse(as_bytes(document), "request");
  ASSERT_TRUE(parsed.ok()) << "the grammar cannot tell";
  EXPECT_EQ(refusal(parsed.value()), "release request: its signature is not by site 'lisbon'");
}

TEST_F(Officials, O10_every_changed_byte_of_a_request_is_refused) {
  std::size_t parsed_ones = 0;
  for (std::size_t at = 0; at < release_.document.size(); at += 2) {
    std::string document = release_.document;
    document[at] = document[at] == '1' ? '2' : '1';
    const auto parsed = SignedRelease::parse(as_bytes(document), "request");
    if (document == release_.document || !parsed.ok()) continue;
    ++parsed_ones;
    EXPECT_FALSE(check_release(world_.policy, parsed.value()).ok()) << "byte " << at;
  }
  EXPECT_GT(parsed_ones, 100U);
}

TEST_F(Officials, O10_another_pinned_site_cannot_pass_its_recipient_key_off_as_lisbons) {
  const crypto::Ed25519SigningKey oslo = policy::testing::machine_key("site oslo");
  policy::Policy both = world_.realm.policy;
  both.sites.push_back({"oslo", oslo.public_key()});
  world_.policy = world_.realm.signed_by(both, {"alice", "bob", "carol"});
  ReleaseRequest request = world_.request();
  request.recipient = crypto::x25519_public_key(policy::testing::seeded_secret<32>("oslo's recipient"));
  EXPECT_EQ(refusal(SignedRelease::sign(request, oslo).take()),
            "release request: its signature is not by site 'lisbon'");
  request.site_identity = oslo.public_key();
  EXPECT_EQ(refusal(SignedRelease::sign(request, oslo).take()),
            "release request: the identity key is that of site 'oslo', not of 'lisbon'");
  request.site = "oslo";
  const SignedRelease honest = SignedRelease::sign(request, oslo).take();
  EXPECT_EQ(refusal(honest), "") << "under its own name the official reads 'oslo' and decides";
  EXPECT_THAT(release_in_words(world_.policy, honest, kToday, &world_.ceremony.era),
              HasSubstr("the site 'oslo' receives"));
}

TEST_F(Officials, O10_approvals_open_nothing_for_another_recipient_key) {
  const std::vector<ApprovalFile> files = world_.approvals(release_, {"alice", "bob", "carol"});
  // The thief has the approvals and a request of his own with the same text but his key; shares stay sealed to Lisbon.
  const crypto::Secret<32> thief = policy::testing::seeded_secret<32>("thief");
  EXPECT_FALSE(combine_release({world_.policy}, release_, world_.ceremony.era, files, thief).ok());
  for (const ApprovalFile& file : files) {
    const std::string_view document = as_text(file.document);
    const std::size_t share = document.find("share 2 ") + 8 + 65;
    const Bytes wrapped = from_base64(document.substr(share, document.find('\n', share) - share)).take();
    Bytes context = to_bytes("exclave/approval/v1");
    context.push_back(0);
    append(context, release_.id.view());
    append(context, as_bytes(file.source.substr(0, file.source.find('.'))));
    append(context, Bytes{0, 0, 0, 2});
    EXPECT_TRUE(crypto::unwrap_with_x25519(world_.recipient, context, wrapped).ok());
    EXPECT_FALSE(crypto::unwrap_with_x25519(thief, context, wrapped).ok());
  }
}

}  // namespace
}  // namespace exclave::custody
