// CopiesReader: an ObjectReader made of several vaults that each hold whole copies. Fastest first; falls over per read.
// Hides: which vault answered, how fast each is, which ones have failed how often.
//
// Choice: each vault has an expected time per byte (moving average) and a number of reads under way; a read goes to the
// vault with the least (under way + 1) * expected time. Thus parallel reads use all vaults at once, the faster ones
// more.
//
// I1  A read fails only when every vault failed it; the error then names each vault's reason.
// I2  Bytes that fail the caller's check count as that vault's corruption: kept as an incident, never returned. So does
//     every answer but that it lacks the object, or none at all: one vault's odd word must not end what others could go
//     on with.
// I3  A vault that fails rests: it is tried last for kRestSeconds, then by one read, and if that fails too for twice as
//     long, up to kLongestRestSeconds. It may come back, but one that gives nothing right is asked ever less. A single
//     object that it lacks, and a refusal of the caller, are no failures in this sense.
// Threads: all calls from any thread. Errors: NotFound (all say so), Corrupt (no good copy left), Unavailable,
// Cancelled.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "env/threads.h"
#include "env/time.h"
#include "store/vault_api.h"

namespace exclave::spread {

inline constexpr std::int64_t kRestSeconds = 10;
inline constexpr std::int64_t kLongestRestSeconds = 600;

// Something that a read went round: evidence for the report, and work for repair.
struct ReadIncident {
  std::string vault;
  format::ObjectName object;
  Error error;
};

struct VaultReadStatistics {
  std::string vault;
  std::uint64_t reads = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failures = 0;
};

class CopiesReader : public store::ObjectReader {
 public:
  // Vaults outlive the reader. Precondition: at least one.
  CopiesReader(env::Threads& threads, env::Clock& clock, std::vector<store::VaultApi*> vaults);
  ~CopiesReader() override;

  Result<std::uint64_t> size_of(const format::ObjectName& name) override;
  Status read(const format::ObjectName& name, std::uint64_t offset, MutableByteView out) override;
  Status read_checked(const format::ObjectName& name, std::uint64_t offset, MutableByteView out,
                      const Check& check) override;
  Status read_checked(const format::ObjectName& name, std::span<const Range> ranges,
                      const std::function<Status()>& check) override;
  // A whole object whose size nobody signed: at most `most` bytes, and no vault's word about it counts for another's.
  Result<Bytes> read_whole(const format::ObjectName& name, std::uint64_t most, const Check& check);

  bool is_answering() const override;

  // At most kMaxIncidents are kept; `statistics` counts all.
  std::vector<ReadIncident> incidents() const;
  std::vector<VaultReadStatistics> statistics() const;

 private:
  struct Source;
  // Vaults in the order in which this read should try them. Who calls it tries the first one.
  std::vector<std::size_t> order() const;
  // `attempt`: how many bytes it read. `bytes`: what a failure is taken to have cost, if it was to read so many.
  template <typename Attempt>
  Status try_each(const format::ObjectName& name, std::size_t bytes, const Attempt& attempt);

  env::Clock& clock_;
  const std::unique_ptr<env::Monitor> monitor_;
  // Under monitor_:
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<ReadIncident> incidents_;
};

inline constexpr std::size_t kMaxIncidents = 1000;

}  // namespace exclave::spread
