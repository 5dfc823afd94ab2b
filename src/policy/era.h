// Era document: what the ceremony publishes for one era of one registry. Vaults and agents refuse key ids that are not
// in it. Hides: the text's field order.
//
//   exclave/era/v1
//   realm HEX
//   registry HEX
//   era N                               from 1
//   previous none|HEX                   SHA-256 of the previous era's document; none for era 1
//   threshold T
//   starts SECONDS
//   period-seconds N
//   dedup-check HEX                     SHA-256("exclave/dedup-check/v1" 00 D)
//   official NAME                       the share holders, in the order of their share index x = 1..n
//   period P HEX HEX                    X_p and SHA-256("exclave/period-check/v1" 00 S_p), for P = 0, 1, 2, ...
//   share P NAME HEX                    commitment SHA-256(salt (32) || x (1) || y (32)) of that official's share of
//                                       A[r,e,P]; by period, and in a period in the order of the officials
//   signature ceremony base64           Ed25519 by the policy's ceremony key
//
// Units/limits: 1..255 officials, 1..80 periods (so that a share leaf fits one line), 1 s..10 years a period.
// I1  Periods are numbered 0.. without gaps and no X_p repeats; every official has a commitment for every period.
// I2  The period at time t is floor((t - starts) / period-seconds), clamped to the first and last one: an agent whose
//     era has run out keeps depositing under the last period and alarms, rather than stopping.
// I3  The checks bind the agent's secrets to the era that the officials can open: what is sealed under other keys could
//     never be opened again. S_p and D are 256 uniform bits, so a hash of them gives nothing away.
// Threads: values.
// Errors: InvalidInput (document and line), Denied (signature, not this policy's).
// Source: docs/formats/era.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/ids.h"
#include "policy/policy.h"

namespace exclave::policy {

constexpr std::size_t kMostPeriods = 80;

using ShareCommitment = Id<32, struct ShareCommitmentTag>;
using PeriodCheck = Id<32, struct PeriodCheckTag>;  // of S_p
using DedupCheck = Id<32, struct DedupCheckTag>;    // of D

struct EraPeriod {
  crypto::X25519PublicKey encapsulation;     // X_p
  PeriodCheck check;                         // of S_p
  std::vector<ShareCommitment> commitments;  // in the order of Era::officials
};

struct Era {
  format::RealmId realm;
  format::RegistryId registry;
  format::EraNumber number{1};
  std::optional<crypto::Hash256> previous;
  std::uint32_t threshold = 0;
  std::int64_t starts_seconds = 0;
  std::int64_t period_seconds = 0;
  DedupCheck dedup_check;
  std::vector<std::string> officials;
  std::vector<EraPeriod> periods;

  bool has(const format::KeyId& key) const;
  // Precondition: check_era_rules() is ok, as for every parsed era.
  format::PeriodNumber period_at(std::int64_t now_seconds) const;
  bool has_run_out(std::int64_t now_seconds) const;
  // When `period` begins; it ends where the next one begins. Seconds since 1970.
  std::int64_t start_of(format::PeriodNumber period) const;
  // The share index of an official, 1..n; nullopt for who holds no share of this era.
  std::optional<std::uint8_t> share_index(std::string_view official) const;
  // Precondition: check_era_rules() is ok.
  std::string text() const;
};

// Limits and I1; InvalidInput says what is wrong. parse() has checked it.
Status check_era_rules(const Era& era);

struct SignedEra {
  Era era;
  std::string document;
  crypto::Hash256 hash;  // SHA-256 of the document
  crypto::Ed25519Signature signature;

  static Result<SignedEra> parse(ByteView document, std::string source);
  // Precondition: check_era_rules(era) is ok.
  static SignedEra sign(const Era& era, const crypto::Ed25519SigningKey& ceremony);
};

// Signature by the policy's ceremony key, realm and registry known to the policy, threshold as the policy's registry
// says: Denied otherwise. Whoever takes in a new era asks this of the policy in force.
Status verify_era(const Policy& policy, const SignedEra& era);
// The newest version of a verified chain that vouches for the era. The newest of all vouches for whatever verifies under
// it; an earlier one only for eras up to the number that the version after it gives as opened by then: those stay the
// realm's, or a new policy would close them, and a ceremony key that was replaced opens nothing more. None does: Denied,
// as the newest version says it.
Result<const Policy*> find_voucher(const std::vector<SignedPolicy>& chain, const SignedEra& era);

// Approvals that open periods of this era: what the policy in force demands, and never fewer than the era's shares.
std::uint32_t approvals_needed(const Policy& policy, const Registry& registry, const Era& era);

ShareCommitment commit_to_share(ByteView salt, std::uint8_t x, ByteView y);
PeriodCheck check_of_period(ByteView symmetric);
DedupCheck check_of_dedup(ByteView dedup);

}  // namespace exclave::policy
