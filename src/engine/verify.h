// Verify: do the vaults hold what they gave receipts for, and (with released keys) does every chunk open?
// Hides: which object is read from which vault.
//
//   without keys: every stream at every vault: writer's signatures, chain, receipt, retention; every object: present,
//   right
//                 size, and with Reading::EveryByte its bytes bear its name
//   with keys:    every chunk a snapshot refers to is located, opened, decompressed and has the id it is asked by
//
// I1  Each finding names vault, object and what is wrong. No finding means: all of the above was checked and held.
// Errors: Unavailable (no vault answers). Findings are not errors: they are the result.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "engine/snapshot_content.h"

namespace exclave::engine {

enum class Reading { HeadersOnly, EveryByte };

struct VaultVerdict {
  std::string vault;
  bool reachable = true;   // to the end
  std::string connection;  // what ended it, if it was not
  std::uint64_t streams = 0;
  std::uint64_t entries = 0;
  std::uint64_t objects = 0;
  std::uint64_t bytes_read = 0;
  std::vector<std::string> findings;  // the first kMaxFindings: something is not as it was promised
  std::uint64_t finding_count = 0;
  std::vector<std::string> behind;  // streams that other vaults hold further: a gap to be filled, no broken promise
};
inline constexpr std::size_t kMaxFindings = 1000;

struct HoldingsVerdict {
  std::vector<VaultVerdict> vaults;
  std::vector<std::string> problems;  // forks and the like, across vaults
  bool is_clean() const;              // no finding, nobody behind
  bool is_damaged() const;            // a vault broke a promise, whether or not it went on answering
  bool is_behind() const;
  bool is_reachable() const;  // every vault answered
};

Result<HoldingsVerdict> verify_holdings(env::Env& env, const PinnedRegistry& registry,
                                        const std::vector<store::VaultApi*>& vaults, Reading reading,
                                        std::stop_token stop);

struct ContentVerdict {
  std::uint64_t entries = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> findings;
};
Result<ContentVerdict> verify_content(const SnapshotContent& content, std::stop_token stop);

}  // namespace exclave::engine
