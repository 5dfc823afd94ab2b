// VaultApi: what a vault offers to one caller, whether over HTTPS (wire::HttpVault) or in the same process
// (vault::EmbeddedVault). Capture, restore and verify take this, never http.
// Hides: transport, sessions, retries.
//
// I1  put is idempotent: the same signed entry and bytes again give the current receipt. For an object that the vault
//     holds already (has), an empty `object` is enough; NotFound if it does not hold it after all.
// I2  A receipt returned here has a right signature by the vault's pinned receipt key and fits the stream asked for;
//     implementations check it (Corrupt otherwise). What it says is not more than the vault said.
// I3  Bytes returned by read are unverified: the caller checks names or seals.
// Threads: from several threads; implementations bound their parallelism themselves.
// Errors: Denied (role, policy, key id, signature of a foreign key), Exhausted (quota, disk full, a limit), Conflict
//         (another object or chain under this index), InvalidInput (the object has another name or form), NotFound,
//         Precondition (an act is missing at the vault: put_act first), Unavailable (retry later, or use another
//         vault), Corrupt.
// Source: docs/protocols/vault-http.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "format/stream.h"
#include "store/object_store.h"

namespace exclave::store {

// What another vault has read here, ever.
struct PeerReadings {
  std::string vault;  // the policy's name for the reader; its key in hex if no policy here names it any more
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::int64_t last_at_seconds = 0;  // by the holder's clock
};

struct VaultStatus {
  std::string name;
  format::PolicyVersion policy;
  std::int64_t now_seconds = 0;  // the vault's clock
  std::uint64_t free_bytes = 0;  // of its store
  std::uint64_t object_count = 0;
  std::uint64_t unlisted_objects =
      0;  // lie there, and its table has lost their rows; 0 as long as a crash explains them
  std::uint64_t damaged_objects = 0;   // known to be damaged or lost here, and no good copy was found yet
  std::string program;                 // "exclave 0.1.0"
  std::vector<PeerReadings> readings;  // by name
};

struct StreamHead {
  format::SignedStream stream;
  std::uint64_t entries = 0;                     // held, contiguous or not
  std::optional<format::SignedReceipt> receipt;  // none until entry 0 is durable
};

struct HeldEntry {
  format::SignedEntry entry;
  std::uint64_t object_bytes = 0;
  std::int64_t retain_until_seconds = 0;
  format::PeriodNumber period;  // as the object's header names it
};

struct Act {
  std::string kind;      // "policy" | "era"
  crypto::Hash256 hash;  // SHA-256 of the document
};

struct QuotaUse {
  std::uint64_t used_bytes = 0;
  std::uint64_t quota_bytes = 0;
};

class VaultApi : public ObjectReader {
 public:
  virtual const std::string& name() const = 0;  // the policy's name for it
  virtual Result<VaultStatus> status() = 0;

  // --- writer ---
  virtual Status open_stream(const format::SignedStream& stream) = 0;  // idempotent
  // nullopt: durable, but an earlier entry is missing, so no head reaches it yet.
  virtual Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) = 0;
  virtual Result<bool> has(const format::ObjectName& name) = 0;
  virtual Result<QuotaUse> quota(const format::RegistryId& registry) = 0;

  // --- another vault, which fills its gaps: entries and read too, but read only what it has announced ---
  // Buys as many bytes of reads as the object has; DURABLE there, and counted.
  virtual Status announce_reading(const format::SignedReading& reading) = 0;

  // --- site (and, for its own registry's heads, the writer) ---
  virtual Result<std::vector<StreamHead>> heads(const format::RegistryId& registry) = 0;
  // Up to `limit` entries from `from`, by index; gaps are left out.
  virtual Result<std::vector<HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                 std::size_t limit) = 0;

  // --- everybody the policy knows ---
  virtual Result<std::vector<Act>> acts() = 0;
  virtual Result<Bytes> act(const crypto::Hash256& hash) = 0;
  virtual Status put_act(ByteView document) = 0;  // self-authenticating: kept only if its signatures verify (ADR-0009)
};

inline constexpr std::size_t kMaxEntriesPerCall = 1000;
inline constexpr std::uint64_t kMaxActBytes = std::uint64_t{4} << 20;

}  // namespace exclave::store
