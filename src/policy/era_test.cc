#include "policy/era.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/text.h"
#include "policy/testing/realm.h"
#include "policy/testing/samples.h"

namespace exclave::policy {
namespace {

constexpr std::int64_t kStart = 1'800'000'000;
constexpr std::int64_t kWeek = 604'800;

Era small_era() {
  const testing::TestRealm realm = testing::make_realm({.officials = 2, .threshold = 2});
  Era era;
  era.realm = realm.policy.realm;
  era.registry = realm.policy.registries[0].id;
  era.threshold = 2;
  era.starts_seconds = kStart;
  era.period_seconds = kWeek;
  era.dedup_check = check_of_dedup(testing::seeded_secret<32>("dedup").view());
  era.officials = {"alice", "bob"};
  for (int p = 0; p < 3; ++p) {
    const std::string label = "period " + std::to_string(p);
    era.periods.push_back(
        {crypto::x25519_public_key(testing::seeded_secret<32>(label)),
         check_of_period(testing::seeded_secret<32>(label + " symmetric").view()),
         {testing::seeded_id<ShareCommitment>(label + " alice"), testing::seeded_id<ShareCommitment>(label + " bob")}});
  }
  return era;
}

SignedEra signed_era(const Era& era) {
  return SignedEra::sign(era, testing::machine_key("ceremony"));
}

// Line numbers: 1 domain, 2 realm, 3 registry, 4 era, 5 previous, 6 threshold, 7 starts, 8 period-seconds,
// 9 dedup-check, 10 alice, 11 bob, 12..14 periods, 15..20 shares, 21 empty, 22 signature.
std::string error_with(std::size_t number, const std::function<std::string(std::string)>& change) {
  std::vector<std::string> lines = testing::lines_of(signed_era(small_era()).document);
  lines.at(number - 1) = change(lines.at(number - 1));
  std::string document;
  for (const std::string& line : lines) document += line + "\n";
  const auto parsed = SignedEra::parse(as_bytes(document), "e");
  return parsed.ok() ? std::string("accepted") : parsed.error().message();
}
std::string error_with(std::size_t number, const std::string& line) {
  return error_with(number, [&](const std::string&) { return line; });
}

TEST(era_text, reads_back_as_it_was_signed) {
  const SignedEra made = signed_era(small_era());
  const auto read = SignedEra::parse(as_bytes(made.document), "e");
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().era.text(), made.era.text());
  EXPECT_EQ(read.value().hash, made.hash);
  EXPECT_EQ(read.value().signature, made.signature);
  EXPECT_EQ(read.value().era.periods[2].commitments, made.era.periods[2].commitments);
  EXPECT_EQ(read.value().era.officials, made.era.officials);
}

TEST(era_grammar, names_the_line_of_every_error) {
  EXPECT_EQ(error_with(1, "exclave/policy/v1"), "e: line 1: is not an exclave/era/v1 document");
  EXPECT_EQ(error_with(1, "exclave/era/v2"), "e: is exclave/era/v2, this program knows exclave/era/v1");
  EXPECT_EQ(error_with(2, "realm 1g"), "e: line 2: hexadecimal value has 2 digits instead of 32");
  EXPECT_EQ(error_with(3, "registries 00"), "e: line 3: expected 'registry', found 'registries'");
  EXPECT_EQ(error_with(4, "era 4294967296"), "e: line 4: '4294967296' is above 4294967295");
  EXPECT_EQ(error_with(5, "previous 00"), "e: line 5: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(6, "threshold 2 "), "e: line 6: has an ill-formed value");
  EXPECT_EQ(error_with(7, "starts 9000000001"), "e: line 7: '9000000001' is above 9000000000");
  EXPECT_EQ(error_with(8, "period-seconds 0x10"), "e: line 8: '0x10' is not a whole number in range");
  EXPECT_EQ(error_with(9, "dedup-check 00"), "e: line 9: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(10, "official A"), "e: line 10: official name 'A' is not usable");
  EXPECT_EQ(error_with(11, "official alice"), "e: line 11: official 'alice' appears twice");
  EXPECT_EQ(error_with(12, "period 1 00 00"), "e: line 12: expected period 0");
  EXPECT_EQ(error_with(13, "period 1 00 00"), "e: line 13: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(14, "period 2"), "e: line 14: has 1 words separated by single spaces instead of 3");
  EXPECT_EQ(error_with(14, "period 2 " + std::string(64, '0') + " " + std::string(64, '0')).substr(0, 11),
            "e: line 14:")
      << "a small-order point";
  EXPECT_EQ(error_with(15, "share 0 bob " + std::string(64, '0')),
            "e: line 15: expected the share of period 0 and official 'alice'");
  EXPECT_EQ(error_with(16, "share 1 bob " + std::string(64, '0')),
            "e: line 16: expected the share of period 0 and official 'bob'");
  EXPECT_EQ(error_with(20, "share 2 bob zz"), "e: line 20: hexadecimal value has 2 digits instead of 64");
  EXPECT_EQ(error_with(20, "share 2 bob " + std::string(64, '0') + "\nshare 3 alice " + std::string(64, '0')),
            "e: line 21: unexpected field 'share'");
  EXPECT_EQ(error_with(22, "signature alice " + to_base64(Bytes(64))),
            "e: its signature is not an Ed25519 signature by 'ceremony'");
  EXPECT_EQ(error_with(22, "signature ceremony " + to_base64(Bytes(96))),
            "e: its signature is not an Ed25519 signature by 'ceremony'");
  EXPECT_EQ(error_with(22, [](const std::string& line) { return line + "\n" + line; }),
            "e: must carry exactly one signature");
}

TEST(era_rules, refuse_what_cannot_be_an_era) {
  const auto message_of = [](void (*break_it)(Era&)) {
    Era era = small_era();
    break_it(era);
    const Status refused = check_era_rules(era);
    return refused.ok() ? std::string("accepted") : refused.error().message();
  };
  EXPECT_EQ(message_of([](Era&) {}), "accepted");
  EXPECT_EQ(message_of([](Era& e) { e.number = format::EraNumber(0); }), "the era number is 0; the first one is 1");
  EXPECT_EQ(message_of([](Era& e) { e.previous = crypto::Hash256(); }), "era 1 has a previous era");
  EXPECT_EQ(message_of([](Era& e) { e.threshold = 0; }), "threshold 0 is not in 1..2, the number of officials");
  EXPECT_EQ(message_of([](Era& e) { e.threshold = 3; }), "threshold 3 is not in 1..2, the number of officials");
  EXPECT_EQ(message_of([](Era& e) { e.officials.clear(); }), "an era has 1 to 255 officials");
  EXPECT_EQ(message_of([](Era& e) { e.periods.clear(); }), "an era has 1 to 80 periods");
  EXPECT_EQ(message_of([](Era& e) { e.periods[2].encapsulation = e.periods[0].encapsulation; }),
            "two periods have the same key");
  EXPECT_EQ(message_of([](Era& e) { e.periods[1].commitments.pop_back(); }), "a period lacks an official's commitment");
  EXPECT_EQ(message_of([](Era& e) { e.period_seconds = 0; }), "a period takes 1 second to 10 years");
  EXPECT_EQ(message_of([](Era& e) { e.period_seconds = 400'000'000; }), "a period takes 1 second to 10 years");
  EXPECT_EQ(message_of([](Era& e) { e.starts_seconds = -1; }), "the era does not lie between 1970 and 2255");
  EXPECT_EQ(message_of([](Era& e) { e.starts_seconds = 9'000'000'000 - 2 * kWeek; }),
            "the era does not lie between 1970 and 2255");
}

TEST(era_period_at, is_the_floor_of_the_time_passed_clamped_to_the_first_and_last_period) {
  const Era era = small_era();
  const auto at = [&](std::int64_t seconds) { return era.period_at(seconds).value(); };
  EXPECT_EQ(at(0), 0U);
  EXPECT_EQ(at(std::numeric_limits<std::int64_t>::min()), 0U);
  EXPECT_EQ(at(kStart - 1), 0U);
  EXPECT_EQ(at(kStart), 0U);
  EXPECT_EQ(at(kStart + kWeek - 1), 0U);
  EXPECT_EQ(at(kStart + kWeek), 1U);
  EXPECT_EQ(at(kStart + 2 * kWeek), 2U);
  EXPECT_EQ(at(kStart + 3 * kWeek), 2U);
  EXPECT_EQ(at(std::numeric_limits<std::int64_t>::max()), 2U);
  EXPECT_FALSE(era.has_run_out(kStart + 3 * kWeek - 1));
  EXPECT_TRUE(era.has_run_out(kStart + 3 * kWeek));
  EXPECT_EQ(era.start_of(format::PeriodNumber(2)), kStart + 2 * kWeek);
}

TEST(era_has, knows_its_own_key_ids_only) {
  const Era era = small_era();
  EXPECT_TRUE(era.has({era.registry, era.number, format::PeriodNumber(0)}));
  EXPECT_TRUE(era.has({era.registry, era.number, format::PeriodNumber(2)}));
  EXPECT_FALSE(era.has({era.registry, era.number, format::PeriodNumber(3)}));
  EXPECT_FALSE(era.has({era.registry, format::EraNumber(2), format::PeriodNumber(0)}));
  EXPECT_FALSE(era.has({testing::seeded_id<format::RegistryId>("other"), era.number, format::PeriodNumber(0)}));
}

TEST(era_share_index, counts_officials_from_one) {
  const Era era = small_era();
  EXPECT_EQ(era.share_index("alice"), 1);
  EXPECT_EQ(era.share_index("bob"), 2);
  EXPECT_EQ(era.share_index("carol"), std::nullopt);
}

TEST(find_voucher, is_the_newest_version_that_pinned_the_ceremony_key_and_the_threshold_of_the_era) {
  const testing::TestRealm realm = testing::make_realm({.officials = 2, .threshold = 2});
  const SignedEra era = signed_era(small_era());
  Policy next = realm.policy;
  next.version = format::PolicyVersion(2);
  next.previous = realm.signed_by_all().hash;
  next.name = "Testland, renamed";
  Policy last = next;
  last.version = format::PolicyVersion(3);
  last.previous = realm.signed_by(next, {"alice", "bob"}).hash;
  last.ceremony = testing::machine_key("another ceremony").public_key();
  last.registries[0].threshold = 1;
  last.registries[0].eras = 1;
  std::vector<SignedPolicy> chain;
  for (const Policy& version : {realm.policy, next, last}) chain.push_back(realm.signed_by(version, {"alice", "bob"}));
  EXPECT_FALSE(verify_era(last, era).ok());
  const auto found = find_voucher(chain, era);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found.value()->version.value(), 2U);
  Era later = small_era();
  later.number = format::EraNumber(2);
  EXPECT_TRUE(verify_era(next, signed_era(later)).ok());
  const auto replaced = find_voucher(chain, signed_era(later));
  ASSERT_FALSE(replaced.ok()) << "the key was replaced before era 2 was opened";
  EXPECT_EQ(replaced.error().code(), Code::Denied);
  EXPECT_TRUE(find_voucher({chain[0], chain[1]}, signed_era(later)).ok()) << "while it was the newest";
  const auto refused = find_voucher({chain.back()}, era);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::Denied);
}

TEST(verify_era, accepts_only_what_the_policys_ceremony_key_signed_for_one_of_its_registries) {
  testing::TestRealm realm = testing::make_realm({.officials = 2, .threshold = 2});
  const Era good = small_era();
  EXPECT_TRUE(verify_era(realm.policy, signed_era(good)).ok());

  const auto denied = [&](const SignedEra& era) {
    const Status status = verify_era(realm.policy, era);
    return !status.ok() && status.error().code() == Code::Denied;
  };
  EXPECT_TRUE(denied(SignedEra::sign(good, realm.site))) << "signed by another key";
  Era other = good;
  other.realm = testing::seeded_id<format::RealmId>("other");
  EXPECT_TRUE(denied(signed_era(other)));
  other = good;
  other.registry = testing::seeded_id<format::RegistryId>("other");
  EXPECT_TRUE(denied(signed_era(other)));
  other = good;
  other.threshold = 1;
  EXPECT_TRUE(denied(signed_era(other)));
  SignedEra altered = signed_era(good);
  altered.era.periods[0].commitments[0].mutable_view()[0] ^= 1;
  EXPECT_TRUE(denied(altered));
}

TEST(commit_to_share, is_sha256_of_salt_index_and_share) {
  const Bytes salt(32, 0x11);
  const Bytes y(32, 0x22);
  Bytes input = salt;
  input.push_back(5);
  append(input, y);
  EXPECT_EQ(commit_to_share(salt, 5, y).hex(), crypto::sha256(input).hex());
  EXPECT_NE(commit_to_share(salt, 6, y), commit_to_share(salt, 5, y));
}

}  // namespace
}  // namespace exclave::policy
