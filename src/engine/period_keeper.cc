#include "engine/period_keeper.h"

#include <algorithm>

namespace exclave::engine {

Result<VaultTimes> newest_vault_times(const repo::DedupIndex& index) {
  VaultTimes newest;
  for (const auto& kept : TRY(index.receipts())) {
    const std::int64_t time = kept.receipt.receipt.durable_at_seconds;
    const auto [at, inserted] = newest.emplace(kept.vault, time);
    if (!inserted) at->second = std::max(at->second, time);
  }
  return newest;
}

Result<std::size_t> erase_ended_periods(const CaptureContext& context, custody::AgentKeys& keys) {
  const repo::DedupIndex index = TRY(repo::DedupIndex::open(context.table));
  const VaultTimes times = TRY(newest_vault_times(index));
  if (times.size() < context.policy.quorum.k) return std::size_t{0};
  const format::PeriodNumber running = current_period(context, times);
  const std::size_t before = keys.periods.size();
  while (keys.periods.size() > 1 && keys.periods.front().id.period < running) keys.periods.erase(keys.periods.begin());
  return before - keys.periods.size();
}

}  // namespace exclave::engine
