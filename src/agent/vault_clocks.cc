#include "agent/vault_clocks.h"

#include <algorithm>

#include "env/at_once.h"
#include "policy/policy.h"

namespace exclave::agent {

void VaultClocks::refresh() {
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

bool VaultClocks::knows_enough() {
  const MutexLock lock(mutex_);
  return ahead_.size() >= copies_;
}

std::int64_t VaultClocks::now_seconds() {
  const env::Timestamp here = env_.clock.now();
  std::vector<std::int64_t> times;
  {
    const MutexLock lock(mutex_);
    for (const auto& [vault, ahead] : ahead_) times.push_back((here + ahead).seconds());
  }
  return std::min(here.seconds(), policy::reached_by(copies_, std::move(times)).value_or(here.seconds()));
}

}  // namespace exclave::agent
