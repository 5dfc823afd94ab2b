// SnapshotFinder: what the vaults hold of a registry, without any key: streams, entries, snapshots, forks, gaps.
// Hides: paging, merging the answers of several vaults, which of them is complete.
//
//   every vault at once: heads -> entries of each stream -> what proves itself -> joined -> snapshots, oldest first
//
//
// I1  Entries are believed only with the signature of a writer whom the policy pins, or pinned, and an unbroken
//     chain from the stream's start. A period's sealing keys are public: the writer's signature alone tells a capture
//     from a forgery.
// I2  Two valid entries of one index that differ are a fork: reported, never merged.
// I3  Snapshots are ordered by what the writer signed: era, then start of the stream, which rises with every capture of
//     an era. No vault's clock, and no repair, changes that order.
// I4  No object is read to find the snapshots, however many: period and class are what all vaults that list one say. If
//     they differ, the object's own bytes tell, and a vault they refute is believed in nothing more of this kind.
// I5  A vault that did not answer once is not asked again, nor one that takes many times as long as the others
//     (detail/patience.h).
// Cost: a call for the heads of each vault, and one for each stream; of a vault that shows many, up to four at once.
// Threads: one caller; a thread per vault inside, or a few, named "look-<vault>", joined before find_holdings returns.
// Errors: Unavailable (no vault answers). Single vaults that fail are named in `unreachable`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "env/env.h"
#include "policy/policy.h"
#include "repo/object_opener.h"
#include "store/vault_api.h"

namespace exclave::engine {

// A registry as whoever looks at vaults knows it: what is not signed by one of these writers is not the registry's.
struct PinnedRegistry {
  const policy::Policy& policy;
  const policy::Registry& registry;
  std::vector<crypto::Ed25519PublicKey> writers;  // policy::writers_of
  policy::RetentionRange retention;               // policy::retention_of

  // Of this realm and registry, and signed by a pinned writer.
  bool is_own(const format::SignedStream& stream) const;
};

struct FoundSnapshot {
  format::ObjectReference object;  // period and class as vaults say: opening it is the proof
  format::StreamId stream;
  format::StreamStart start;
  format::EntryIndex index;
  format::EraNumber era;
  format::PeriodNumber oldest_period;
  std::int64_t taken_at_seconds = 0;     // by the writer's clock; signed, and the same in every vault
  std::vector<std::string> complete_at;  // vaults that hold it, and every earlier stream of its era whole
};

// One that the vaults list, but whose object nobody could read: period and class may not be known.
struct LostSnapshot {
  FoundSnapshot snapshot;
  Error why;
};

struct FoundStream {
  format::SignedStream stream;
  std::uint64_t entries = 0;  // the longest unbroken run any vault holds
  // What k vaults hold: only that was ever known to the agent as stored, and referred to by later snapshots. With fewer
  // than k vaults to ask, the longest run must be assumed to have been durable.
  std::uint64_t durable_entries = 0;
  std::map<std::string, std::uint64_t> heads;  // by vault
  format::PeriodNumber newest_period;          // of its entries, as vaults say
};

struct FoundObject {
  format::ObjectName name;
  std::uint64_t bytes = 0;
  bool is_snapshot = false;
  format::EraNumber era;
  format::StreamKind kind = format::StreamKind::Objects;  // of the stream that it is of
};

struct RegistryHoldings {
  std::vector<FoundStream> streams;
  std::vector<FoundSnapshot> snapshots;  // oldest first
  std::vector<LostSnapshot> lost;
  std::vector<FoundObject> objects;         // every object once, in stream order; not those of journals
  std::vector<std::string> problems;        // forks, bad signatures, gaps: in the operator's words
  std::vector<std::string> unreachable;     // "lux: connection refused"
  std::vector<store::VaultApi*> answering;  // those of the vaults asked that said all they were asked
  bool is_whole = true;  // so many answered that one of them, and no liar, holds whatever k vaults hold
};

// `missing` is what the vaults do not show. If those that do not answer may hold it, that is said instead, and Unavailable.
Error not_shown(const RegistryHoldings& holdings, Error missing);

Result<RegistryHoldings> find_holdings(env::Clock& clock, env::Threads& threads, const PinnedRegistry& registry,
                                       const std::vector<store::VaultApi*>& vaults);

// For whoever goes on without opening the latest snapshot: reads its header, and moves it to `lost` if no vault gives it
// out. So with the next, until one can be had.
void confirm_latest(RegistryHoldings& holdings);

// In the order in which they were taken (I3).
bool is_older(const FoundSnapshot& a, const FoundSnapshot& b);

// Leaves what a release of these periods of one era opens whole. The other snapshots are returned, in their order.
std::vector<FoundSnapshot> set_aside_unreleased(RegistryHoldings& holdings, format::EraNumber era,
                                                const std::vector<format::PeriodNumber>& periods);

// A snapshot by an unambiguous prefix of its name in hex (at least 4 digits), or "latest". If a lost one is later than
// the latest, the answer is its error: whoever withholds or damages one object shall not turn a restore back in time
// unnoticed.
Result<FoundSnapshot> choose_snapshot(const RegistryHoldings& holdings, std::string_view wanted);

}  // namespace exclave::engine
