// Frozen samples of every custody document: one small realm, its ceremony, its key files and one release.
// Each was written once and is never written again; a reader of any later program must read it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "custody/detail/leaf.h"
#include "custody/testing/world.h"
#include "policy/testing/samples.h"
#include "posix/file_system.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::custody {
namespace {

using policy::testing::examples_in;
using policy::testing::value_in;

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
  return repository_file("testdata/" + std::string(name));
}

class SampleWriter : public ::testing::Test {
 protected:
  testing::SeededRandom random_{"samples"};
  posix::FileSystem files_{random_};
  conformance::ScratchDirectory directory_{"samples"};
};

class CustodySamples : public SampleWriter {
 protected:
  CustodySamples()
      : policy_(policy::SignedPolicy::parse(as_bytes(sample("policy/policy-v1.txt")), "sample").take()),
        era_(policy::SignedEra::parse(as_bytes(sample("policy/era-v1.txt")), "sample").take()) {}

  // The sample as a key file, which the repository cannot keep with mode 0600.
  std::string placed(std::string_view name, std::string_view as) {
    std::string path = env::join_path(directory_.path(), as);
    CHECK(env::replace_file_durably(files_, path, as_bytes(sample(name)), 0600).ok());
    return path;
  }
  std::unique_ptr<Credential> card_of(std::string_view official) {
    placed("custody/official-keys-v1-" + std::string(official) + ".txt", "official.keys");
    return open_key_file_credential(files_, directory_.path()).take();
  }

  policy::SignedPolicy policy_;
  policy::SignedEra era_;
};

TEST_F(CustodySamples, of_signing_keys_are_the_keys_that_the_sample_policy_pins) {
  const auto site = read_signing_key(files_, placed("custody/signing-key-v1.txt", "k"), SigningUse::Site);
  ASSERT_TRUE(site.ok()) << site.error().message();
  EXPECT_EQ(site.value().public_key(), policy_.policy.sites.at(0).identity);
}

TEST_F(CustodySamples, of_officials_keys_are_the_keys_that_the_sample_policy_pins) {
  for (const policy::Official& official : policy_.policy.officials) {
    const std::unique_ptr<Credential> card = card_of(official.name);
    EXPECT_EQ(card->name(), official.name);
    EXPECT_TRUE(crypto::verify(official.sign, as_bytes("x"), card->sign(as_bytes("x")).value()).ok());
  }
}

TEST_F(CustodySamples, of_share_leaves_open_with_the_sample_card_and_the_sample_paper_key) {
  for (const char* name : {"alice", "bob"}) {
    const std::unique_ptr<Credential> card = card_of(name);
    const auto leaf =
        open_leaf(as_bytes(sample("custody/share-leaf-v1-" + std::string(name) + ".txt")), era_, {policy_}, *card);
    ASSERT_TRUE(leaf.ok()) << leaf.error().message();
    EXPECT_EQ(leaf.value().shares.size(), 2U);
  }
  const auto paper = open_paper_credential(files_, placed("custody/paper-key-v1.txt", "paper.key"));
  ASSERT_TRUE(paper.ok()) << paper.error().message();
  EXPECT_TRUE(open_leaf(as_bytes(sample("custody/share-leaf-v1-alice.txt")), era_, {policy_}, *paper.value()).ok());
}

TEST_F(CustodySamples, of_a_release_and_its_approvals_open_what_the_sample_agent_keys_seal) {
  const auto release = SignedRelease::parse(as_bytes(sample("custody/release-v1.txt")), "sample");
  ASSERT_TRUE(release.ok()) << release.error().message();
  const auto recipient = read_recipient_key(files_, placed("custody/recipient-key-v1.txt", "r"));
  ASSERT_TRUE(recipient.ok()) << recipient.error().message();
  EXPECT_EQ(recipient.value().release, release.value().id);
  const auto combined = combine_release({policy_}, release.value(), era_,
                                        {{"alice", to_bytes(sample("custody/approval-v1-alice.txt"))},
                                         {"bob", to_bytes(sample("custody/approval-v1-bob.txt"))}},
                                        recipient.value().seed);
  ASSERT_TRUE(combined.ok()) << combined.error().message();
  const auto agent = read_agent_keys(files_, placed("custody/agent-keys-v1.txt", "agent.keys"));
  ASSERT_TRUE(agent.ok()) << agent.error().message();
  ASSERT_EQ(combined.value().keys.size(), 1U);
  const format::OpeningKey& key = combined.value().keys[0];
  const format::SealingKey* sealing = agent.value().key_for(key.id.period);
  ASSERT_NE(sealing, nullptr);
  EXPECT_EQ(sealing->id, key.id);
  EXPECT_TRUE(equal(sealing->symmetric.view(), key.symmetric.view()));
  EXPECT_EQ(crypto::x25519_public_key(key.decapsulation), sealing->encapsulation);
}

TEST_F(CustodySamples, are_the_examples_of_the_format_pages) {
  EXPECT_EQ(examples_in(page("key-files.md")),
            (std::vector<std::string>{sample("custody/signing-key-v1.txt"),
                                      sample("custody/official-keys-v1-alice.txt"), sample("custody/paper-key-v1.txt"),
                                      sample("custody/agent-keys-v1.txt"), sample("custody/recipient-key-v1.txt")}));
  EXPECT_EQ(examples_in(page("share-leaf.md")), (std::vector<std::string>{sample("custody/share-leaf-v1-alice.txt")}));
  EXPECT_EQ(examples_in(page("release.md")),
            (std::vector<std::string>{sample("custody/release-v1.txt"), sample("custody/approval-v1-alice.txt")}));
}

TEST_F(CustodySamples, unwrap_to_the_record_that_the_share_leaf_page_takes_apart) {
  const Bytes record = from_hex(value_in(page("share-leaf.md"), "record")).value();
  const Bytes context = from_hex(value_in(page("share-leaf.md"), "wrap context")).value();
  const std::string leaf = sample("custody/share-leaf-v1-alice.txt");
  const std::size_t at = leaf.find("wrapped-decrypt ") + 16;
  const Bytes wrapped = from_base64(std::string_view(leaf).substr(at, leaf.find('\n', at) - at)).value();
  const std::unique_ptr<Credential> card = card_of("alice");
  const auto unwrapped = card->unwrap(context, wrapped);
  ASSERT_TRUE(unwrapped.ok()) << unwrapped.error().message();
  EXPECT_EQ(to_hex(unwrapped.value().view()), to_hex(record));
  EXPECT_EQ(detail::parse_record(record).value().shares.size(), 2U);
}

// Kept to show where the samples came from: writes a second set, which differs in its ECDSA signatures, to a
// temporary folder. Run it with --gtest_also_run_disabled_tests --gtest_filter='SampleWriter*'.
TEST_F(SampleWriter, DISABLED_wrote_the_samples_like_this) {
  testing::World world({.officials = 2, .threshold = 2, .vaults = 1}, 2);
  const std::string out = ::testing::TempDir() + "/exclave-new-samples/";
  std::filesystem::create_directories(out + "policy");
  std::filesystem::create_directories(out + "custody");
  const auto write = [&](const std::string& name, std::string_view content) {
    std::ofstream(out + name, std::ios::binary) << content;
  };
  const auto keep = [&](const std::string& path, const std::string& name) {
    write(name, as_text(files_.read_file(path, 65536).value()));
  };
  write("policy/policy-v1.txt", world.policy.document);
  policy::Policy next = world.policy.policy;
  next.version = format::PolicyVersion(2);
  next.previous = world.policy.hash;
  next.vaults[0].address = "lux2.example:4100";
  next.registries[0].eras = 1;
  write("policy/policy-v1-next.txt", world.realm.document(next, {"alice", "bob"}));
  write("policy/era-v1.txt", world.ceremony.era.document);

  ReleaseRequest request = world.request();
  request.periods = {format::PeriodNumber(1)};
  const SignedRelease release = SignedRelease::sign(request, world.realm.site).take();
  write("custody/release-v1.txt", release.document);
  for (const char* name : {"alice", "bob"}) {
    const std::string suffix = std::string("-v1-") + name + ".txt";
    write("custody/share-leaf" + suffix, world.leaf_of(name));
    write("custody/approval" + suffix, world.approve(release, name).value());
    const policy::testing::TestOfficial& official = world.realm.official(name);
    write("custody/official-keys" + suffix, "exclave/official-keys/v1\nname " + official.name + "\nsign " +
                                                to_hex(official.sign.scalar().view()) + "\ndecrypt " +
                                                to_hex(official.decrypt.scalar().view()) + "\n");
  }
  write("custody/paper-key-v1.txt",
        "exclave/paper-key/v1\nname alice\nseed " + to_hex(world.realm.official("alice").paper.view()) + "\n");
  write("custody/signing-key-v1.txt", "exclave/signing-key/v1\nname lisbon\nuse site\nseed " +
                                          to_hex(policy::testing::seeded_secret<32>("site lisbon").view()) + "\n");
  ASSERT_TRUE(write_agent_keys(files_, directory_ / "a", world.ceremony.agent_keys).ok());
  keep(directory_ / "a", "custody/agent-keys-v1.txt");
  ASSERT_TRUE(create_recipient_key(files_, directory_ / "r", {release.id, world.recipient.clone()}).ok());
  keep(directory_ / "r", "custody/recipient-key-v1.txt");
}

}  // namespace
}  // namespace exclave::custody
