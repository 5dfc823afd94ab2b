// Frozen samples of policy and era: written once (src/custody/samples_test.cc shows how), read for ever.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "policy/era.h"
#include "policy/testing/realm.h"
#include "policy/testing/samples.h"

namespace exclave::policy {
namespace {

std::string repository_file(const std::string& path) {
  std::ifstream file(std::string(EXCLAVE_SOURCE_DIR) + "/" + path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  CHECK(!content.empty());
  return content;
}

std::string page(const std::string& name) {
  return repository_file("docs/formats/" + name);
}

std::string sample(std::string_view name) {
  return repository_file("testdata/policy/" + std::string(name));
}

TEST(policy_sample, is_read_and_means_what_it_meant_when_it_was_written) {
  const auto first = SignedPolicy::parse(as_bytes(sample("policy-v1.txt")), "sample");
  ASSERT_TRUE(first.ok()) << first.error().message();
  const Policy expected = testing::make_realm({.officials = 2, .threshold = 2, .vaults = 1}).policy;
  EXPECT_EQ(first.value().policy.officials, expected.officials);
  EXPECT_EQ(first.value().policy.vaults, expected.vaults);
  EXPECT_EQ(first.value().policy.text(), expected.text());
  const auto next = SignedPolicy::parse(as_bytes(sample("policy-v1-next.txt")), "sample");
  ASSERT_TRUE(next.ok()) << next.error().message();
  const auto newest = verify_chain({first.value(), next.value()}, first.value().hash);
  ASSERT_TRUE(newest.ok()) << newest.error().message();
  EXPECT_EQ(newest.value().policy.version.value(), 2U);
}

TEST(policy_sample, is_the_example_of_the_format_page) {
  const std::vector<std::string> examples = testing::examples_in(page("policy.md"));
  EXPECT_EQ(examples, (std::vector<std::string>{sample("policy-v1.txt")}));
  EXPECT_EQ(testing::value_in(page("policy.md"), "SHA-256 of the text"),
            SignedPolicy::parse(as_bytes(examples[0]), "page").value().hash.hex());
}

TEST(era_sample, is_read_and_accepted_by_the_policy_of_its_realm) {
  const auto policy = SignedPolicy::parse(as_bytes(sample("policy-v1.txt")), "sample");
  const auto era = SignedEra::parse(as_bytes(sample("era-v1.txt")), "sample");
  ASSERT_TRUE(era.ok()) << era.error().message();
  EXPECT_TRUE(verify_era(policy.value().policy, era.value()).ok());
  EXPECT_EQ(era.value().era.periods.size(), 2U);
  EXPECT_EQ(era.value().era.starts_seconds, 1'800'000'000);
}

TEST(era_sample, is_the_example_of_the_format_page) {
  EXPECT_EQ(testing::examples_in(page("era.md")), (std::vector<std::string>{sample("era-v1.txt")}));
}

}  // namespace
}  // namespace exclave::policy
