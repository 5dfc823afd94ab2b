#include "custody/key_files.h"

#include <array>
#include <optional>

#include "base/text.h"
#include "crypto/wrap.h"
#include "custody/detail/key_text.h"
#include "env/exists.h"
#include "format/signed_text.h"
#include "policy/era.h"

namespace exclave::custody {
namespace {

using detail::KeyTextReader;
using detail::KeyTextWriter;

constexpr std::string_view kSigningDomain = "exclave/signing-key/v1";
constexpr std::string_view kOfficialDomain = "exclave/official-keys/v1";
constexpr std::string_view kPaperDomain = "exclave/paper-key/v1";
constexpr std::string_view kAgentDomain = "exclave/agent-keys/v1";
constexpr std::string_view kRecipientDomain = "exclave/recipient-key/v1";
constexpr std::string_view kOfficialFile = "official.keys";
constexpr std::string_view kPaperFile = "paper.key";

constexpr std::array<SigningUse, 5> kUses = {SigningUse::VaultIdentity, SigningUse::VaultReceipt, SigningUse::Writer,
                                             SigningUse::Site, SigningUse::Ceremony};

std::string octal(std::uint32_t mode) {
  std::string text = "0000";
  for (std::size_t i = 0; i < 4; ++i) text[3 - i] = static_cast<char>('0' + ((mode >> (3 * i)) & 7));
  return text;
}

// Puts the path in front, unless the file system's own words have it.
Error about(std::string_view path, Error error) {
  const std::string shown = printable(path);
  if (error.message().find(shown) != std::string::npos) return error;
  return std::move(error).in("key file " + shown);
}

Status check_private(const env::FileInfo& info, std::string_view path) {
  const std::string shown = printable(path);
  if (info.type != env::FileType::Regular) return Error(Code::InvalidInput, "key file " + shown + ": is not a file");
  if ((info.mode & 077) != 0) {
    return Error(Code::Precondition, "key file " + shown + ": others may read it (mode " + octal(info.mode) + ")")
        .hint("if nobody has, run: chmod 600 '" + shown + "'");
  }
  if (info.size > detail::kMostKeyFileBytes) {
    return Error(Code::InvalidInput, "key file " + shown + ": is larger than 16 KiB");
  }
  return {};
}

// Asks the open file, not the name, for its mode: nobody can swap it in between.
Result<crypto::SecretBytes> read_private(env::FileSystem& files, std::string_view path) {
  const auto file = TRY(files.open_file(path));
  const env::FileInfo info = TRY(file->info());
  TRY(check_private(info, path));
  crypto::SecretBytes content(static_cast<std::size_t>(info.size));
  std::size_t done = 0;
  while (done < content.size()) {
    const std::size_t got = TRY(file->read_at(done, content.mutable_view().subspan(done)));
    if (got == 0) return Error(Code::Conflict, "key file " + printable(path) + ": shrank while being read");
    done += got;
  }
  return content;
}

Result<KeyTextReader> open_text(env::FileSystem& files, std::string_view path, std::string_view domain) {
  auto content = read_private(files, path);
  if (!content.ok()) return about(path, content.take_error());
  return KeyTextReader::open(content.take(), domain, "key file " + printable(path));
}

Status create_text(env::FileSystem& files, std::string_view path, const KeyTextWriter& text) {
  Status created = env::create_file_durably(files, path, text.view(), env::kPrivateFile);
  if (created.ok()) return created;
  if (created.error().code() == Code::AlreadyExists) {
    return Error(Code::AlreadyExists, "key file " + printable(path) + ": exists already")
        .hint("keys are never overwritten: choose another place");
  }
  return about(path, created.take_error());
}

Result<std::string> read_name(KeyTextReader& reader) {
  const std::string_view name = TRY(reader.field("name"));
  if (!format::is_valid_name(name)) return reader.bad("holds no usable name");
  return std::string(name);
}

template <std::size_t N>
Result<crypto::Secret<N>> draw(env::Random& random) {
  crypto::Secret<N> secret;
  TRY(random.fill(secret.mutable_view()));
  return secret;
}

// Both of an official's keys in a file; for small realms and trials.
class KeyFileCredential final : public Credential {
 public:
  KeyFileCredential(std::string name, crypto::P384PrivateKey sign, crypto::P384PrivateKey decrypt)
      : name_(std::move(name)), sign_(std::move(sign)), decrypt_(std::move(decrypt)) {}
  const std::string& name() const override { return name_; }
  Result<crypto::P384Signature> sign(ByteView message) override { return sign_.sign(message); }
  Result<crypto::SecretBytes> unwrap(ByteView context, ByteView wrapped) override {
    return crypto::unwrap_with_p384(decrypt_, context, wrapped);
  }

 private:
  std::string name_;
  crypto::P384PrivateKey sign_;
  crypto::P384PrivateKey decrypt_;
};

class PaperCredential final : public Credential {
 public:
  PaperCredential(std::string name, crypto::Secret<32> seed) : name_(std::move(name)), seed_(std::move(seed)) {}
  const std::string& name() const override { return name_; }
  Result<crypto::P384Signature> sign(ByteView message) override {
    static_cast<void>(message);
    return Error(Code::Denied, "paper key of " + name_ + ": a paper key opens shares, it does not sign");
  }
  Result<crypto::SecretBytes> unwrap(ByteView context, ByteView wrapped) override {
    return crypto::unwrap_with_x25519(seed_, context, wrapped);
  }

 private:
  std::string name_;
  crypto::Secret<32> seed_;
};

Result<crypto::P384PrivateKey> read_p384(KeyTextReader& reader, std::string_view key) {
  const auto scalar = TRY(reader.secret<48>(key));
  auto made = crypto::P384PrivateKey::from_scalar(scalar);
  if (!made.ok()) return reader.bad("holds no P-384 scalar");
  return made;
}

Result<format::SealingKey> read_period(KeyTextReader& reader, const AgentKeys& keys) {
  const std::vector<std::string_view> words = split(TRY(reader.field("period")), ' ');
  if (words.size() != 3) return reader.bad("is not 'period P S_p X_p'");
  const auto number = parse_u32(words[0]);
  if (!number.ok()) return reader.bad("has no period number");
  if (!keys.periods.empty() && number.value() <= keys.periods.back().id.period.value()) {
    return reader.bad("periods are not in ascending order");
  }
  format::SealingKey key;
  key.id = {keys.registry, keys.era, format::PeriodNumber(number.value())};
  key.symmetric = TRY(reader.secret_of<32>(words[1]));
  const auto raw = TRY(reader.id_of<crypto::X25519PublicKey>(words[2]));
  auto encapsulation = crypto::parse_x25519_public_key(raw.view());
  if (!encapsulation.ok()) return reader.bad(encapsulation.error().message());
  key.encapsulation = encapsulation.take();
  return key;
}

}  // namespace

std::string_view name_of(SigningUse use) {
  switch (use) {
    case SigningUse::VaultIdentity:
      return "vault-identity";
    case SigningUse::VaultReceipt:
      return "vault-receipt";
    case SigningUse::Writer:
      return "writer";
    case SigningUse::Site:
      return "site";
    case SigningUse::Ceremony:
      return "ceremony";
  }
  return "unknown";
}

Result<crypto::Ed25519SigningKey> create_signing_key(env::FileSystem& files, env::Random& random, std::string_view path,
                                                     SigningUse use, std::string_view name) {
  TRY(format::check_name("key", name));
  const auto seed = TRY(draw<32>(random));
  KeyTextWriter text(kSigningDomain);
  text.field("name", name).field("use", name_of(use)).secret_field("seed", seed.view());
  TRY(create_text(files, path, text));
  return crypto::Ed25519SigningKey::from_seed(seed);
}

Result<crypto::Ed25519SigningKey> read_signing_key(env::FileSystem& files, std::string_view path, SigningUse use) {
  KeyTextReader reader = TRY(open_text(files, path, kSigningDomain));
  TRY(read_name(reader));
  const std::string_view found = TRY(reader.field("use"));
  std::optional<SigningUse> found_use;
  for (const SigningUse each : kUses) {
    if (name_of(each) == found) found_use = each;
  }
  if (!found_use.has_value()) return reader.bad("names no known use");
  if (*found_use != use) {
    return Error(Code::Precondition, "key file " + printable(path) + ": is a " + std::string(name_of(*found_use)) +
                                         " key, a " + std::string(name_of(use)) + " key is needed here");
  }
  const auto seed = TRY(reader.secret<32>("seed"));
  TRY(reader.end());
  return crypto::Ed25519SigningKey::from_seed(seed);
}

Result<OfficialPublicKeys> create_official_keys(env::FileSystem& files, env::Random& random, std::string_view directory,
                                                std::string_view name) {
  TRY(format::check_name("official", name));
  TRY(files.make_directories(directory, env::kPrivateDirectory));
  const std::string official_path = env::join_path(directory, kOfficialFile);
  const std::string paper_path = env::join_path(directory, kPaperFile);
  // The paper key is written first: if that is all there is, official.keys is not there to be relied on.
  if (TRY(env::exists(files, official_path))) {
    return Error(Code::AlreadyExists, "key file " + printable(official_path) + ": exists already")
        .hint("keys are never overwritten: choose another place");
  }
  const auto sign = crypto::P384PrivateKey::from_random(TRY(draw<64>(random)));
  const auto decrypt = crypto::P384PrivateKey::from_random(TRY(draw<64>(random)));
  const auto paper = TRY(draw<32>(random));
  KeyTextWriter paper_text(kPaperDomain);
  paper_text.field("name", name).secret_field("seed", paper.view());
  TRY(create_text(files, paper_path, paper_text));
  KeyTextWriter text(kOfficialDomain);
  text.field("name", name).secret_field("sign", sign.scalar().view()).secret_field("decrypt", decrypt.scalar().view());
  TRY(create_text(files, official_path, text));
  return OfficialPublicKeys{std::string(name), sign.public_key(), decrypt.public_key(),
                            crypto::x25519_public_key(paper)};
}

Result<std::unique_ptr<Credential>> open_key_file_credential(env::FileSystem& files, std::string_view directory) {
  KeyTextReader reader = TRY(open_text(files, env::join_path(directory, kOfficialFile), kOfficialDomain));
  std::string name = TRY(read_name(reader));
  auto sign = TRY(read_p384(reader, "sign"));
  auto decrypt = TRY(read_p384(reader, "decrypt"));
  TRY(reader.end());
  return std::unique_ptr<Credential>(
      std::make_unique<KeyFileCredential>(std::move(name), std::move(sign), std::move(decrypt)));
}

Result<std::unique_ptr<Credential>> open_paper_credential(env::FileSystem& files, std::string_view path) {
  KeyTextReader reader = TRY(open_text(files, path, kPaperDomain));
  std::string name = TRY(read_name(reader));
  auto seed = TRY(reader.secret<32>("seed"));
  TRY(reader.end());
  return std::unique_ptr<Credential>(std::make_unique<PaperCredential>(std::move(name), std::move(seed)));
}

const format::SealingKey* AgentKeys::key_for(format::PeriodNumber period) const {
  for (const format::SealingKey& key : periods) {
    if (key.id.period == period) return &key;
  }
  return nullptr;
}

Status write_agent_keys(env::FileSystem& files, std::string_view path, const AgentKeys& keys) {
  CHECK(keys.periods.size() <= policy::kMostPeriods);
  CHECK(keys.starts_seconds >= 0 && keys.period_seconds > 0);
  KeyTextWriter text(kAgentDomain);
  text.field("realm", keys.realm.hex())
      .field("registry", keys.registry.hex())
      .field("era", keys.era.value())
      .field("starts", static_cast<std::uint64_t>(keys.starts_seconds))
      .field("period-seconds", static_cast<std::uint64_t>(keys.period_seconds))
      .secret_field("dedup", keys.dedup.view());
  for (const format::SealingKey& key : keys.periods) {
    text.period_field(key.id.period.value(), key.symmetric.view(), key.encapsulation.view());
  }
  Status written = env::replace_file_durably(files, path, text.view(), env::kPrivateFile);
  if (!written.ok()) return about(path, written.take_error());
  return written;
}

Result<AgentKeys> read_agent_keys(env::FileSystem& files, std::string_view path) {
  KeyTextReader reader = TRY(open_text(files, path, kAgentDomain));
  AgentKeys keys;
  keys.realm = TRY(reader.id<format::RealmId>("realm"));
  keys.registry = TRY(reader.id<format::RegistryId>("registry"));
  keys.era = format::EraNumber(TRY(reader.u32("era")));
  if (keys.era.value() == 0) return reader.bad("the first era is 1");
  keys.starts_seconds = TRY(reader.seconds("starts"));
  keys.period_seconds = TRY(reader.seconds("period-seconds"));
  if (keys.period_seconds == 0) return reader.bad("a period takes at least a second");
  keys.dedup = TRY(reader.secret<32>("dedup"));
  while (reader.next_is("period")) {
    auto key = TRY(read_period(reader, keys));
    keys.periods.push_back(std::move(key));
  }
  TRY(reader.end());
  return keys;
}

Status create_recipient_key(env::FileSystem& files, std::string_view path, const RecipientKey& key) {
  KeyTextWriter text(kRecipientDomain);
  text.field("release", key.release.hex()).secret_field("seed", key.seed.view());
  return create_text(files, path, text);
}

Result<RecipientKey> read_recipient_key(env::FileSystem& files, std::string_view path) {
  KeyTextReader reader = TRY(open_text(files, path, kRecipientDomain));
  RecipientKey key;
  key.release = TRY(reader.id<ReleaseId>("release"));
  key.seed = TRY(reader.secret<32>("seed"));
  TRY(reader.end());
  return key;
}

}  // namespace exclave::custody
