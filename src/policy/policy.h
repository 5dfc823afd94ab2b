// Policy: the signed public document of a realm. Parsing, writing and the rules a version must obey; pure.
// Hides: the text's field order and how the chain of versions is verified.
//
//   exclave/policy/v1
//   realm HEX
//   name TEXT
//   version N
//   previous none|HEX                     SHA-256 of the previous version's text: what its officials signed
//   expires SECONDS                       since 1970
//   threshold-policy N                    approvals needed to change the policy
//   threshold-release N                   approvals needed, at least, to open periods
//   official NAME sign=HEX decrypt=HEX paper=HEX
//   ceremony HEX                          Ed25519 key that signs era documents
//   quorum k=K q=Q b=B
//   vault NAME identity=HEX receipt=HEX address=ADDRESS
//   site NAME identity=HEX                may carry out releases: reads heads, entries and objects
//   registry NAME id=HEX threshold=T writer=HEX quota=BYTES retention=SECONDS eras=N
//                                         N: the highest era that was open when this version was written
//
//   official, vault, site, registry: one line each, sorted by name.
//   Signatures by officials: "signature NAME base64" (ECDSA P-384, raw r || s) over the text.
//   ADDRESS := "host:port", or "dir:/path" for a vault embedded in the same machine
//
// Units/limits: 1..255 officials (a share's index is a byte), 1 or 3..64 vaults, at most 510 signatures.
// I1  Names are unique per kind and obey format::is_valid_name; registry ids are unique. No public key appears twice in
//     the whole policy, not even with its sign changed, so one key counts once; signatures count once per official.
// I2  1 <= every threshold <= number of officials; an act that opens a registry's keys needs max(threshold-release, T).
// I3  Quorums: 1 <= k,q <= n, 2q > n + b and k > n - q + b; n >= 3, or n = 1 with k = q = 1, b = 0 (a trial realm).
// I4  Version N+1 keeps the realm id, names the SHA-256 of version N's text, changes at most one vault (added,
//     removed or re-keyed), and is signed by threshold-policy officials of N and of N+1. Who changes keys between the
//     two signs with both; a signature that fits neither, of somebody whom neither knows, or that repeats what another
//     one says, makes the document Denied. A registry's `eras` never goes down, and is 0 in version 1: a ceremony needs a
//     policy.
// I5  A version is its text. Who hands it on chooses which signatures come with it (and can write an ECDSA signature in
//     two ways), so two documents of one text are one version, and no hash that anything names covers a signature.
// Threads: values.
// Errors: InvalidInput (names document and line, or the entry that breaks a rule), Denied (signatures, another root of
//     trust), Conflict (not the successor).
// Source: docs/formats/policy.md; design: docs/architecture.md, quorums.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "format/ids.h"
#include "format/signed_text.h"

namespace exclave::policy {

using PolicyHash = Id<32, struct PolicyHashTag>;  // SHA-256 of the signed text, without the signatures

struct Official {
  std::string name;
  crypto::P384PublicKey sign;     // SIG_j
  crypto::P384PublicKey decrypt;  // DEC_j
  crypto::X25519PublicKey paper;  // PAPER_j
  friend bool operator==(const Official&, const Official&) = default;
};

struct VaultEntry {
  std::string name;
  crypto::Ed25519PublicKey identity;  // TLS
  crypto::Ed25519PublicKey receipt;
  std::string address;
  friend bool operator==(const VaultEntry&, const VaultEntry&) = default;
};

struct Site {
  std::string name;
  crypto::Ed25519PublicKey identity;
  friend bool operator==(const Site&, const Site&) = default;
};

struct Registry {
  std::string name;
  format::RegistryId id;
  std::uint32_t threshold = 0;  // t: the secrecy threshold of its shares
  crypto::Ed25519PublicKey writer;
  std::uint64_t quota_bytes = 0;        // per vault
  std::uint64_t retention_seconds = 0;  // an object is retained this long after it became durable
  std::uint32_t eras = 0;               // the highest one opened so far; earlier versions vouch for no later one
  friend bool operator==(const Registry&, const Registry&) = default;
};

struct Quorum {
  std::uint32_t k = 0;  // receipts that make an entry durable
  std::uint32_t q = 0;  // votes that decide
  std::uint32_t b = 0;  // lying vaults tolerated

  // Of so many vaults: answers among which, besides b lies, one is of a vault that holds what k vaults were given.
  std::size_t answers_needed(std::size_t vaults) const { return vaults - k + b + 1; }
  friend bool operator==(const Quorum&, const Quorum&) = default;
};

struct Policy {
  format::RealmId realm;
  std::string name;
  format::PolicyVersion version{1};
  std::optional<PolicyHash> previous;
  std::int64_t expires_seconds = 0;
  std::uint32_t threshold_policy = 0;
  std::uint32_t threshold_release = 0;
  std::vector<Official> officials;
  crypto::Ed25519PublicKey ceremony;
  Quorum quorum;
  std::vector<VaultEntry> vaults;
  std::vector<Site> sites;
  std::vector<Registry> registries;

  // nullptr if there is none.
  const Official* official(std::string_view name) const;
  const VaultEntry* vault(std::string_view name) const;
  const VaultEntry* vault_by_identity(const crypto::Ed25519PublicKey& identity) const;
  const VaultEntry* vault_by_receipt(const crypto::Ed25519PublicKey& receipt) const;
  const Site* site_by_identity(const crypto::Ed25519PublicKey& identity) const;
  const Registry* registry(std::string_view name) const;
  const Registry* registry(const format::RegistryId& id) const;
  const Registry* registry_by_writer(const crypto::Ed25519PublicKey& writer) const;

  // Approvals that open this registry's periods: max(threshold_release, registry.threshold).
  std::uint32_t release_threshold(const Registry& registry) const;
  bool is_trial() const { return vaults.size() == 1; }
  // "tolerates 0 lying and 1 unreachable of 3 vaults": unreachable ones leave both k and q others.
  std::string quorum_in_words() const;

  // Unsigned; lists come out sorted by name, however they are held. Precondition: check_rules() is ok.
  std::string text() const;
};

// The k-th highest of the vaults' counts or times: what k vaults have reached, so what is durable. nullopt: fewer than
// k.
template <typename Count>
std::optional<Count> reached_by(std::uint32_t k, std::vector<Count> counts) {
  if (k == 0 || counts.size() < k) return std::nullopt;
  std::nth_element(counts.begin(), counts.begin() + (k - 1), counts.end(), std::greater<>());
  return counts[k - 1];
}

// I1 to I3; InvalidInput names the offending entry.
Status check_rules(const Policy& policy);
// The rule of I3 alone, for tools that propose quorums.
Status check_quorum(const Quorum& quorum, std::size_t vaults);
// b = (n - 1) / 3, the most liars with which n - b vaults can still decide; then the smallest q and k of I3.
// 1: k=1 q=1 b=0, 3: k=2 q=2 b=0, 4: k=3 q=3 b=1, 5: k=3 q=4 b=1, 7: k=5 q=5 b=2. For 0 and 2 vaults, which no policy
// may have, check_quorum refuses the answer.
Quorum default_quorum(std::size_t vaults);

// A policy document with its bytes. parse checks grammar and rules (I1 to I3), not signatures.
struct SignedPolicy {
  Policy policy;
  std::string document;
  std::vector<format::TextSignature> signatures;
  PolicyHash hash;            // of the text: what names the version
  crypto::Hash256 file_hash;  // of the document: what names the file that a vault keeps

  static Result<SignedPolicy> parse(ByteView document, std::string source);
};

// Counts the officials of `policy` whose signature over `signed_bytes` is right. An unknown signer, a second signature of
// one official, or a wrong one makes the document Denied.
Result<std::size_t> count_approvals(const Policy& policy, ByteView signed_bytes,
                                    const std::vector<format::TextSignature>& signatures);

// The first version: number 1, no previous one, and at least threshold-policy of its own officials signed it. Who
// trusts it compares `hash`.
Status verify_genesis(const SignedPolicy& genesis);
// I4.
Status verify_successor(const SignedPolicy& current, const SignedPolicy& next);
// A whole chain, first version first; `trusted_first` is the root of trust. Returns the newest.
Result<SignedPolicy> verify_chain(const std::vector<SignedPolicy>& chain, const PolicyHash& trusted_first);
// Every key that a version of a verified chain pins as this registry's writer: what an earlier one signed stays the
// registry's, or a replaced writer would take its history with it.
std::vector<crypto::Ed25519PublicKey> writers_of(const std::vector<SignedPolicy>& chain,
                                                 const format::RegistryId& registry);

// The shortest and the longest retention, in seconds, that a version of a verified chain asked for this registry: each
// object was deposited under one of them.
struct RetentionRange {
  std::uint64_t shortest = 0;
  std::uint64_t longest = 0;
};
RetentionRange retention_of(const std::vector<SignedPolicy>& chain, const format::RegistryId& registry);

}  // namespace exclave::policy
