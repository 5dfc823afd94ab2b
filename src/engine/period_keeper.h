// PeriodKeeper: when an agent may forget a period's key. Forgetting S_p is what makes a captured agent unable to open
// the past; forgetting it too early would stop deposits, so it takes more than one clock.
//
// I1  A period's key is erased only if it has ended by the agent's own clock *and* by the k-th newest time among the
//     vaults' signed receipts. The last key is never erased.
#pragma once

#include <map>
#include <string>

#include "engine/capture.h"

namespace exclave::engine {

// By vault: the newest time it has signed, of those it has signed any.
using VaultTimes = std::map<std::string, std::int64_t>;
Result<VaultTimes> newest_vault_times(const repo::DedupIndex& index);

// Removes the keys of ended periods from `keys`; returns how many. The caller writes the file.
Result<std::size_t> erase_ended_periods(const CaptureContext& context, custody::AgentKeys& keys);

}  // namespace exclave::engine
