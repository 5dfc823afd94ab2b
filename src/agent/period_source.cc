#include "agent/period_source.h"

#include <algorithm>

#include "custody/key_files.h"
#include "env/at_once.h"
#include "policy/policy.h"

namespace exclave::agent {

void PeriodSource::refresh() {
  env::at_once(
      env_.threads, vaults_.size(), [&](std::size_t i) { return "clock-" + vaults_[i]->name(); },
      [&](std::size_t i) {
        const auto status = vaults_[i]->status();
        if (!status.ok()) return;
        const env::Timestamp there = env::Timestamp::from_seconds(status.value().now_seconds);
        const MutexLock lock(mutex_);
        ahead_[vaults_[i]->name()] = there - env_.clock.now();
      });
}

bool PeriodSource::knows_enough() {
  const MutexLock lock(mutex_);
  return ahead_.size() >= copies_;
}

format::PeriodNumber PeriodSource::period_now() {
  const env::Timestamp here = env_.clock.now();
  std::vector<std::int64_t> times;
  {
    const MutexLock lock(mutex_);
    for (const auto& [vault, ahead] : ahead_) times.push_back((here + ahead).seconds());
  }
  const std::int64_t now =
      std::min(here.seconds(), policy::reached_by(copies_, std::move(times)).value_or(here.seconds()));
  return era_.period_at(now);
}

Result<const format::SealingKey*> PeriodSource::current() {
  custody::AgentKeys keys = TRY(custody::read_agent_keys(env_.files, keys_path_));
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
