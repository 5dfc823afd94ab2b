#include "agent/period_source.h"

#include <algorithm>

#include "custody/key_files.h"

namespace exclave::agent {

Result<const format::SealingKey*> PeriodSource::current() {
  custody::AgentKeys keys = TRY(custody::read_agent_keys(files_, keys_path_));
  format::PeriodNumber period = period_now();
  if (!keys.periods.empty()) period = std::max(period, keys.periods.front().id.period);
  const auto found = std::find_if(keys.periods.begin(), keys.periods.end(),
                                  [&](const format::SealingKey& key) { return key.id.period == period; });
  if (found == keys.periods.end()) {
    return Error(Code::Precondition, "'" + keys_path_ + "' holds no key for period " + std::to_string(period.value()))
        .hint("open the next era: exclave agent recover");
  }
  key_ = std::move(*found);
  return &*key_;
}

}  // namespace exclave::agent
