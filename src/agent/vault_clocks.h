// VaultClocks: what time it is, by this machine's clock and those of the vaults together.
// Hides: whose clock counts.
//
// A time has come only when this machine's clock and the k-th newest of the vaults' clocks agree on it
// (engine/period_keeper.h): a clock that is a year ahead must not use up an agent's keys, and a lying vault neither.
//
// Threads: any; refresh() waits for vaults, the rest never does. A thread per vault inside, "clock-<vault>".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "env/env.h"
#include "store/vault_api.h"

namespace exclave::agent {

class VaultClocks {
 public:
  // All outlive it. `copies`: k.
  VaultClocks(env::Env& env, std::uint32_t copies, std::vector<store::VaultApi*> vaults)
      : env_(env), copies_(copies), vaults_(std::move(vaults)) {}

  // Asks every vault what time it is.
  void refresh();
  // Whether so many vaults have said what time it is that one clock ahead, here or there, decides nothing.
  bool knows_enough();
  // Since 1970, by those clocks.
  std::int64_t now_seconds();

 private:
  env::Env& env_;
  const std::uint32_t copies_;
  const std::vector<store::VaultApi*> vaults_;
  Mutex mutex_;
  std::map<std::string, std::chrono::nanoseconds> ahead_ GUARDED_BY(mutex_);  // each vault's clock, against ours
};

}  // namespace exclave::agent
