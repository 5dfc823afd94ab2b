// Release: how officials open named periods to one site, and nothing else. Signing the request *is* releasing the
// share. Hides: the texts, what is wrapped for whom, and how shares are checked and combined.
//
//   exclave/release/v1                  the request
//   realm HEX
//   registry HEX
//   registry-name NAME
//   era N
//   period N                            one line each, ascending
//   site NAME
//   site-identity HEX                   Ed25519, as the policy pins it
//   recipient HEX                       X25519, made for this release
//   policy-version N
//   policy-hash HEX
//   approvals N
//   reason TEXT                         at most 500 bytes, no two spaces in a row
//   not-after SECONDS
//   nonce HEX
//   signature site base64
//
//   exclave/approval/v1                 one official's answer
//   release HEX                         SHA-256 of the request's text
//   official NAME
//   x N
//   share P SALT WRAPPED                WRAPPED = y wrapped to the recipient, base64; wrap context =
//                                       "exclave/approval/v1" 00 release-hash official-name period-u32
//   signature NAME base64               ECDSA P-384
//
// Units/limits: 1..80 periods, as an era has.
// I0  The reason is the only text that the asking site chooses freely: it is shown behind a margin that no line of the
//     station has, and the station's own lines stand after it and once more after the exact text.
// I1  An official's station refuses a request whose site signature is missing or not by a site the policy pins (O10),
//     that has expired by its clock, names another policy version than the newest, or asks for fewer approvals than the
//     newest policy or the era demands.
// I2  combine counts one approval per official and per key; it needs as many as the request names (so at least
//     release_threshold(registry)) with right signatures *and* right shares for every period. A bad share is blamed by
//     name and replaced by another official's if there is one (O5). Only who signed a bad share is blamed by name; a
//     file that anybody could have made is named by its source.
// I3  After combining, X25519(x_p) must equal the published X_p.
// I4  Approvals are files: any order, any transport, idempotent.
// Threads: functions. Durability: none; the caller writes the files.
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

  // Precondition: registry_name and site are names, check_reason(reason) is ok.
  std::string text() const;
};

struct SignedRelease {
  ReleaseRequest request;
  ReleaseId id;
  std::string document;
  crypto::Ed25519Signature signature;  // not checked by parse

  static Result<SignedRelease> parse(ByteView document, std::string source);
  // InvalidInput for a request that parse() would refuse: what is written can be read.
  static Result<SignedRelease> sign(const ReleaseRequest& request, const crypto::Ed25519SigningKey& site_key);
};

// The periods from `first` to `last`, as a request for this era names them. Numbers that a vault gives for an object are
// its word only: Corrupt if the era has no such periods, before anything counts up to them.
Result<std::vector<format::PeriodNumber>> periods_of_request(const policy::Era& era, format::PeriodNumber first,
                                                             format::PeriodNumber last);

// Whether officials of this policy can give so many approvals for the era: only who got shares at its ceremony counts.
// Precondition otherwise: it could be approved by everybody and would never open.
Status check_holders(const policy::Policy& policy, const policy::Era& era, std::uint32_t approvals);

// One line of text, at most 500 bytes, no two spaces in a row: what could imitate a station's lines. InvalidInput.
Status check_reason(std::string_view reason);

// Denied once the request's last second has passed by this clock.
Status check_not_expired(const SignedRelease& release, std::int64_t now_seconds);

// I1, without the expiry. Used by station and site alike.
Status check_release(const policy::SignedPolicy& policy, const SignedRelease& release);

// What the official reads before answering yes: until when, the reason behind its margin, the station's own words, the
// exact text that is signed, and the station's words once more. With the `era`, periods are shown with their calendar
// dates: a station has it and gives it.
std::string release_in_words(const policy::SignedPolicy& policy, const SignedRelease& release, std::int64_t now_seconds,
                             const policy::SignedEra* era = nullptr);

// Makes one official's approval document. `now_seconds`: the station's clock, for not-after. `signer` and
// `leaf_opener` are the same official's (one credential may be both): InvalidInput otherwise. Denied also for a signer
// whose key is not the one that the policy pins.
Result<std::string> approve_release(env::Random& random, const std::vector<policy::SignedPolicy>& chain,
                                    const SignedRelease& release, const policy::SignedEra& era, ByteView leaf_document,
                                    Credential& signer, Credential& leaf_opener, std::int64_t now_seconds);

struct CombinedRelease {
  std::vector<format::OpeningKey> keys;  // one per period of the request
  std::vector<std::string> approved_by;  // officials whose shares were used
  std::vector<std::string> blamed;       // "carol: share for period 3 does not match its commitment"
  // Of `blamed`, what an official signed; the rest anybody could have made, and it is nobody's fault.
  std::vector<std::string> bad_shares;
};
struct ApprovalFile {
  std::string source;  // for messages: where the document came from
  Bytes document;
};
// The id of the release that an approval says it is for. Nothing is verified. InvalidInput: it is no approval.
Result<ReleaseId> release_named_by(const ApprovalFile& approval);
// Combines exactly as many approvals as the request names, in the order given. Denied if fewer are right, with what is
// wrong about the others in the message; nothing of any period is opened then.
Result<CombinedRelease> combine_release(const std::vector<policy::SignedPolicy>& chain, const SignedRelease& release,
                                        const policy::SignedEra& era, const std::vector<ApprovalFile>& approvals,
                                        const crypto::Secret<32>& recipient_key);

}  // namespace exclave::custody
