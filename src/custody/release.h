// Release: how officials open named periods to one site, and nothing else. Signing the request *is* releasing the
// share. Hides: the texts, what is wrapped for whom, and how shares are checked and combined.
//
//   request  := exclave/release/v1: realm, registry, registry-name, era, period*, site, site-identity, recipient HEX
//   (X25519),
//               policy-version, policy-hash, approvals N, reason, not-after SECONDS, nonce HEX        signed by the
//               site (Ed25519)
//   approval := exclave/approval/v1: release HEX (SHA-256 of the request's text), official, x N, (share P SALT
//   WRAPPED)*
//               signed by the official (ECDSA P-384)         WRAPPED = y wrapped to recipient, base64, context =
//               "exclave/approval/v1" 00 release-hash official-name period-u32
//
// I1  An official's station refuses a request whose site signature is missing or not by a site the policy pins (O10),
// that
//     has expired by its clock, names another policy version, or asks for fewer approvals than the policy demands.
// I2  combine counts one approval per official and per key; it needs release_threshold(registry) approvals with right
//     signatures *and* right shares. A bad share is blamed by name and replaced by another official's if there is one
//     (O5).
// I3  After combining, X25519(x_p) must equal the published X_p.
// I4  Approvals are files: any order, any transport, idempotent.
// Errors: Denied (too few, not pinned, expired, wrong site), InvalidInput, Corrupt (bad shares, blamed).
// Source: docs/formats/release.md.
#pragma once

#include <string>
#include <vector>

#include "custody/ceremony.h"
#include "format/keys.h"

namespace exclave::custody {

struct ReleaseRequest {
  format::RealmId realm;
  format::RegistryId registry;
  std::string registry_name;
  format::EraNumber era;
  std::vector<format::PeriodNumber> periods;  // ascending
  std::string site;
  crypto::Ed25519PublicKey site_identity;
  crypto::X25519PublicKey recipient;
  format::PolicyVersion policy_version;
  policy::PolicyHash policy_hash;
  std::uint32_t approvals = 0;
  std::string reason;
  std::int64_t not_after_seconds = 0;
  Id<16, struct ReleaseNonceTag> nonce;

  std::string text() const;
};
using ReleaseId = Id<32, struct ReleaseIdTag>;  // SHA-256 of the request's text

struct SignedRelease {
  ReleaseRequest request;
  ReleaseId id;
  std::string document;

  static Result<SignedRelease> parse(ByteView document, std::string source);
  static SignedRelease sign(const ReleaseRequest& request, const crypto::Ed25519SigningKey& site_key);
};

// I1, without the expiry. Used by station and site alike.
Status check_release(const policy::SignedPolicy& policy, const SignedRelease& release);

// What the official reads before answering yes: the request in plain words, then the exact text that is signed.
std::string release_in_words(const policy::SignedPolicy& policy, const SignedRelease& release);

// Makes one official's approval document. `now_seconds`: the station's clock, for not-after.
Result<std::string> approve_release(env::Random& random, const policy::SignedPolicy& policy,
                                    const SignedRelease& release, const policy::SignedEra& era, ByteView leaf_document,
                                    Credential& signer, Credential& leaf_opener, std::int64_t now_seconds);

struct CombinedRelease {
  std::vector<format::OpeningKey> keys;  // one per period of the request
  std::vector<std::string> approved_by;  // officials whose shares were used
  std::vector<std::string> blamed;       // "carol: share for period 3 does not match its commitment"
};
// `approvals`: (document, source name) pairs.
struct ApprovalFile {
  std::string source;
  Bytes document;
};
Result<CombinedRelease> combine_release(const policy::SignedPolicy& policy, const SignedRelease& release,
                                        const policy::SignedEra& era, const std::vector<ApprovalFile>& approvals,
                                        const crypto::Secret<32>& recipient_key);

}  // namespace exclave::custody
