// Vault: the rules of one vault behind wire's Handler. Who may do what, what is kept, what is promised.
// Hides: how roles (access), acts (act_book), deposits and rows (records) work together.
//
//   DIRECTORY/identity.key receipt.key    the operator's business (custody), not read here
//             acts/                       every policy version and era document (act_book.h)
//             objects/                    the objects (store/directory_store.h)
//             journal/                    open segments of journals (segment_files.h)
//             table/                      rows about all of it (records.h)
//             lock                        held while the vault is open
//
//   create (acts of the realm) --> closed --open--> open --dropped or crashed--> closed
//
// I1  A receipt is signed after what it vouches for survives power loss, and says no more than the table's head row.
//     Nothing new is signed for a stream that has an object in it which is known to be lost here (damages.h).
// I2  Nothing is ever deleted or overwritten, by anybody.
// I3  What the newest adopted policy says holds from the next call on, and at the commit of a put in progress.
// I4  After a crash everything promised is found again; uploads in progress have vanished. Damage to the end of the
//     table's log reads as an older state (table/table.h I4): acts come back from their files, objects without a row are
//     noticed when there are more than a crash leaves (status), and repair brings their entries back from other vaults.
// Units: seconds since 1970 by this vault's clock, bytes.
// Threads: as wire::Handler.
// Durability: mutating calls are durable when they return ok.
// Errors: those of store::VaultApi; of open: Conflict (another process has the directory open), NotFound (no vault
//     there, or its creation was not finished: create), Precondition (the receipt key is in no policy version), Corrupt (the table is damaged or gone; as long as
//     there are objects, no empty one takes its place).
// See: docs/protocols/vault-http.md, docs/threat-model.md (C2, C3, C11, H7).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "env/env.h"
#include "store/directory_store.h"
#include "vault/act_book.h"
#include "vault/deposits.h"
#include "vault/journals.h"
#include "vault/readings.h"
#include "vault/records.h"
#include "vault/repairer.h"
#include "vault/segment_files.h"
#include "wire/handler.h"

namespace exclave::vault {

// The part of the world that a vault uses; all outlive it.
struct World {
  env::FileSystem& files;
  env::Clock& clock;
  env::Log& log;
  env::Threads& threads;
};

// Opens the table in a directory that exists: RocksDB in the program, its twin in simulations.
using OpenTable = std::function<Result<std::unique_ptr<table::Table>>(const std::string& directory)>;

struct Settings {
  std::string program;  // what status() says, "exclave 0.1.0"
  store::DirectoryStoreOptions store = {};
};

// Makes a vault in `directory` (which may exist and hold key files) out of the realm's acts: at least the chain of
// policies from version 1, in any order. Whether that chain begins with the right policy is not asked here: whoever puts
// a vault's first acts beside its keys decides which realm it serves.
// DURABLE. After a crash in the middle it is simply repeated; AlreadyExists if it was finished before, Corrupt if there
// are objects and no table that knows of them.
Status create(const World& world, const std::string& directory, const std::vector<Bytes>& acts,
              const OpenTable& open_table);

class Vault final : public wire::Handler {
 public:
  static Result<std::unique_ptr<Vault>> open(const World& world, const std::string& directory,
                                             crypto::Ed25519SigningKey receipt_key, const OpenTable& open_table,
                                             const Settings& settings);
  ~Vault() override;

  // The policy in force, for whoever runs the vault: its address, its identity key, when it expires.
  policy::SignedPolicy policy() const { return acts_->in_force()->policy; }

  // Fills gaps from the policy's other vaults, which were reached with this vault's identity; one repair at a time.
  RepairReport repair(const std::vector<store::VaultApi*>& others, const RepairOptions& options, std::stop_token stop);
  // When a scrub is due by this clock: the last one began `every` ago, was never begun, or is not finished yet.
  Result<bool> is_scrub_due(std::chrono::seconds every) const;

  const std::string& name() const override { return name_; }
  bool knows(const wire::Caller& caller) override;
  Result<store::VaultStatus> status(const wire::Caller& caller) override;
  Status open_stream(const wire::Caller& caller, const format::SignedStream& stream) override;
  Result<std::optional<format::SignedReceipt>> put(const wire::Caller& caller, const format::SignedEntry& entry,
                                                   wire::ObjectSource& source) override;
  Result<store::QuotaUse> quota(const wire::Caller& caller, const format::RegistryId& registry) override;
  Result<std::uint64_t> append_frames(const wire::Caller& caller, const format::SegmentPlace& place,
                                      std::uint8_t size_class, std::uint64_t offset, ByteView bytes) override;
  Result<format::SignedMarkReceipt> put_mark(const wire::Caller& caller, const format::SignedMark& mark) override;
  Result<std::vector<store::OpenSegment>> open_segments(const wire::Caller& caller,
                                                        const format::RegistryId& registry) override;
  Status read_frames(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
                     MutableByteView out) override;
  Status announce_reading(const wire::Caller& caller, const format::SignedReading& reading) override;
  Result<std::uint64_t> size_of(const wire::Caller& caller, const format::ObjectName& name) override;
  Status read(const wire::Caller& caller, const format::ObjectName& name, std::uint64_t offset,
              MutableByteView out) override;
  Result<wire::HeadsPage> heads(const wire::Caller& caller, const format::RegistryId& registry,
                                const std::optional<format::StreamId>& from) override;
  Result<std::vector<store::HeldEntry>> entries(const wire::Caller& caller, const format::StreamId& stream,
                                                format::EntryIndex from, std::size_t limit) override;
  Result<std::vector<store::Act>> acts(const wire::Caller& caller) override;
  Result<Bytes> act(const wire::Caller& caller, const crypto::Hash256& hash) override;
  Status put_act(const wire::Caller& caller, ByteView document) override;

 private:
  Vault(const World& world, std::string directory, crypto::Ed25519SigningKey receipt_key, Settings settings);
  Status open_parts(const OpenTable& open_table);
  Status count_unlisted();
  std::uint64_t unlisted_objects() const;
  std::optional<format::SignedReceipt> receipt_for(const policy::Policy& policy, const format::StreamId& stream,
                                                   const HeadRow& head) const;
  // What a caller is told of an object that has a row and cannot be read.
  Error unreadable(const format::ObjectName& name, const Error& error) const;
  // Of an object whose entry is durable and whose file is there; otherwise NotFound.
  Result<ObjectRow> present_object(const format::ObjectName& name) const;

  const World world_;
  const std::string directory_;
  const crypto::Ed25519SigningKey receipt_key_;
  const Settings settings_;
  std::string name_;
  std::uint64_t unlisted_at_opening_ = 0;
  std::unique_ptr<env::FileSystem::Lock> lock_;
  std::unique_ptr<table::Table> table_;
  std::unique_ptr<Records> records_;
  std::unique_ptr<Damages> damages_;
  std::unique_ptr<ActBook> acts_;
  std::unique_ptr<store::ObjectStore> objects_;
  std::unique_ptr<SegmentFiles> segments_;
  std::unique_ptr<Deposits> deposits_;
  std::unique_ptr<Journals> journals_;
  std::unique_ptr<Readings> readings_;
};

}  // namespace exclave::vault
