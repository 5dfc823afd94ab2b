// Key files: the secrets each person or machine keeps, as files of one grammar, mode 0600.
// Hides: file texts, and how their bytes are kept out of ordinary memory.
//
//   exclave/signing-key/v1     name NAME | use USE | seed HEX                                        Ed25519
//                              USE := vault-identity | vault-receipt | writer | site | ceremony
//   exclave/official-keys/v1   name NAME | sign HEX | decrypt HEX                                    P-384 scalars
//   exclave/paper-key/v1       name NAME | seed HEX                                                  X25519
//   exclave/agent-keys/v1      realm HEX | registry HEX | era N | starts SECONDS | period-seconds N | dedup HEX |
//                              (period P S_p X_p)*
//   exclave/recipient-key/v1   release HEX | seed HEX                              X25519, per release, at the site
//
// Units/limits: a key file is at most 16 KiB; the grammar is that of format/signed_text.h without signatures.
// I1  A reader refuses a file of another use, and a file that others can read (mode & 077): Precondition with the chmod
//     to run.
// I2  Errors name the path, never the content.
// I3  File contents live in SecretBytes, decoded keys in Secret: no copy of a key outlives the call that read it.
// Threads: functions.
// Durability: every create_* and write_* survives power loss when it returns.
// Errors: NotFound, AlreadyExists (keys are never overwritten, but for agent keys), Denied, InvalidInput, Precondition,
//     Unsupported.
// Source: docs/formats/key-files.md.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/signature.h"
#include "env/file_system.h"
#include "env/random.h"
#include "format/keys.h"

namespace exclave::custody {

enum class SigningUse { VaultIdentity, VaultReceipt, Writer, Site, Ceremony };
std::string_view name_of(SigningUse use);

// Creates a fresh key in a new file (AlreadyExists if there is one) and returns it.
Result<crypto::Ed25519SigningKey> create_signing_key(env::FileSystem& files, env::Random& random, std::string_view path,
                                                     SigningUse use, std::string_view name);
Result<crypto::Ed25519SigningKey> read_signing_key(env::FileSystem& files, std::string_view path, SigningUse use);

// An official's credentials. Cards will offer the same three operations behind it (step 4).
class Credential {
 public:
  virtual ~Credential() = default;
  virtual const std::string& name() const = 0;
  virtual Result<crypto::P384Signature> sign(ByteView message) = 0;
  virtual Result<crypto::SecretBytes> unwrap(ByteView context, ByteView wrapped) = 0;  // wrapped to DEC_j (or PAPER_j)
};

struct OfficialPublicKeys {
  std::string name;
  crypto::P384PublicKey sign;
  crypto::P384PublicKey decrypt;
  crypto::X25519PublicKey paper;
};

// Writes DIRECTORY/official.keys and DIRECTORY/paper.key; makes the directory (0700) if it is missing.
// AlreadyExists if one of the two files is there.
Result<OfficialPublicKeys> create_official_keys(env::FileSystem& files, env::Random& random, std::string_view directory,
                                                std::string_view name);
// Opens official.keys in `directory`.
Result<std::unique_ptr<Credential>> open_key_file_credential(env::FileSystem& files, std::string_view directory);
// Opens paper.key only: unwraps what was wrapped to PAPER_j; sign is Denied ("a paper key opens shares, it does not
// sign").
Result<std::unique_ptr<Credential>> open_paper_credential(env::FileSystem& files, std::string_view path);

// What an agent holds of one era.
struct AgentKeys {
  format::RealmId realm;
  format::RegistryId registry;
  format::EraNumber era;
  std::int64_t starts_seconds = 0;
  std::int64_t period_seconds = 0;
  crypto::Secret<32> dedup;                 // D
  std::vector<format::SealingKey> periods;  // ascending; ended periods have been erased

  const format::SealingKey* key_for(format::PeriodNumber period) const;
};
// Precondition: at most policy's 80 periods, in ascending order.
Status write_agent_keys(env::FileSystem& files, std::string_view path, const AgentKeys& keys);  // replaces
Result<AgentKeys> read_agent_keys(env::FileSystem& files, std::string_view path);

using ReleaseId = Id<32, struct ReleaseIdTag>;  // SHA-256 of the request's text

// The key to which the approvals of one release are wrapped. Made before the request, kept under the request's id.
struct RecipientKey {
  ReleaseId release;
  crypto::Secret<32> seed;
};
Status create_recipient_key(env::FileSystem& files, std::string_view path, const RecipientKey& key);  // new file
Result<RecipientKey> read_recipient_key(env::FileSystem& files, std::string_view path);

}  // namespace exclave::custody
