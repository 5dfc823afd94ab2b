// Act book: the realm's acts as a vault keeps them: every policy version and every era document, each a plain file.
// Hides: how acts are verified, filed and found again.
//
//   acts/<SHA-256 of the document, hex>      the documents, byte for byte
//   table "a" 'p' version -> hash            which of the files are in force; an act counts from this row on
//   table "a" 'e' registry era -> hash
//
// I1  The policies form one chain by verify_successor; the newest one rules, from the instant adopt() returned.
// I2  There is at most one document per registry and era; a version of the chain vouches for each (a vault that was
//     away gets eras that are older than the policy it got with them).
//     Without the newest policy's document there is no book; any other one may be damaged or gone: it is missing from the
//     list then, so that others hand it in, and comes back by adopt().
// I3  Nothing is ever taken out of the book, and no older policy comes back.
// Threads: from any thread; adopt() lets one in at a time.
// I4  A document whose row was lost counts again from the next opening on: the file authenticates itself as it did when
//     it came. A table that is older than its files would let a revoked writer in again (H11).
// Durability: what adopt() accepted survives power loss before it counts, and damage to the table's log afterwards.
// Errors: Denied (no act of this realm), InvalidInput (grammar), Conflict (not the successor; another document for an
//         era), Corrupt (a file does not bear its hash, or is gone).
// See: ADR-0009.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "env/env.h"
#include "policy/era.h"
#include "store/vault_api.h"
#include "table/table.h"
#include "vault/detail/gate.h"

namespace exclave::vault {

// What is in force at one instant. Immutable once shared.
struct ActsInForce {
  policy::SignedPolicy policy;
  std::map<std::pair<format::RegistryId, format::EraNumber>, policy::SignedEra> eras;
  std::vector<store::Act> list;  // policies by version, then eras by registry and number

  const policy::Era* era(const format::RegistryId& registry, format::EraNumber number) const;
};

// A whole realm's acts, verified: the policies as one chain from version 1, each era by some policy of it.
struct VerifiedActs {
  std::vector<policy::SignedPolicy> policies;
  std::vector<policy::SignedEra> eras;
};
// `documents` in any order. Whether the chain's beginning is the trusted one is the caller's question.
Result<VerifiedActs> verify_acts(const std::vector<Bytes>& documents);

class ActBook {
 public:
  // Files the acts of a new vault. Idempotent, so it is repeated after a crash.
  static Status create(env::FileSystem& files, const std::string& directory, table::Table& table,
                       const VerifiedActs& acts);
  // Null if it holds no policy: its creation was not finished, or never begun. All arguments outlive the book.
  static Result<std::unique_ptr<ActBook>> open(env::FileSystem& files, env::Threads& threads, env::Log& log,
                                               const std::string& directory, table::Table& table);

  // Shared between the book and the requests in progress, which keep the state that they began with.
  std::shared_ptr<const ActsInForce> in_force() const;
  // The document's bytes, checked against the hash. NotFound if it is not in the book.
  Result<Bytes> document(const crypto::Hash256& hash) const;
  // Verifies an act and puts it in force. One that is in the book already is fine.
  Status adopt(ByteView document);
  // Every policy version in the book, oldest first.
  Result<std::vector<policy::SignedPolicy>> policies() const;

 private:
  ActBook(env::FileSystem& files, env::Threads& threads, env::Log& log, std::string directory, table::Table& table)
      : files_(files), log_(log), directory_(std::move(directory)), table_(table), gate_(threads) {}
  // Ok with no acts in force if there is no row of a policy.
  Status load();
  // The document of an act that has a row, and whose file is damaged or gone.
  Status take_back(const crypto::Hash256& hash, ByteView document);
  // Files without a row: policies in order, then eras.
  Status adopt_files();
  Status keep_document(const crypto::Hash256& hash, ByteView document);
  Status put_row(const table::Batch& batch);
  Status adopt_policy(const ActsInForce& acts, ByteView document);
  Status adopt_era(const ActsInForce& acts, ByteView document);
  void put_in_force(ActsInForce acts);

  env::FileSystem& files_;
  env::Log& log_;
  const std::string directory_;
  table::Table& table_;
  detail::Gate gate_;                  // of adopt
  std::set<crypto::Hash256> missing_;  // have a row and no document; under gate_
  mutable Mutex mutex_;
  std::shared_ptr<const ActsInForce> in_force_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
