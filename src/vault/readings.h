// Readings: what other vaults read here. They fill gaps and replace damaged copies from each other, and nothing else
// should make them read; so each reading is announced with a signature, kept, and counted.
// Hides: rows, and how many bytes an announcement still buys.
//
//   announce (signed by the reader) -> row + count, DURABLE -> spend, spend, ... up to the object's size -> announce
//   again
//
// I1  A vault reads no more bytes of an object than its announcements in this process have bought.
// I2  An announcement is for this realm and this holder, by the reader itself; the newest one per object is kept.
// Units/limits: at most kMaxOpen announcements are open per vault; the oldest one is forgotten then.
// Threads: from any thread.
// Errors: Denied.
// Durability: announce is durable when it returns ok.
// See: docs/protocols/vault-http.md, docs/threat-model.md (H6, L1).
#pragma once

#include <deque>
#include <map>

#include "base/mutex.h"
#include "env/env.h"
#include "policy/policy.h"
#include "store/vault_api.h"
#include "vault/detail/gate.h"
#include "vault/records.h"

namespace exclave::vault {

class Readings {
 public:
  static constexpr std::size_t kMaxOpen = 64;

  // All outlive it. `holder`: this vault's receipt key.
  Readings(env::Clock& clock, env::Threads& threads, Records& records, const crypto::Ed25519PublicKey& holder)
      : clock_(clock), records_(records), holder_(holder), gate_(threads) {}

  // `reader`: the vault that the caller is, by the policy. `bytes`: the object's size.
  Status announce(const policy::Policy& policy, const policy::VaultEntry& reader, const format::SignedReading& reading,
                  std::uint64_t bytes);
  // Before `bytes` of the object go out.
  Status spend(const policy::VaultEntry& reader, const format::ObjectName& object, std::uint64_t bytes);
  // By name; a key that `policy` does not know goes by its hex.
  Result<std::vector<store::PeerReadings>> by_vault(const policy::Policy& policy) const;

 private:
  struct Open {
    format::ObjectName object;
    std::uint64_t bytes_left = 0;
  };

  env::Clock& clock_;
  Records& records_;
  const crypto::Ed25519PublicKey holder_;
  detail::Gate gate_;  // of the counts
  Mutex mutex_;
  std::map<crypto::Ed25519PublicKey, std::deque<Open>> open_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
