// Journals: the rules of a vault for journal segments that are open. Closing one is a deposit like any other
// (deposits.h), only that the vault has the bytes already.
// Hides: the order of checks; what of a front a blind vault can check.
//
//   append: role, writer, place -> front (first time) -> room -> quota + row, synced -> file -> frames, synced -> end
//   mark:   role, writer, its signature -> the segment ends there -> read back, same hash -> row, synced
//
//   entries   0 1 2 | 3 4        closed | open: at most two, the head's next and the one after it
//
// I1  Only the writer that opened the stream appends and marks, as long as the policy pins it for the stream's registry.
// I2  A segment's whole class is charged to the quota before its first byte is taken, and stays charged over a crash;
//     its entry then costs as much as any.
// I3  A segment's header names a key of the stream's era, its class and its place.
// Threads: from any thread.
// Durability: append is durable when it returns.
// Errors: as store::VaultApi.
// See: docs/formats/journal.md, docs/protocols/vault-http.md, ADR-0024.
#pragma once

#include <vector>

#include "base/mutex.h"
#include "policy/policy.h"
#include "vault/act_book.h"
#include "vault/deposits.h"
#include "vault/records.h"
#include "vault/segment_files.h"
#include "wire/handler.h"

namespace exclave::vault {

class Journals {
 public:
  struct Parts {
    ActBook& acts;
    Records& records;
    SegmentFiles& segments;
    Deposits& deposits;
  };
  explicit Journals(const Parts& parts) : parts_(parts) {}

  Result<std::uint64_t> append(const wire::Caller& caller, const format::SegmentPlace& place, std::uint8_t size_class,
                               std::uint64_t offset, ByteView bytes);
  // Afterwards the mark is durable, and the vault holds what it speaks of.
  Status put_mark(const wire::Caller& caller, const format::SignedMark& mark);
  Result<std::vector<store::OpenSegment>> list(const wire::Caller& caller, const format::RegistryId& registry) const;
  Status read(const wire::Caller& caller, const format::SegmentPlace& place, std::uint64_t offset,
              MutableByteView out) const;

 private:
  // The stream as its writer sees it; kept in memory, because every append asks for it.
  Result<format::StreamDescriptor> stream_of(const format::StreamId& id);
  // The same, if it is a journal that the caller writes (I1).
  Result<format::StreamDescriptor> own_journal(const wire::Caller& caller, const format::StreamId& id);
  // The first bytes of a segment: checks the front, charges, and makes the segment known.
  Status open(const wire::Caller& caller, const format::StreamDescriptor& stream, const format::SegmentPlace& place,
              std::uint8_t size_class, ByteView bytes);

  const Parts parts_;
  Mutex mutex_;
  std::map<format::StreamId, format::StreamDescriptor> streams_ GUARDED_BY(mutex_);
};

}  // namespace exclave::vault
