// WriterWatch: whether somebody else writes journals with this agent's key: a copy of its home that runs, or a thief of the key.
// Hides: what of a vault's word is evidence.
//
//   open segments at a vault, each with its last mark (format/mark.h):
//     of a journal of ours                        nothing
//     made before this agent started              nothing: of an earlier run
//     not signed with our key                     nothing: a vault may say anything
//     no later than the journal's at first look   nothing: of an earlier run, before this machine's clock was set back
//     otherwise                                   alarm
//
// I1  A vault cannot make up an alarm: marks are signed by the writer, with their time. Only where this machine's clock was set
//     back between two runs can one that hides a mark at the first look, and shows it later, raise a false one.
// I2  The alarm does not end while the agent runs.
// I3  A look verifies at most kMostMarks signatures for each vault.
// Limits: a copy is not seen before it marks once more after the first look; nor while its clock stands behind this agent's
//   start; nor a thief who makes no marks.
// Threads: look() by one, which waits for vaults, one after the other; the rest from any, and never wait.
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
  static constexpr std::size_t kMostMarks = 1000;

  // Counts from now on. All outlive it.
  WriterWatch(env::Env& env, const crypto::Ed25519PublicKey& writer, const format::RegistryId& registry,
              std::vector<store::VaultApi*> vaults)
      : env_(env), writer_(writer), registry_(registry), vaults_(std::move(vaults)), began_(env.clock.now()) {}

  // Before its first mark is made.
  void note_own(const format::StreamId& journal);
  // Asks every vault; one that does not answer shows nothing. Logs the alarm; once it stands, nobody is asked any more.
  void look();
  // For people.
  std::optional<std::string> alarm() const;

 private:
  using LastMarks = std::map<format::StreamId, std::int64_t>;  // by journal: its latest, in seconds
  // Made with our key since we began, and not by us.
  std::vector<format::Mark> strange_ones(const std::vector<store::OpenSegment>& shown) const;
  void judge(const std::string& vault, const std::vector<format::Mark>& strange);

  env::Env& env_;
  const crypto::Ed25519PublicKey writer_;
  const format::RegistryId registry_;
  const std::vector<store::VaultApi*> vaults_;
  const env::Timestamp began_;
  std::map<std::string, LastMarks> first_;  // strange ones of the first look at each vault

  mutable Mutex mutex_;
  std::set<format::StreamId> own_ GUARDED_BY(mutex_);
  std::optional<std::string> alarm_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
