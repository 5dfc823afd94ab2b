// Ceremony: makes the keys of one era of one registry, splits every period's secret, and writes what each party keeps.
// Hides: how A, D, shares, salts and commitments are drawn and laid out.
//
//   for each period p:  A = 32 random bytes  ->  S_p, x_p, X_p (format/keys.h)  ->  t-of-n shares, commitments
//   D = 32 independent random bytes
//
//   share leaf (one file per official, registry, era):
//     exclave/share-leaf/v1
//     realm HEX
//     registry HEX
//     era N
//     official NAME
//     wrapped-decrypt base64              the record, wrapped to DEC_j
//     wrapped-paper base64                the same record, wrapped to PAPER_j
//     signature ceremony base64
//   record       := x u8 | periods u32 | (period u32 | salt (32) | y (32))*
//   wrap context := "exclave/share-leaf/v1" 00 realm (16) registry (16) era u32 official-name
//
// Units/limits: 1..80 periods; the share index x of an official is its place, from 1, in the policy sorted by name.
// I1  A and x_p exist only inside this function and the wrapped shares; they are wiped before it returns.
// I2  Everything returned is verified before it returns: of every period, a random t-subset of the records that were
//     wrapped recombines to the published X_p, and every share fits its commitment.
// Threads: functions.
// Durability: none; the caller writes the files.
// Errors: InvalidInput (threshold, officials, times), Unavailable (randomness), Denied (a leaf that is not this
//     credential's, this era's or the ceremony's), Corrupt (a share that does not fit its commitment).
// Source: docs/formats/share-leaf.md; docs/architecture.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "custody/key_files.h"
#include "policy/era.h"

namespace exclave::custody {

struct CeremonyRequest {
  const policy::Policy* policy = nullptr;
  const policy::Registry* registry = nullptr;
  format::EraNumber era{1};
  std::optional<crypto::Hash256> previous_era;
  std::int64_t starts_seconds = 0;
  std::int64_t period_seconds = 604800;
  std::uint32_t periods = 54;
};

struct ShareLeafFile {
  std::string official;
  std::string document;
};

struct CeremonyResult {
  policy::SignedEra era;
  AgentKeys agent_keys;
  std::vector<ShareLeafFile> leaves;
};

// `ceremony_key` is the one that the policy pins (InvalidInput otherwise); `registry` is one of the policy's.
// Costs about a millisecond for each official, and 0.1 ms for each period.
Result<CeremonyResult> hold_ceremony(env::Random& random, const CeremonyRequest& request,
                                     const crypto::Ed25519SigningKey& ceremony_key);

// The agent's keys are those of this era document: times, registry, D, and S_p and X_p of every period that they hold.
// Denied otherwise: what such keys seal, no quorum of officials could open. `source` names the keys in the message.
// Whoever takes keys into use asks this, and the ceremony of every file that it wrote.
Status check_agent_keys(const AgentKeys& keys, const policy::Era& era, std::string_view source);

// File name of a leaf inside a share book: "<registry id hex>-era-<n>.leaf".
std::string leaf_file_name(const format::RegistryId& registry, format::EraNumber era);

struct LeafShare {
  format::PeriodNumber period;
  Bytes salt;  // 32
  crypto::SecretBytes y;
};
struct OpenedLeaf {
  std::uint8_t x = 0;
  std::vector<LeafShare> shares;
};
// Opens a leaf with an official's credential (DEC_j or PAPER_j) and checks every share against the era's commitments:
// Corrupt names the official and the period of a bad one. Checks era and leaf signatures first, against the version of
// the chain that vouches for the era.
Result<OpenedLeaf> open_leaf(ByteView leaf_document, const policy::SignedEra& era,
                             const std::vector<policy::SignedPolicy>& chain, Credential& credential);

}  // namespace exclave::custody
