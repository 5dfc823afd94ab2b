// PeriodSource: the key that a long-running journal seals under, as periods end.
// Hides: where the keys lie.
//
// I1  No key but the one in use is in memory; it is read again from the agent's key file when a segment begins.
// Threads: period_now from any; current from one.
// Errors: Precondition (the key of the period is not there: the era is over), those of the key file.
#pragma once

#include <optional>
#include <string>

#include "agent/vault_clocks.h"
#include "format/keys.h"
#include "policy/era.h"

namespace exclave::agent {

class PeriodSource {
 public:
  // All outlive it. `keys_path`: the era's key file of the agent.
  PeriodSource(env::FileSystem& files, const policy::Era& era, VaultClocks& clocks, std::string keys_path)
      : files_(files), era_(era), clocks_(clocks), keys_path_(std::move(keys_path)) {}

  format::PeriodNumber period_now() { return era_.period_at(clocks_.now_seconds()); }
  // The key to seal under now; good until the next call.
  Result<const format::SealingKey*> current();

 private:
  env::FileSystem& files_;
  const policy::Era& era_;
  VaultClocks& clocks_;
  const std::string keys_path_;
  std::optional<format::SealingKey> key_;
};

}  // namespace exclave::agent
