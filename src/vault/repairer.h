// Repairer: brings a vault back to what the others hold, and replaces copies that its disk has spoiled.
// Hides: which vault is asked for what, how a fetched copy is checked, how far a scrub has come.
//
//   acts -> per registry: every other vault's heads -> entries beyond our head -> their objects -> put (deposits.h)
//   scrub: every object row, by name: is the file there, has it its size, do its bytes bear its name?
//          if not: a good copy from another vault, published under the name; the damaged file is set aside
//          if nobody has one: noted (damages.h), shown in status, asked for again by each repair
//
// Units/limits: bytes. One object is in memory at a time (at most 16 MiB).
// I1  Another vault's word counts for nothing: acts, streams and entries carry signatures that are checked as if their
//     signer had brought them, and an object's bytes must bear its name.
// I2  A damaged file keeps its name until a good copy is durable and takes it, and is never deleted. What no vault has
//     whole stays as it is. Damaged is what is gone, cannot be read, or has another size or other bytes; a machine that
//     fails in any other way, having no more open files to give for instance, ends the scrub.
// I3  Killed at any point, the next repair goes on; a scrub goes on where it was, give or take kScrubStep objects.
//     Objects that nobody has are asked for once in a run, and after kMostMissing of them no more in this run.
// I4  What stops one registry (its quota) stops no other, and neither does a full disk stop the scrub.
// I5  Every object read at another vault was announced there, signed with this vault's receipt key.
// Threads: one repair of a vault at a time, beside its daily work.
// Durability: what the report counts is durable.
// Errors: Cancelled, and those of this vault's own table and disk: in the report, beside what was done until then. What
//   other vaults get wrong is in the report too.
// See: docs/operations/embassy-operator.md, docs/threat-model.md (L1, L6).
#pragma once

#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "env/env.h"
#include "store/object_store.h"
#include "store/vault_api.h"
#include "vault/act_book.h"
#include "vault/deposits.h"
#include "vault/records.h"

namespace exclave::vault {

inline constexpr std::size_t kScrubStep = 64;
inline constexpr std::size_t kMostMissing = 1000;

// Resume: goes on with a scrub that was not finished, else begins one.
enum class Scrub { No, Resume, FromTheStart };

struct RepairOptions {
  Scrub scrub = Scrub::No;
  std::uint64_t scrub_bytes_per_second = 0;  // 0: as fast as it goes
  std::chrono::nanoseconds scrub_time{};     // 0: until it is finished; otherwise the next repair goes on with it
};

struct RepairReport {
  std::uint64_t acts = 0;  // adopted from others, as the next three
  std::uint64_t entries = 0;
  std::uint64_t objects = 0;  // read from others, to fill gaps or to replace
  std::uint64_t bytes = 0;
  std::uint64_t checked_objects = 0;  // by the scrub
  std::uint64_t checked_bytes = 0;
  std::uint64_t damaged = 0;
  std::uint64_t replaced = 0;            // of the damaged ones, of this run and of earlier ones
  std::vector<std::string> problems;     // what is still wrong here, and what another vault got wrong
  std::vector<std::string> unreachable;  // "lux: connection refused"
  std::optional<Error> error;            // what ended the repair early

  bool is_whole() const { return problems.empty() && unreachable.empty() && !error.has_value(); }
  bool did_anything() const { return acts + entries + objects + damaged > 0; }
};

class Repairer {
 public:
  // What it works on; all outlive it. `receipt_key`: this vault's.
  struct Parts {
    env::Clock& clock;
    env::Log& log;
    ActBook& acts;
    Records& records;
    store::ObjectStore& objects;
    Damages& damages;
    Deposits& deposits;
    const crypto::Ed25519SigningKey& receipt_key;
  };
  // `others`: the policy's other vaults, reached with this vault's identity; they outlive it too.
  Repairer(const Parts& parts, const std::vector<store::VaultApi*>& others, const RepairOptions& options)
      : parts_(parts), others_(others), options_(options) {}

  RepairReport run(std::stop_token stop);

 private:
  // What became of an entry that another vault holds.
  enum class Taken { Yes, Missing, Refused, RegistryIsFull };

  Status fill(std::stop_token stop);
  Status adopt_acts(std::stop_token stop);
  Status fill_gaps(const policy::Registry& registry, std::stop_token stop);
  // Goes on behind what nobody has, as far as entries may be beyond the head. RegistryIsFull: nothing more of the
  // stream's registry.
  Result<Taken> fill_stream(store::VaultApi& other, const store::StreamHead& head, std::stop_token stop);
  // What failed at the other vault or was not believed is a problem in the report, and nothing more.
  Result<Taken> take_entry(store::VaultApi& other, const store::HeldEntry& held, const format::RegistryId& registry);
  Status scrub(std::stop_token stop);
  // nullopt: good. Otherwise what is wrong with the file.
  Result<std::optional<std::string>> look_at(const format::ObjectName& name, const ObjectRow& row,
                                             std::stop_token stop);
  // What earlier runs knew to be damaged, kScrubStep of it: a good copy may be back.
  Status mend_known(std::stop_token stop);
  // Looks at these, replaces what is damaged, and keeps in mind what nobody has whole.
  Status check(const std::vector<std::pair<format::ObjectName, ObjectRow>>& objects, std::stop_token stop);
  // Waits until what was read so far is due.
  Status keep_pace(std::stop_token stop);
  // Whether a good copy is in its place now.
  Result<bool> replace(const format::ObjectName& name, const std::string& damage);
  // A copy that bears its name, from `first` if it has one, else from any other vault.
  Result<Bytes> fetch(const format::ObjectName& name, store::VaultApi* first);
  Result<Bytes> fetch_from(store::VaultApi& other, const format::ObjectName& name);
  void problem(std::string what);
  void lost(const store::VaultApi& other, const Error& error);
  bool is_lost(const store::VaultApi& other) const;

  const Parts parts_;
  const std::vector<store::VaultApi*> others_;
  const RepairOptions options_;
  env::Instant scrub_began_;
  std::vector<const store::VaultApi*> lost_;  // did not answer in this run: not asked again
  std::set<format::ObjectName> missing_;      // which no vault gave in this run
  std::set<format::ObjectName> known_;        // looked at by mend_known: not by the scrub again
  RepairReport report_;
};

}  // namespace exclave::vault
