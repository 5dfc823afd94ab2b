// VaultApi: what a vault offers to one caller, whether over HTTPS (wire::HttpVault) or in the same process
// (vault::EmbeddedVault). Capture, restore and verify take this, never http.
// Hides: transport, sessions, retries.
//
// I1  put is idempotent: the same signed entry and bytes again give the current receipt. For an object that the vault
//     holds already (has), an empty `object` is enough; NotFound if it does not hold it after all.
// I2  A receipt returned here has a right signature by the vault's pinned receipt key and fits the stream asked for;
//     implementations check it (Corrupt otherwise). What it says is not more than the vault said.
// I3  Bytes returned by read are unverified: the caller checks names or seals.
// I4  A journal's segments (format/journal.h) grow by append_frames; what it confirmed survives power loss. Closed by put,
//     a segment is an object like any other. Streams of objects refuse append_frames, journals refuse objects that are no
//     segments at their place: InvalidInput.
// Threads: from several threads; implementations bound their parallelism themselves.
// Errors: Denied (role, policy, key id, signature of a foreign key), Exhausted (quota, disk full, a limit), Conflict
//         (another object or chain under this index), InvalidInput (the object has another name or form), NotFound,
//         Precondition (an act is missing at the vault: put_act first), Unavailable (retry later, or use another
//         vault), Corrupt; Cancelled when its owner gave up waiting, which is never a vault's word.
// Source: docs/protocols/vault-http.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/time.h"
#include "env/waker.h"
#include "format/mark.h"
#include "format/stream.h"
#include "store/object_store.h"
#include "store/sealed_object.h"

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

// A journal's segment that grows at a vault, not closed yet.
struct OpenSegment {
  format::StreamId stream;
  format::EntryIndex index;
  std::uint8_t size_class = 0;
  std::uint64_t end = 0;    // durable bytes: whole frames only; 0 if nothing came yet
  bool is_damaged = false;  // the vault confirmed, or may have confirmed, what its disk has lost or spoiled
  std::optional<format::SignedMark> mark = {};  // the last one that came; as its writer signed it, unchecked
  friend bool operator==(const OpenSegment&, const OpenSegment&) = default;
};

// Frames that VaultApi::begin_append has sent. Dropped before they were answered, what the vault has of them is not known.
// Threads: one at a time. Does not outlive its vault.
class PendingAppend {
 public:
  virtual ~PendingAppend() = default;
  // Takes in what has come of the answer. Whole: finish will not wait. Waits for nothing.
  enum class Heard { Nothing, Part, Whole };
  virtual Heard listen() = 0;
  // Nothing had come when the waker was last looked at (Waker::look): listen need not be asked. False if that is not known.
  virtual bool is_quiet() const { return false; }
  // Once. As append_frames, but that whatever the vault may say against the frames is Unavailable here: append_frames tells.
  // Unavailable or OutcomeUnknown if no answer came by `deadline`, too.
  virtual Result<std::uint64_t> finish(env::Instant deadline) = 0;
};

class VaultApi : public ObjectReader {
 public:
  virtual const std::string& name() const = 0;  // the policy's name for it
  virtual Result<VaultStatus> status() = 0;

  // --- writer ---
  virtual Status open_stream(const format::SignedStream& stream) = 0;  // idempotent
  // nullopt: durable, but an earlier entry is missing, so no head reaches it yet.
  virtual Result<std::optional<format::SignedReceipt>> put(const format::SignedEntry& entry, ByteView object) = 0;
  // The same for an object that this process has just sealed: a vault in the same process relies on its name (ADR-0032).
  virtual Result<std::optional<format::SignedReceipt>> put_sealed(const format::SignedEntry& entry,
                                                                  const SealedObject& object) {
    return put(entry, object.view());
  }
  virtual Result<bool> has(const format::ObjectName& name) = 0;
  virtual Result<QuotaUse> quota(const format::RegistryId& registry) = 0;

  // --- writer, of a journal ---
  // Appends to segment `index`: the next one that is not closed, or the one after it. `bytes` stand at `offset`, a
  // multiple of 4,096: whole frames, and before them the front if offset is 0; at most kMaxAppendBytes. What is there
  // already and equal is fine, so every call may be repeated; with no bytes it only asks. Returns the segment's end.
  // DURABLE. Errors: NotFound (stream), Conflict (other bytes stand there, or the segment is closed), Precondition
  // (`offset` is beyond the end, which the message names; or an earlier segment is to be closed first; or a sync failed,
  // and this segment takes no more: put the whole object), InvalidInput (not whole frames, another class, an objects'
  // stream), Denied, Exhausted (the segment's whole class counts against the quota when it opens), Unavailable.
  // A segment is closed by put: with no bytes the vault takes what it holds, if that bears the entry's name; NotFound
  // otherwise, and the object has to be sent.
  virtual Result<std::uint64_t> append_frames(const format::StreamId& stream, format::EntryIndex index,
                                              std::uint8_t size_class, std::uint64_t offset, ByteView bytes);
  // append_frames in two steps, for who cannot wait for a vault: sends, and takes the answer later. `waker`, if any, is
  // woken when that may have come. Null: not at once, or not by this vault; nothing was sent. Waits for nothing (where the
  // network breaks its word, for 10 ms), and never tries again.
  virtual std::unique_ptr<PendingAppend> begin_append(const format::StreamId& stream, format::EntryIndex index,
                                                      std::uint8_t size_class, std::uint64_t offset, ByteView bytes,
                                                      env::Waker* waker);
  // Evidence of an open segment: the vault reads back what it holds before `mark.end`, keeps the mark, and signs for it.
  // DURABLE; may be repeated. Errors: NotFound (not open), Precondition (the mark does not stand where the segment ends),
  // Conflict (the vault holds other bytes than the writer signed for, and takes no more of that segment but the whole
  // object), Denied (not signed by the stream's writer), InvalidInput (another number of frames), Unavailable. The
  // receipt was checked as I2 says, and is for this mark.
  virtual Result<format::SignedMarkReceipt> put_mark(const format::SignedMark& mark);
  // By stream and index. Also for sites.
  virtual Result<std::vector<OpenSegment>> open_segments(const format::RegistryId& registry);

  // --- another vault, which fills its gaps: entries and read too, but read only what it has announced ---
  // Buys as many bytes of reads as the object has; DURABLE there, and counted.
  virtual Status announce_reading(const format::SignedReading& reading) = 0;

  // --- site (and, for its own registry's heads, the writer) ---
  virtual Result<std::vector<StreamHead>> heads(const format::RegistryId& registry) = 0;
  // Up to `limit` entries from `from`, by index; gaps are left out.
  virtual Result<std::vector<HeldEntry>> entries(const format::StreamId& stream, format::EntryIndex from,
                                                 std::size_t limit) = 0;

  // Exactly out.size() durable bytes of an open segment at `offset`; InvalidInput if its end comes before, NotFound if it
  // is not open (any more: it may be an object by now).
  virtual Status read_frames(const format::StreamId& stream, format::EntryIndex index, std::uint64_t offset,
                             MutableByteView out);

  // --- everybody the policy knows ---
  virtual Result<std::vector<Act>> acts() = 0;
  virtual Result<Bytes> act(const crypto::Hash256& hash) = 0;
  virtual Status put_act(ByteView document) = 0;  // self-authenticating: kept only if its signatures verify (ADR-0009)
};

inline constexpr std::size_t kMaxEntriesPerCall = 1000;
inline constexpr std::size_t kMaxAppendBytes = std::size_t{4} << 20;
// The streams that one registry may open in its life, at a vault: each capture opens one, and each start of an agent's journal.
inline constexpr std::uint64_t kMostStreams = 100'000;
// The segments of one stream that may be open at once: the one that is filled, and the next.
inline constexpr std::uint64_t kMostOpenSegments = 2;

// A vault without journals, such as a test's: Unsupported.
inline Result<std::uint64_t> VaultApi::append_frames(const format::StreamId&, format::EntryIndex, std::uint8_t,
                                                     std::uint64_t, ByteView) {
  return Error(Code::Unsupported, "vault " + name() + " keeps no journals");
}
inline std::unique_ptr<PendingAppend> VaultApi::begin_append(const format::StreamId&, format::EntryIndex, std::uint8_t,
                                                             std::uint64_t, ByteView, env::Waker*) {
  return nullptr;
}
inline Result<format::SignedMarkReceipt> VaultApi::put_mark(const format::SignedMark&) {
  return Error(Code::Unsupported, "vault " + name() + " keeps no journals");
}
inline Result<std::vector<OpenSegment>> VaultApi::open_segments(const format::RegistryId&) {
  return Error(Code::Unsupported, "vault " + name() + " keeps no journals");
}
inline Status VaultApi::read_frames(const format::StreamId&, format::EntryIndex, std::uint64_t, MutableByteView) {
  return Error(Code::Unsupported, "vault " + name() + " keeps no journals");
}
inline constexpr std::uint64_t kMaxActBytes = std::uint64_t{4} << 20;

}  // namespace exclave::store
