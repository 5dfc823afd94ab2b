#include "policy/policy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "policy/testing/realm.h"
#include "policy/testing/samples.h"

namespace exclave::policy {
namespace {

const Policy& small_policy() {
  static const Policy kPolicy = testing::make_realm({.officials = 2, .threshold = 2}).policy;
  return kPolicy;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// The text of small_policy() by line, counted from 1 as errors do.
//   1 domain, 2 realm, 3 name, 4 version, 5 previous, 6 expires, 7 threshold-policy, 8 threshold-release,
//   9 alice, 10 bob, 11 ceremony, 12 quorum, 13 che, 14 est, 15 lux, 16 lisbon, 17 land
std::string with_line(std::size_t number, const std::string& line) {
  std::vector<std::string> lines = testing::lines_of(small_policy().text());
  lines.at(number - 1) = line;
  return joined(lines);
}

std::string replaced_in_line(std::size_t number, const std::string& from, const std::string& to) {
  std::vector<std::string> lines = testing::lines_of(small_policy().text());
  std::string& line = lines.at(number - 1);
  const std::size_t at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << line;
  line.replace(at, from.size(), to);
  return joined(lines);
}

std::string error_of(const std::string& document) {
  const auto parsed = SignedPolicy::parse(as_bytes(document), "p");
  return parsed.ok() ? std::string("accepted") : parsed.error().message();
}

TEST(policy_text, reads_back_as_it_was_written) {
  const testing::TestRealm realm = testing::make_realm();
  const SignedPolicy read = realm.signed_by_all();
  EXPECT_EQ(read.policy.text(), realm.policy.text());
  EXPECT_EQ(read.policy.realm, realm.policy.realm);
  EXPECT_EQ(read.policy.name, "Testland");
  EXPECT_EQ(read.policy.officials, realm.policy.officials);
  EXPECT_EQ(read.policy.registries, realm.policy.registries);
  EXPECT_EQ(read.policy.sites, realm.policy.sites);
  EXPECT_EQ(read.policy.quorum, realm.policy.quorum);
  EXPECT_EQ(read.signatures.size(), 5U);
  EXPECT_EQ(read.hash.hex(), crypto::sha256(as_bytes(read.policy.text())).hex());
}

TEST(policy_text, is_sorted_by_name_however_the_lists_are_held) {
  Policy policy = testing::make_realm().policy;
  const std::string text = policy.text();
  std::reverse(policy.officials.begin(), policy.officials.end());
  std::reverse(policy.vaults.begin(), policy.vaults.end());
  EXPECT_EQ(policy.text(), text);
  EXPECT_LT(text.find("vault che"), text.find("vault est"));
}

TEST(policy_text, of_a_trial_realm_and_of_a_realm_without_registries_is_read) {
  Policy policy = testing::make_realm({.officials = 1, .threshold = 1, .vaults = 1}).policy;
  policy.vaults[0].address = "dir:/var/lib/exclave/vault";
  EXPECT_EQ(error_of(policy.text()), "accepted");
  policy.registries.clear();
  policy.sites.clear();
  EXPECT_EQ(error_of(policy.text()), "accepted");
}

TEST(policy_grammar, names_the_line_of_every_error) {
  const std::string alice = testing::lines_of(small_policy().text())[8];
  const struct {
    std::string document;
    std::string error;
  } cases[] = {
      {with_line(1, "exclave/era/v1"), "p: line 1: is not an exclave/policy/v1 document"},
      {with_line(1, "exclave/policy/v2"), "p: is exclave/policy/v2, this program knows exclave/policy/v1"},
      {with_line(2, "realm 12"), "p: line 2: hexadecimal value has 2 digits instead of 32"},
      {with_line(2, "realm " + std::string(32, 'A')), "p: line 2: value is not lower-case hexadecimal"},
      {with_line(3, "nam Testland"), "p: line 3: expected 'name', found 'nam'"},
      {with_line(3, "name "), "p: line 3: has an ill-formed value"},
      {with_line(4, "version 01"), "p: line 4: '01' is not a whole number in range"},
      {with_line(5, "previous nothing"), "p: line 5: hexadecimal value has 7 digits instead of 64"},
      {with_line(6, "expires 9000000001"), "p: line 6: '9000000001' is above 9000000000"},
      {with_line(6, "expires -1"), "p: line 6: '-1' is not a whole number in range"},
      {with_line(7, "threshold-policy 4294967296"), "p: line 7: '4294967296' is above 4294967295"},
      {with_line(8, "threshold-release two"), "p: line 8: 'two' is not a whole number in range"},
      {with_line(9, "official Alice sign=00 decrypt=00 paper=00"), "p: line 9: official name 'Alice' is not usable"},
      {with_line(9, "official alice sign=00"), "p: line 9: has 2 words separated by single spaces instead of 4"},
      {with_line(9, alice + " more=1"), "p: line 9: has 5 words separated by single spaces instead of 4"},
      {replaced_in_line(9, " decrypt=", "  decrypt="),
       "p: line 9: has 5 words separated by single spaces instead of 4"},
      {replaced_in_line(9, "decrypt=", "Decrypt="), "p: line 9: expected 'decrypt=...', found 'Decrypt="},
      {replaced_in_line(9, "paper=", "paper:"), "p: line 9: expected 'paper=...', found 'paper:"},
      {replaced_in_line(9, "sign=04", "sign=05"), "p: line 9: sign key: "},
      {replaced_in_line(9, "decrypt=04", "decrypt=02"), "p: line 9: decrypt key: "},
      {with_line(10, alice), "p: line 10: official 'alice' does not come after 'alice'"},
      {with_line(11, "ceremony 00"), "p: line 11: hexadecimal value has 2 digits instead of 64"},
      {with_line(12, "quorum q=2 k=2 b=0"), "p: line 12: expected 'k=...', found 'q=2'"},
      {with_line(12, "quorum k=2 q=2"), "p: line 12: has 2 words separated by single spaces instead of 3"},
      {with_line(12, "quorum k=+2 q=2 b=0"), "p: line 12: '+2' is not a whole number in range"},
      {replaced_in_line(13, "receipt=", "receipts="), "p: line 13: expected 'receipt=...', found 'receipts="},
      {replaced_in_line(14, "vault est", "vault aaa"), "p: line 14: vault 'aaa' does not come after 'che'"},
      {replaced_in_line(15, "address=", "adress="), "p: line 15: expected 'address=...'"},
      {with_line(16, "site lisbon"), "p: line 16: has 1 words separated by single spaces instead of 2"},
      {replaced_in_line(17, "threshold=2", "threshold=-2"), "p: line 17: '-2' is not a whole number in range"},
      {replaced_in_line(17, "quota=", "quota=18446744073709551616 retention="),
       "p: line 17: has 8 words separated by single spaces instead of 7"},
      {replaced_in_line(17, "quota=1000000000000", "quota=18446744073709551616"),
       "p: line 17: '18446744073709551616' is not a whole number in range"},
      {small_policy().text() + "registry\n", "p: line 18: has no value"},
      {small_policy().text() + "extra field\n", "p: line 18: unexpected field 'extra'"},
      {small_policy().text() + "official zoe sign=\n", "p: line 18: unexpected field 'official'"},
      {small_policy().text() + "registry zoo", "p: line 18: does not end with a line feed"},
      {small_policy().text() + "\nsignature alice ***\n", "p: line 19: holds a signature that is not base64"},
  };
  for (const auto& each : cases) {
    const std::string error = error_of(each.document);
    EXPECT_EQ(error.substr(0, each.error.size()), each.error) << error;
  }
}

TEST(policy_grammar, refuses_a_document_without_any_one_of_its_single_fields) {
  const std::vector<std::string> lines = testing::lines_of(small_policy().text());
  for (std::size_t missing = 1; missing < lines.size(); ++missing) {
    const bool may_be_absent = missing >= 15;  // no sites and no registries is a realm that has just begun
    std::vector<std::string> rest = lines;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_EQ(error_of(joined(rest)) == "accepted", may_be_absent) << lines[missing];
  }
}

TEST(policy_grammar, refuses_every_exchange_of_two_lines) {
  const std::vector<std::string> lines = testing::lines_of(small_policy().text());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t j = i + 1; j < lines.size(); ++j) {
      std::vector<std::string> exchanged = lines;
      std::swap(exchanged[i], exchanged[j]);
      EXPECT_NE(error_of(joined(exchanged)), "accepted") << i + 1 << " and " << j + 1;
    }
  }
}

TEST(policy_grammar, checks_the_rules_too_and_names_the_document) {
  EXPECT_EQ(error_of(with_line(12, "quorum k=1 q=2 b=0")),
            "p: quorum k=1 q=2 b=0 of 3 vaults: a quorum could miss what is durable (k > n - q + b)");
}

TEST(policy_grammar, bounds_the_signatures_that_it_carries) {
  std::string document = small_policy().text();
  for (int i = 0; i < 510; ++i) format::append_signature(document, "alice", Bytes(96));
  EXPECT_EQ(error_of(document), "accepted");
  format::append_signature(document, "alice", Bytes(96));
  EXPECT_EQ(error_of(document), "p: carries more than 510 signatures");
}

TEST(policy_lookup, finds_every_entry_by_each_of_its_marks_and_nothing_else) {
  const testing::TestRealm realm = testing::make_realm();
  const Policy& policy = realm.policy;
  for (const Official& each : policy.officials) EXPECT_EQ(policy.official(each.name), &each);
  for (const VaultEntry& each : policy.vaults) {
    EXPECT_EQ(policy.vault(each.name), &each);
    EXPECT_EQ(policy.vault_by_identity(each.identity), &each);
    EXPECT_EQ(policy.vault_by_receipt(each.receipt), &each);
    EXPECT_EQ(policy.vault_by_identity(each.receipt), nullptr);
    EXPECT_EQ(policy.vault_by_receipt(each.identity), nullptr);
  }
  EXPECT_EQ(policy.site_by_identity(realm.site.public_key()), policy.sites.data());
  EXPECT_EQ(policy.registry("land"), policy.registries.data());
  EXPECT_EQ(policy.registry(policy.registries[0].id), policy.registries.data());
  EXPECT_EQ(policy.registry_by_writer(realm.writer.public_key()), policy.registries.data());
  EXPECT_EQ(policy.official("zoe"), nullptr);
  EXPECT_EQ(policy.vault("zoo"), nullptr);
  EXPECT_EQ(policy.site_by_identity(realm.writer.public_key()), nullptr);
  EXPECT_EQ(policy.registry(""), nullptr);
  EXPECT_EQ(policy.registry_by_writer(realm.site.public_key()), nullptr);
}

}  // namespace
}  // namespace exclave::policy
