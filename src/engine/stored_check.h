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
// A journal leaves home when every vault has all of it, and home forgets it. So what one vault shows of it, every vault had:
//
//   of each journal that home has forgotten:   lux 7  est 0  (che does not answer: 7)     two of three: nothing is endangered
//
// I1  A vault is taken at its own signed receipts. One that answers holds what it shows, and not what it showed once;
//     of one that does not answer, or signs nothing now, nothing is known against what it signed; one that is no longer a vault of the policy
//     holds nothing, and what was signed with a key that the policy no longer names is no word of the vault of now.
// I2  What captures rely on was durable, whatever receipts there are, and whatever k was then: so a capture that was
//     interrupted counts like any other, and a policy with a higher k asks for more copies of the old as well.
// I3  For a journal's length any vault's receipt is taken: home may read no entries. One that lies raises an alarm, in which
//     it is named. A journal of which no vault shows anything is not missed here: a restore that needs it says so.
// Threads: one caller; vaults are asked one after the other, for their heads alone.
// Errors: none. A vault that does not answer is asked again at the next capture.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/snapshot_finder.h"
#include "repo/dedup_index.h"
#include "repo/relied_entries.h"

namespace exclave::engine {

// What the agent remembers of an era.
struct StoredMemory {
  std::vector<repo::KeptReceipt> kept;
  repo::ReliedEntries relied;
  // The stream of a capture that has just ended; who has not all of it is behind, which is said elsewhere, and not lacking.
  std::optional<format::StreamId> just_sent;
  // The first eight bytes of the starts of journals that home has not forgotten. Called before the vaults are asked and after
  // that: meanwhile one may begin, and another end. Without it, or where it gives nullopt, no journal is looked at.
  std::function<std::optional<std::set<std::uint64_t>>()> journals_at_home;
};

inline constexpr std::uint64_t kNearlyAllStreams = store::kMostStreams / 10 * 8;

struct StoredCheck {
  // Of the registry, in all its eras: as many as one vault shows at most, of the store::kMostStreams that it takes.
  std::uint64_t streams = 0;
  bool has_nearly_all_streams() const { return streams >= kNearlyAllStreams; }
  // Vaults that answer, and lack entries which k vaults hold, or held: later snapshots may refer to them.
  std::vector<std::string> lacking;
  // Entries that were durable, and that fewer than k vaults hold now.
  std::uint64_t endangered = 0;
  // Closed segments of journals, those that home has forgotten: how many fewer than k vaults hold now, and who shows these;
  // who answers and lacks some that another vault shows. Without `are_journals_known` nobody could tell.
  bool are_journals_known = false;
  std::uint64_t endangered_segments = 0;
  std::vector<std::string> showing_segments;
  std::vector<std::string> lacking_segments;
};

// Of the streams of one era.
StoredCheck check_stored(const PinnedRegistry& registry, format::EraNumber era, const StoredMemory& memory,
                         const std::vector<store::VaultApi*>& vaults);

}  // namespace exclave::engine
