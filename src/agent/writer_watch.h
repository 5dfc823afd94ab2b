// WriterWatch: whether somebody else writes journals with this agent's key: a copy of its home that runs, or a thief of the key.
// Hides: what of a vault's word is evidence.
//
//   open segments at a vault, each with its last mark:
//     of a journal of ours                  nothing
//     made before this agent started        nothing: of an earlier run
//     not signed with our key               nothing: a vault may say anything
//     seen at our first look at this vault  nothing yet: an earlier run's, before this machine's clock was set back
//     otherwise                             alarm
//
// I1  A vault cannot raise the alarm by itself: marks (format/mark.h) are signed by the writer, with their time.
// I2  It does not end while the agent runs.
// Limits: a thief who makes no marks, or sets its clock behind this agent's start, is not seen here; nor is a copy while its
//   clock stands behind that.
// Threads: any. look() waits for vaults; a thread per vault inside, "watch-<vault>".
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "env/env.h"
#include "store/vault_api.h"

namespace exclave::agent {

class WriterWatch {
 public:
  // Counts from now on. All outlive it.
  WriterWatch(env::Env& env, const crypto::Ed25519PublicKey& writer, const format::RegistryId& registry,
              std::vector<store::VaultApi*> vaults)
      : env_(env), writer_(writer), registry_(registry), vaults_(std::move(vaults)), began_(env.clock.now()) {}

  // Before a vault hears of it.
  void is_ours(const format::StreamId& journal);
  // Asks every vault; one that does not answer shows nothing. Logs the alarm, once.
  void look();
  // For people.
  std::optional<std::string> alarm() const;

 private:
  // Made with our key since we began, and not by us.
  bool is_strange(const store::OpenSegment& segment) const REQUIRES(mutex_);
  void judge(const std::string& vault, const std::vector<store::OpenSegment>& shown);

  env::Env& env_;
  const crypto::Ed25519PublicKey writer_;
  const format::RegistryId registry_;
  const std::vector<store::VaultApi*> vaults_;
  const env::Timestamp began_;

  mutable Mutex mutex_;
  std::set<format::StreamId> ours_ GUARDED_BY(mutex_);
  std::map<std::string, std::vector<format::SignedMark>> first_ GUARDED_BY(mutex_);  // strange ones, by vault
  std::optional<std::string> alarm_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
