// PeriodSource: the key that a long-running journal seals under, as periods end.
// Hides: whose clock counts, and where the keys lie.
//
// A period is left only when this machine's clock and the k-th newest of the vaults' clocks agree that it has ended
// (engine/period_keeper.h): a clock that is a year ahead must not use up the agent's keys, and a lying vault neither.
//
// I1  No key but the one in use is in memory; it is read again from the agent's key file when a segment begins.
// Threads: any; refresh() waits for vaults, current() never does.
// Errors: Precondition (the key of the period is not there: the era is over), those of the key file.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "env/env.h"
#include "format/keys.h"
#include "policy/era.h"
#include "store/vault_api.h"

namespace exclave::agent {

class PeriodSource {
 public:
  // All outlive it. `keys_path`: the era's key file of the agent.
  PeriodSource(env::Env& env, const policy::Era& era, std::uint32_t copies, std::vector<store::VaultApi*> vaults,
               std::string keys_path)
      : env_(env), era_(era), copies_(copies), vaults_(std::move(vaults)), keys_path_(std::move(keys_path)) {}

  // Asks every vault what time it is.
  void refresh();
  // Whether so many vaults have said what time it is that one clock ahead, here or there, decides nothing.
  bool knows_enough();
  // The period that runs, by those clocks.
  format::PeriodNumber period_now();
  // The key to seal under now; good until the next call. One caller.
  Result<const format::SealingKey*> current();

 private:
  env::Env& env_;
  const policy::Era& era_;
  const std::uint32_t copies_;
  const std::vector<store::VaultApi*> vaults_;
  const std::string keys_path_;
  Mutex mutex_;
  std::map<std::string, std::chrono::nanoseconds> ahead_ GUARDED_BY(mutex_);  // each vault's clock, against ours
  std::optional<format::SealingKey> key_;
};

}  // namespace exclave::agent
