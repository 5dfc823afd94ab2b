// StoredCheck: whether the vaults still hold what this agent once had receipts for.
// Hides: whose word counts for a vault that does not answer, that has new keys, or that the policy no longer names.
//
// What is captured refers to what the era holds already, and that is not sent again. So whoever says "durable" has to
// know that k vaults hold the old as well as the new: a vault whose disk was replaced has lost what its receipts say.
//
//   of each stream:   receipts that were kept        lux 9  est 9  che 4
//                     what captures rely on          9
//                     what the vaults show now       lux 9  est 0  (che does not answer: 4, as it said)
//                     k-th highest, then and now     9 -> 4: five entries are endangered
//
// I1  A vault is taken at its own signed receipts. One that answers holds what it shows, and not what it showed once;
//     of one that does not answer nothing is known against what it signed; one that is no longer a vault of the policy
//     holds nothing, and what was signed with a key that the policy no longer names is no word of the vault of now.
// I2  What captures rely on was durable, whatever receipts there are, and whatever k was then: so a capture that was
//     interrupted counts like any other, and a policy with a higher k asks for more copies of the old as well.
// Threads: one caller; vaults are asked one after the other, for their heads alone.
// Errors: none. A vault that does not answer is asked again at the next capture.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/snapshot_finder.h"
#include "repo/dedup_index.h"
#include "repo/relied_entries.h"

namespace exclave::engine {

struct StoredCheck {
  // Vaults that answer, and lack entries which k vaults hold, or held: later snapshots may refer to them.
  std::vector<std::string> lacking;
  // Entries that were durable, and that fewer than k vaults hold now.
  std::uint64_t endangered = 0;
};

// Of the streams of one era. `kept` and `relied`: the agent's own, of this era. `just_sent`: the stream of a capture
// that has just ended; who has not all of it is behind, which is said elsewhere, and not lacking.
StoredCheck check_stored(const PinnedRegistry& registry, format::EraNumber era,
                         const std::vector<repo::KeptReceipt>& kept, const std::vector<store::VaultApi*>& vaults,
                         const repo::ReliedEntries& relied = {},
                         const std::optional<format::StreamId>& just_sent = std::nullopt);

}  // namespace exclave::engine
