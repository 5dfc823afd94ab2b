#include "custody/key_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "custody/testing/world.h"
#include "posix/file_system.h"
#include "tests/conformance/scratch_directory.h"

namespace exclave::custody {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class KeyFiles : public ::testing::Test {
 protected:
  std::string path(std::string_view name) const { return env::join_path(directory_.path(), name); }
  std::string content(std::string_view name) {
    return std::string(as_text(files_.read_file(path(name), 65536).value()));
  }
  void write(std::string_view name, std::string_view text, std::uint32_t mode = 0600) {
    ASSERT_TRUE(env::replace_file_durably(files_, path(name), as_bytes(text), mode).ok());
  }
  std::uint32_t mode_of(std::string_view name) { return files_.stat(path(name)).value().mode; }

  testing::SeededRandom random_{"key files"};
  posix::FileSystem files_{random_};
  conformance::ScratchDirectory directory_{"keys"};
};

const std::string kSeed(64, 'a');

TEST_F(KeyFiles, hold_a_signing_key_that_reads_back_and_is_for_its_owner_only) {
  const auto made = create_signing_key(files_, random_, path("site.key"), SigningUse::Site, "lisbon");
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(mode_of("site.key"), 0600U);
  EXPECT_THAT(content("site.key"), HasSubstr("exclave/signing-key/v1\nname lisbon\nuse site\nseed "));
  const auto read = read_signing_key(files_, path("site.key"), SigningUse::Site);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().public_key(), made.value().public_key());
}

TEST_F(KeyFiles, are_never_overwritten_by_a_new_key) {
  ASSERT_TRUE(create_signing_key(files_, random_, path("k"), SigningUse::Writer, "land").ok());
  const std::string before = content("k");
  const auto again = create_signing_key(files_, random_, path("k"), SigningUse::Writer, "land");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), Code::AlreadyExists);
  EXPECT_THAT(again.error().message(), HasSubstr(path("k")));
  EXPECT_EQ(content("k"), before);

  ASSERT_TRUE(create_official_keys(files_, random_, path("alice"), "alice").ok());
  EXPECT_EQ(create_official_keys(files_, random_, path("alice"), "alice").error().code(), Code::AlreadyExists);
  ASSERT_TRUE(files_.remove_file(path("alice/official.keys")).ok());
  EXPECT_EQ(create_official_keys(files_, random_, path("alice"), "alice").error().code(), Code::AlreadyExists)
      << "a paper key alone is a key too";
}

TEST_F(KeyFiles, of_every_use_are_refused_for_every_other_use) {
  constexpr std::array<SigningUse, 5> kUses = {SigningUse::VaultIdentity, SigningUse::VaultReceipt, SigningUse::Writer,
                                               SigningUse::Site, SigningUse::Ceremony};
  for (const SigningUse made : kUses) {
    const std::string name(name_of(made));
    ASSERT_TRUE(create_signing_key(files_, random_, path(name), made, "x").ok());
    for (const SigningUse wanted : kUses) {
      const auto read = read_signing_key(files_, path(name), wanted);
      EXPECT_EQ(read.ok(), made == wanted) << name << " as " << name_of(wanted);
      if (!read.ok()) {
        EXPECT_EQ(read.error().code(), Code::Precondition);
      }
    }
  }
}

TEST_F(KeyFiles, that_others_can_read_are_refused_with_the_command_that_mends_them) {
  for (const std::uint32_t mode : {0640U, 0604U, 0660U, 0620U, 0601U, 0777U}) {
    write("open", "exclave/signing-key/v1\nname x\nuse site\nseed " + kSeed + "\n", mode);
    // The umask may have taken bits away.
    std::filesystem::permissions(path("open"), static_cast<std::filesystem::perms>(mode));
    const auto refused = read_signing_key(files_, path("open"), SigningUse::Site);
    ASSERT_FALSE(refused.ok()) << mode;
    EXPECT_EQ(refused.error().code(), Code::Precondition);
    EXPECT_THAT(refused.error().hint_text(), HasSubstr("chmod 600 '" + path("open") + "'"));
    EXPECT_THAT(refused.error().message(), Not(HasSubstr("aaaa")));
  }
  for (const std::uint32_t mode : {0600U, 0400U, 0700U}) {
    std::filesystem::permissions(path("open"), static_cast<std::filesystem::perms>(mode));
    EXPECT_TRUE(read_signing_key(files_, path("open"), SigningUse::Site).ok()) << mode;
  }
}

TEST_F(KeyFiles, that_are_missing_or_no_files_are_named) {
  const auto missing = read_signing_key(files_, path("none"), SigningUse::Site);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Code::NotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr(path("none")));
  EXPECT_FALSE(read_signing_key(files_, directory_.path(), SigningUse::Site).ok());
  write("large", std::string(16385, 'x'));
  EXPECT_EQ(read_signing_key(files_, path("large"), SigningUse::Site).error().code(), Code::InvalidInput);
}

TEST_F(KeyFiles, that_are_wrong_are_refused_by_path_and_line_and_never_quote_what_they_hold) {
  const std::string head = "exclave/signing-key/v1\n";
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"", "line 1: is not an exclave/signing-key/v1 document"},
      {"exclave/paper-key/v1\nname x\nseed " + kSeed + "\n", "line 1: is not an exclave/signing-key/v1 document"},
      {"exclave/signing-key/v2\n", "is exclave/signing-key/v2, this program knows exclave/signing-key/v1"},
      {head, "line 2: expected 'name'"},
      {head + "name X\nuse site\nseed " + kSeed + "\n", "line 2: holds no usable name"},
      {head + "name x\nuse sight\nseed " + kSeed + "\n", "line 3: names no known use"},
      {head + "name x\nseed " + kSeed + "\nuse site\n", "line 3: expected 'use'"},
      {head + "name x\nuse site\nseed " + kSeed + "a\n", "line 4: holds no key of 32 bytes in hexadecimal"},
      {head + "name x\nuse site\nseed A" + kSeed.substr(1) + "\n", "line 4: holds no key of 32 bytes in hexadecimal"},
      {head + "name x\nuse site\nseed  " + kSeed + "\n", "line 4: has an ill-formed value"},
      {head + "name x\nuse site\nseed\n", "line 4: has no value"},
      {head + "name x\nuse site\nseed " + kSeed, "line 4: does not end with a line feed"},
      {head + "name x\nuse site\nseed " + kSeed + "\nseed " + kSeed + "\n", "line 5: unexpected field"},
      {head + "name x\nuse site\nseed " + kSeed + "\n\nsignature x AA==\n",
       "line 5: is empty, and key files carry no signatures"},
  };
  for (const auto& each : cases) {
    write("bad", each.text);
    const auto refused = read_signing_key(files_, path("bad"), SigningUse::Site);
    ASSERT_FALSE(refused.ok()) << each.text;
    EXPECT_EQ(refused.error().message(), "key file " + path("bad") + ": " + each.error);
    EXPECT_THAT(refused.error().message(), Not(HasSubstr("aaaaaaaa")));
  }
  write("bad",
        "exclave/official-keys/v1\nname x\nsign " + std::string(96, 'f') + "\ndecrypt " + std::string(96, '0') + "\n");
  std::filesystem::create_directory(path("x"));
  std::filesystem::rename(path("bad"), path("x/official.keys"));
  const auto scalar = open_key_file_credential(files_, path("x"));
  ASSERT_FALSE(scalar.ok());
  EXPECT_THAT(scalar.error().message(), HasSubstr("line 3: holds no P-384 scalar"));
  EXPECT_THAT(scalar.error().message(), Not(HasSubstr("ffff")));
}

TEST_F(KeyFiles, of_an_official_sign_and_unwrap_and_the_paper_key_only_unwraps) {
  const auto keys = create_official_keys(files_, random_, path("officials/alice"), "alice");
  ASSERT_TRUE(keys.ok()) << keys.error().message();
  EXPECT_EQ(keys.value().name, "alice");
  EXPECT_EQ(mode_of("officials/alice"), 0700U);
  EXPECT_EQ(mode_of("officials/alice/official.keys"), 0600U);
  EXPECT_EQ(mode_of("officials/alice/paper.key"), 0600U);

  const auto card = open_key_file_credential(files_, path("officials/alice"));
  ASSERT_TRUE(card.ok()) << card.error().message();
  EXPECT_EQ(card.value()->name(), "alice");
  const auto signature = card.value()->sign(as_bytes("text"));
  ASSERT_TRUE(signature.ok());
  EXPECT_TRUE(crypto::verify(keys.value().sign, as_bytes("text"), signature.value()).ok());

  const auto paper = open_paper_credential(files_, path("officials/alice/paper.key"));
  ASSERT_TRUE(paper.ok()) << paper.error().message();
  EXPECT_EQ(paper.value()->name(), "alice");
  const auto unsigned_text = paper.value()->sign(as_bytes("text"));
  ASSERT_FALSE(unsigned_text.ok());
  EXPECT_EQ(unsigned_text.error().code(), Code::Denied);
  EXPECT_THAT(unsigned_text.error().message(), HasSubstr("a paper key opens shares, it does not sign"));

  const Bytes to_card = crypto::wrap_to_p384(keys.value().decrypt, as_bytes("c"), as_bytes("secret"),
                                             policy::testing::seeded_secret<64>("wrap"));
  const Bytes to_paper = crypto::wrap_to_x25519(keys.value().paper, as_bytes("c"), as_bytes("secret"),
                                                policy::testing::seeded_secret<32>("wrap"));
  EXPECT_TRUE(equal(card.value()->unwrap(as_bytes("c"), to_card).value().view(), as_bytes("secret")));
  EXPECT_TRUE(equal(paper.value()->unwrap(as_bytes("c"), to_paper).value().view(), as_bytes("secret")));
  EXPECT_EQ(card.value()->unwrap(as_bytes("c"), to_paper).error().code(), Code::Denied);
  EXPECT_EQ(paper.value()->unwrap(as_bytes("c"), to_card).error().code(), Code::Denied);
  EXPECT_EQ(card.value()->unwrap(as_bytes("d"), to_card).error().code(), Code::Denied);
}

TEST_F(KeyFiles, of_an_agent_read_back_and_are_replaced_when_a_period_is_erased) {
  AgentKeys keys = testing::World::hold(policy::testing::make_realm({.officials = 2, .threshold = 2}), 80).agent_keys;
  ASSERT_TRUE(write_agent_keys(files_, path("agent.keys"), keys).ok());
  EXPECT_EQ(mode_of("agent.keys"), 0600U);
  auto read = read_agent_keys(files_, path("agent.keys"));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().realm, keys.realm);
  EXPECT_EQ(read.value().registry, keys.registry);
  EXPECT_EQ(read.value().era, keys.era);
  EXPECT_EQ(read.value().starts_seconds, keys.starts_seconds);
  EXPECT_EQ(read.value().period_seconds, keys.period_seconds);
  EXPECT_TRUE(equal(read.value().dedup.view(), keys.dedup.view()));
  ASSERT_EQ(read.value().periods.size(), 80U);
  for (std::size_t p = 0; p < 80; ++p) {
    EXPECT_EQ(read.value().periods[p].id, keys.periods[p].id);
    EXPECT_EQ(read.value().periods[p].encapsulation, keys.periods[p].encapsulation);
    EXPECT_TRUE(equal(read.value().periods[p].symmetric.view(), keys.periods[p].symmetric.view()));
  }

  const std::string erased = to_hex(keys.periods[0].symmetric.view());
  EXPECT_THAT(content("agent.keys"), HasSubstr(erased));
  keys.periods.erase(keys.periods.begin());
  ASSERT_TRUE(write_agent_keys(files_, path("agent.keys"), keys).ok());
  EXPECT_THAT(content("agent.keys"), Not(HasSubstr(erased)));
  read = read_agent_keys(files_, path("agent.keys"));
  EXPECT_EQ(read.value().key_for(format::PeriodNumber(0)), nullptr);
  EXPECT_NE(read.value().key_for(format::PeriodNumber(1)), nullptr);
}

TEST_F(KeyFiles, of_an_agent_that_are_wrong_are_refused_by_line) {
  AgentKeys keys = testing::World::hold(policy::testing::make_realm({.officials = 1, .threshold = 1}), 3).agent_keys;
  ASSERT_TRUE(write_agent_keys(files_, path("good"), keys).ok());
  const std::string good = content("good");
  const auto error_with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos);
    text.replace(at, from.size(), to);
    write("bad", text);
    const auto read = read_agent_keys(files_, path("bad"));
    return read.ok() ? std::string("accepted") : read.error().message().substr(("key file " + path("bad")).size() + 2);
  };
  EXPECT_EQ(error_with("era 1", "era 0"), "line 4: the first era is 1");
  EXPECT_EQ(error_with("era 1", "era 4294967296"), "line 4: holds no whole number below 2^32");
  EXPECT_EQ(error_with("starts 1", "starts -1"), "line 5: holds no number of seconds between 1970 and 2255");
  EXPECT_EQ(error_with("period-seconds 604800", "period-seconds 0"), "line 6: a period takes at least a second");
  EXPECT_EQ(error_with("dedup ", "dedup 0"), "line 7: holds no key of 32 bytes in hexadecimal");
  EXPECT_EQ(error_with("period 1 ", "period 0 "), "line 9: periods are not in ascending order");
  EXPECT_EQ(error_with("period 1 ", "period x "), "line 9: has no period number");
  EXPECT_EQ(error_with("period 2 ", "period 2  "), "line 10: is not 'period P S_p X_p'");
  EXPECT_EQ(error_with(to_hex(keys.periods[1].encapsulation.view()), std::string(64, '0')).substr(0, 8), "line 9: ")
      << "a small-order point";
}

TEST_F(KeyFiles, of_a_recipient_belong_to_one_release) {
  RecipientKey key{policy::testing::seeded_id<ReleaseId>("release"), policy::testing::seeded_secret<32>("seed")};
  ASSERT_TRUE(create_recipient_key(files_, path("r"), key).ok());
  EXPECT_EQ(mode_of("r"), 0600U);
  EXPECT_EQ(create_recipient_key(files_, path("r"), key).error().code(), Code::AlreadyExists);
  const auto read = read_recipient_key(files_, path("r"));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read.value().release, key.release);
  EXPECT_TRUE(equal(read.value().seed.view(), key.seed.view()));
}

TEST_F(KeyFiles, take_no_name_that_documents_could_not_hold) {
  EXPECT_EQ(create_signing_key(files_, random_, path("k"), SigningUse::Site, "no spaces").error().code(),
            Code::InvalidInput);
  EXPECT_EQ(create_official_keys(files_, random_, path("o"), "Ålice").error().code(), Code::InvalidInput);
  EXPECT_EQ(files_.list(directory_.path()).value().size(), 0U);
}

}  // namespace
}  // namespace exclave::custody
