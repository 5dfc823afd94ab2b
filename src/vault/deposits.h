// Deposits: the writing side of a vault: opening streams, taking entries in, moving heads.
// Hides: the order of checks, of writes and of promises.
//
//   put:   role, stream, signature -> claim -> place in the chain -> quota -> object (hash while it streams)
//          -> object durable in the store -> one synced batch: entry, object, quota, head -> only then a receipt
//
//   entries      0 1 2 3 . 5 6 . . 9       held, in any order of arrival, at most kMaxIndexGap beyond the head
//   head               ^ next = 4          everything below it is held; put of 4 moves it to 7
//
// Units/limits: bytes. An index is at most 65,536 beyond the head; a registry has at most kMostStreams (store/vault_api.h) streams.
//   A registry has at most kMostOpenSegmentsPerRegistry segments open. Quota: an object counts with its size, once per name; a stream counts 4,096 bytes, an entry 512, so that rows
//   cannot be made without end.
// I1  A head row in the table means: entries 0..next-1, their objects and the rows for them survive power loss.
// I2  Two entries of one stream that are both held never contradict each other. One that contradicts a held one is
//     refused with Conflict, kept as evidence (the first such pair of a stream) and logged.
// I3  An object is published only after its bytes bore its name (or who made them in this process gave it: ADR-0032), its
//     header the right key id, and its size its class. A
//     file that lies under the name already is read before it is believed, and set aside if it does not bear its name.
//     An object's stream takes no segments, a journal nothing else, and each at its place alone (format/journal.h). A
//     segment that is open here becomes the object without being sent (segment_files.h); its row goes, and what it was
//     charged with, in the batch that makes the entry durable.
// I4  retain-until comes from the vault's clock and the policy alone; another entry for an object can only extend it.
// I5  Whatever the policy forbids by the time of the commit is not committed.
// I6  An object whose entry was refused at the commit counts against its registry's quota all the same: it is known,
//     counted and scrubbed, and the next entry for it costs the entry alone.
// An object whose commit was cut off by a crash lies in the store without a row: nobody sees it, and the writer's next
// attempt adopts it.
// Threads: from any thread; commits take turns.
// Errors: Denied, InvalidInput, NotFound (stream; or object, of an empty source), Conflict, Exhausted, Precondition
//         (era document), Unavailable (the same entry or object is on its way on another connection).
#pragma once

#include <atomic>
#include <set>

#include "base/mutex.h"
#include "env/env.h"
#include "store/object_store.h"
#include "vault/act_book.h"
#include "vault/claims.h"
#include "vault/damages.h"
#include "vault/records.h"
#include "vault/segment_files.h"
#include "wire/handler.h"

namespace exclave::vault {

inline constexpr std::uint64_t kMaxIndexGap = 65536;
inline constexpr std::uint64_t kMostOpenSegmentsPerRegistry = 1024;
inline constexpr std::uint64_t kStreamCharge = 4096;
inline constexpr std::uint64_t kEntryCharge = 512;
// Objects that a crash can leave without a row: one for each connection (wire/server.h).
inline constexpr std::uint64_t kMostCutOff = 256;

class Deposits {
 public:
  // What it works on; all outlive it. `receipt_key`: this vault's, by which it finds itself in the policy.
  struct Parts {
    env::Clock& clock;
    env::Log& log;
    env::Threads& threads;
    const ActBook& acts;
    Records& records;
    store::ObjectStore& objects;
    Damages& damages;
    SegmentFiles& segments;
    crypto::Ed25519PublicKey receipt_key;
  };
  explicit Deposits(const Parts& parts) : parts_(parts), gate_(parts.threads) {}

  // Who brings a stream or an entry: its writer, or nobody in particular, when repair has it from another vault.
  // Then the signature alone speaks for it, by a writer whom some policy version pins for the registry.
  using Origin = std::optional<wire::Caller>;

  Status open_stream(const Origin& origin, const format::SignedStream& stream);
  // Objects that lay in the store without a row, and have got one since opening.
  std::uint64_t adopted_objects() const { return adopted_objects_; }
  // Whether an entry with an object of so many bytes has room in its registry's quota, beside the puts in progress: tells
  // one registry's Exhausted from the disk's.
  Result<bool> has_quota_for(const format::RegistryId& registry, std::uint64_t object_bytes);
  // A journal's segment opens: charges its class to the quota and makes its row, DURABLE, and the files know it. Nothing
  // to do if it is open with this row. Conflict: closed; Precondition: more than kMostOpenSegments would be open.
  Status open_segment(const wire::Caller& caller, const format::StreamDescriptor& stream,
                      const format::SegmentPlace& place, const SegmentRow& row);
  // The stream's head once the entry is durable, whether or not the head has reached it.
  Result<HeadRow> put(const Origin& origin, const format::SignedEntry& entry, wire::ObjectSource& source);

 private:
  enum class Place { Free, Held };

  // The registry that this origin may add to now. For a repair: `stream`'s.
  Result<const policy::Registry*> registry_for(const policy::Policy& policy, const Origin& origin,
                                               const format::StreamDescriptor& stream) const;
  // Whether the entry may take its place beside those that are held.
  Result<Place> place_of(const format::SignedEntry& entry, const HeadRow& head);
  Status check_neighbours(const format::SignedEntry& entry, const HeadRow& head);
  // Both log once: per stream, and per registry until a tenth of its quota is free again.
  Error fork(const format::SignedEntry& held, const format::SignedEntry& entry);
  Error exhausted(const policy::Registry& registry, const Error& error);
  void has_room_again(const policy::Registry& registry, std::uint64_t used_bytes);
  // Exhausted if the registry may open no more.
  Status check_open_segments(const policy::Registry& registry);
  // What a put to this registry may know of: another one's objects are as good as not held.
  Result<std::optional<ObjectRow>> held_object(const format::RegistryId& registry,
                                               const format::ObjectName& name) const;
  Status check_key(const ActsInForce& acts, const format::StreamDescriptor& stream, const format::SignedEntry& entry,
                   const format::KeyId& key) const;
  Result<ObjectRow> receive(const ActsInForce& acts, const format::StreamDescriptor& stream,
                            const format::SignedEntry& entry, wire::ObjectSource& source);
  // Whether an object with this header and front may stand at this entry of this stream (I3).
  Status check_kind(const format::StreamDescriptor& stream, const format::SignedEntry& entry, ByteView front) const;
  Status check_held(const ActsInForce& acts, const format::StreamDescriptor& stream, const format::SignedEntry& entry,
                    const ObjectRow& held) const;
  // The open segment as the entry's object; nullopt if it is another.
  Result<std::optional<ObjectRow>> close_segment(const ActsInForce& acts, const format::StreamDescriptor& stream,
                                                 const format::SignedEntry& entry);
  // An object that is whole in the store's hands, under its name.
  Status publish(const SegmentFiles::Attempt& attempt, const format::ObjectName& name, std::uint64_t bytes);
  // `deposited`: the object as it lies in the store, known from its row or just received. It is charged in any case.
  Result<HeadRow> commit(const Origin& origin, const format::StreamDescriptor& stream, const format::SignedEntry& entry,
                         ObjectRow deposited);
  Result<HeadRow> commit_entry(const Origin& origin, const format::StreamDescriptor& stream,
                               const format::SignedEntry& entry, ObjectRow deposited);
  Status charge_without_entry(const format::StreamDescriptor& stream, const format::ObjectName& name,
                              ObjectRow deposited);
  // The head after `entry` has joined what is held.
  Result<HeadRow> advanced(HeadRow head, const format::SignedEntry& entry) const;

  const Parts parts_;
  Claims claims_;
  std::atomic<std::uint64_t> adopted_objects_{0};
  detail::Gate gate_;  // of commits; passed before a segment's
  Mutex mutex_;
  std::set<format::RegistryId> alarmed_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
