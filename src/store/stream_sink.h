// StreamSink: where a capture's sealed objects go, in order. One stream of entries, replicated to the placement's
// vaults. Hides: how many vaults there are, who is behind, signing of entries.
//
//   push(o_0) push(o_1) ...      entry i is durable once i < durable_count()
//
// I1  Entries are numbered in push order. durable_count() never falls, and covers only entries with k receipts.
// I2  push returns before the object is durable; the buffer is shared until every vault has it or has failed.
// Threads: push and wait by one thread; durable_count from any.
// Errors: Unavailable (fewer than k vaults are left; the message names each and why), Exhausted, Denied.
#pragma once

#include <cstdint>
#include <optional>

#include "store/sealed_object.h"

namespace exclave::store {

class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // Blocks while the queues are full. `snapshot_oldest` exactly for snapshot objects.
  virtual Result<format::EntryIndex> push(SealedObject object, std::optional<format::PeriodNumber> snapshot_oldest) = 0;
  virtual std::uint64_t durable_count() = 0;
  // Until the first `count` entries are durable.
  virtual Status wait_durable(std::uint64_t count) = 0;
};

}  // namespace exclave::store
