// Ceremony: makes the keys of one era of one registry, splits every period's secret, and writes what each party keeps.
// Hides: how A, D, shares, salts and commitments are drawn and laid out.
//
//   for each period p:  A = 32 random bytes  ->  S_p, x_p, X_p (format/keys.h)  ->  t-of-n shares, commitments
//   D = 32 independent random bytes
//
//   share leaf (one file per official, registry, era):  exclave/share-leaf/v1
//     realm, registry, era, official, wrapped-decrypt base64, wrapped-paper base64; "signature ceremony base64"
//     both wrap the same record:  x u8 | periods u32 | (period u32 | salt (32) | y (32))*      (to DEC_j, to PAPER_j)
//     wrap context = "exclave/share-leaf/v1" 00 realm registry era-u32 official-name
//
// I1  A and x_p exist only inside this function and the wrapped shares; they are wiped before it returns.
// I2  Everything returned is verified before it returns: a random t-subset of the shares recombines to the published
// X_p. Errors: InvalidInput (threshold, officials), Unavailable (randomness). Source: docs/formats/share-leaf.md;
// design 02 "Keys".
#pragma once

#include <string>
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

Result<CeremonyResult> hold_ceremony(env::Random& random, const CeremonyRequest& request,
                                     const crypto::Ed25519SigningKey& ceremony_key);

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
// Opens a leaf with an official's credential and checks every share against the era's commitments:
// Corrupt names the official and the period of a bad one.
Result<OpenedLeaf> open_leaf(ByteView leaf_document, const policy::SignedEra& era, const policy::Policy& policy,
                             Credential& credential);

}  // namespace exclave::custody
