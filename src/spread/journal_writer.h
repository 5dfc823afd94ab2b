// JournalWriter: one journal stream of a writer, frame by frame, to every vault. Durable = k vaults hold the frame.
// Hides: sealing, the spool, a lane (thread) per vault, rolling of segments, catching up, and retries without end.
//
//   append -> sealed once -> segment in memory + spool file -> lane of lux  -> append_frames -> 17 frames -.   (*)
//                                                           -> lane of est  -> append_frames -> 17 frames -+- durable =
//                                                           -> lane of che  (behind: from the spool) -> 4 -'   k-th highest
//
//   (*) with sends_directly append itself sends few frames to a vault whose lane rests, and take_answers hears it
//
//   segments   0 closed | 1 closed | 2 being filled | 3 opened ahead, from 3/4 of 2 on
//   a lane     follows --a call fails--> behind (pause, doubles, up to longest_pause; for ever) --all sent--> follows
//   evidence   each `mark_every` a lane signs how far its vault is (format/mark.h), and the vault signs that it is so
//
//   SPOOL/<stream>/stream            the signed descriptor
//   SPOOL/<stream>/<index>.segment   front and frames, as sealed
//   SPOOL/<stream>/<index>.entry     the signed entry, from before any vault saw it: the segment is closed
//
// Units/limits: bytes. A frame is at most format::kMaxFrameContent. Memory: the segments being filled and opened ahead, the
//   last two closed ones, and one segment per lane that is behind: 16 MiB each at most.
// I1  append seals each frame once: every vault gets the same bytes.
// I2  append waits for no vault. It waits for the spool's disk only to write into its cache, and, if a segment fills up
//     before the next one has been opened ahead, for that.
// I3  A frame counts as durable at a vault only when the vault confirmed it (append_frames) or gave a receipt, checked
//     against our chain, for its segment. A vault that says anything else, or is seen to hold less than it had confirmed, is
//     behind with a Corrupt failure, and progress() keeps that when it has caught up: an alarm.
// I4  A spool file is removed when every vault has a receipt for its segment; that of the newest closed one with the spool.
//     When the spool exceeds spool_limit_bytes, the oldest closed segments that k vaults have receipts for go first; a vault
//     that lacks one gets it by repair from the others, and progress() counts it.
// I5  No stream is resumed: each start makes a new one. recover_spool completes what an earlier start left.
// Threads: append, roll, wants_roll, sync_spool, finish by one thread at a time; take_answers by one; the rest from any thread. One lane thread per vault,
//   "journal-<vault>", and "journal-keeper" (opens segments ahead, closes, cleans the spool); joined by finish() or the
//   destructor. A call into a vault that hangs holds its lane: shut the vault's client down before joining.
// Durability: durable() at vaults; the spool after sync_spool().
// Errors: those of the spool's disk, of the key source and of randomness: Exhausted (disk full: nothing was appended),
//   Unavailable. After a spool write failed the writer takes no more frames (the error stays); lanes go on.
// Source: docs/formats/journal.md, ADR-0024.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/env.h"
#include "format/journal.h"
#include "store/vault_api.h"

namespace exclave::spread {

// Frame n of the stream; all frames before it come before it.
using JournalPosition = format::FrameNumber;
// The sealing key of the running period; asked when a segment opens. The key outlives the call to the next one.
using JournalKeys = std::function<Result<const format::SealingKey*>()>;

// The classes of segments: the next larger one if the last segment was full in less than `fast`, the next smaller one
// if it took more than `slow`.
struct JournalClasses {
  std::uint8_t first = 18;
  std::uint8_t largest = format::kLargestClass;
  std::chrono::nanoseconds fast = std::chrono::seconds(10);
  std::chrono::nanoseconds slow = std::chrono::seconds(60);
};

struct JournalOptions {
  std::uint32_t durable_copies = 1;  // k
  std::string spool_directory;       // made if missing
  std::uint64_t spool_limit_bytes = std::uint64_t{4} << 30;
  JournalClasses classes;
  std::chrono::nanoseconds first_pause = std::chrono::milliseconds(100);
  std::chrono::nanoseconds longest_pause = std::chrono::seconds(10);
  // An idle lane asks its vault so often: keeps the connection warm and notices a vault that is gone.
  std::chrono::nanoseconds heartbeat = std::chrono::seconds(20);
  // So long may the word of a vault be without its signature. The lanes take turns in it.
  std::chrono::nanoseconds mark_every = std::chrono::seconds(1);
  // Called whenever durable() grows or a lane changes its state: for who waits for several things at once. On a lane's
  // thread, with no lock held; it shall be short.
  std::function<void()> on_news;
  // append sends few frames itself to vaults whose lanes rest, and take_answers() has to be called: at once when `waker` is
  // woken (if there is one; it outlives the writer), and now and then. What it finds, on_news does not tell. So no thread wakes
  // another one for a commit.
  bool sends_directly = false;
  env::Waker* waker = nullptr;
};

struct JournalVaultProgress {
  std::string vault;
  std::uint64_t frames = 0;    // confirmed: frames 0..frames-1
  std::uint64_t segments = 0;  // with a receipt: 0..segments-1
  std::optional<format::SignedReceipt> receipt;
  std::optional<format::SignedMarkReceipt> mark_receipt;  // of the segment behind that
  std::uint64_t vouched = 0;                              // frames that the two vouch for
  std::optional<Error> failure;                           // of the last call, while it is behind
  std::optional<std::string> breach;                      // the first answer against its word (I3); stays
  std::optional<env::Timestamp> behind_since;
  std::uint64_t bytes_behind = 0;      // sealed bytes appended here that it has not confirmed
  std::uint64_t dropped_segments = 0;  // that left the spool (I4) before it had them
};

struct JournalProgress {
  std::uint64_t appended = 0;  // frames
  std::uint64_t durable = 0;   // frames
  std::uint64_t vouched = 0;   // frames that k vaults have signed for: evidence, which lags
  // Since when durable frames have lain without a signature that grew: nullopt while none do.
  std::optional<std::chrono::nanoseconds> unvouched_for;
  std::uint64_t spool_bytes = 0;
  std::uint64_t segments = 0;  // closed
  std::vector<JournalVaultProgress> vaults;
};

class JournalWriter {
 public:
  // All outlive the writer.
  struct World {
    env::Clock& clock;
    env::Random& random;
    env::FileSystem& files;
    env::Threads& threads;
  };
  // Starts lanes to all of `vaults`, which open the stream there, now or when they are back; waits for none of them.
  // `stream` is of kind Journal and new. Vaults and keys outlive the writer.
  static Result<std::unique_ptr<JournalWriter>> open(const World& world, std::vector<store::VaultApi*> vaults,
                                                     const format::SignedStream& stream,
                                                     const crypto::Ed25519SigningKey& writer_key, JournalKeys keys,
                                                     const JournalOptions& options);
  virtual ~JournalWriter() = default;  // stops the lanes where they are; the spool stays

  // The frame's position. `content`: 1 byte to format::kMaxFrameContent.
  virtual Result<JournalPosition> append(ByteView content) = 0;
  // Of JournalOptions::sends_directly: what vaults have answered meanwhile counts. Whether there is news, as on_news has it.
  // Waits for no vault. From one thread, as long as nobody waits in wait_beyond, which takes them as well.
  virtual bool take_answers() = 0;
  // Frames that k vaults hold: 0..durable()-1. Never falls.
  virtual std::uint64_t durable() const = 0;
  bool is_durable(JournalPosition position) const { return position.value() < durable(); }
  // Until frame `position` is durable. Unavailable at the deadline, with each vault's reason.
  virtual Status wait_beyond(JournalPosition position, env::Instant deadline) = 0;
  // The next frame begins a new segment, under the key of that time. Nothing to do if the present one is empty and of
  // that key.
  virtual Status roll() = 0;
  // A vault takes no more frames of the segment that is being filled until it is closed, because its disk failed: whoever
  // waits for that vault rolls.
  virtual bool wants_roll() const = 0;
  // DURABLE on this machine: everything appended.
  virtual Status sync_spool() = 0;
  virtual JournalProgress progress() const = 0;
  // Closes the segment, waits until every vault has a receipt for all of them, at most to `deadline`, and joins. Who is
  // behind then is in progress(); the spool keeps what it lacks. Error: the segment could not be closed.
  virtual Status finish(env::Instant deadline) = 0;
  virtual const format::StreamId& stream() const = 0;
};

// What an earlier start left in the spool.
struct SpooledStream {
  format::StreamId stream;
  std::uint64_t segments = 0;  // in the spool
  // One more than the last frame's number in it; 0 if there is none; kAllFrames if every vault has it and the spool
  // cannot tell any more.
  std::uint64_t frames_end = 0;
  static constexpr std::uint64_t kAllFrames = std::numeric_limits<std::uint64_t>::max();
  // Vaults that have all its frames, those that left the spool among them, open or closed; none while some are lost.
  std::size_t holders = 0;
  bool is_complete = false;  // every vault has all of it, closed; it left the spool
  // Otherwise: what the spool had and has not any more, "segment 3 is damaged"; what vaults say, "lux: connection refused".
  std::vector<std::string> losses;
  std::vector<std::string> reasons;
};

// Before a new stream starts: brings what lies in the spool to every vault that lacks it, in order, closed segments and
// the frames of open ones, all vaults at once. An open segment is closed if every vault answered and none has more of it
// than the spool (which may have lost its end with the power, or have been set back), or closed it with something else;
// otherwise it stays open, readable, and in the spool. So no second entry is signed for a segment that an answering vault has
// closed, unless a copy of this home closes it at this moment. What every vault has closed with something else, of a stream
// with no `wanted_frames`, leaves the spool: nothing that was acknowledged is in it alone.
// A segment that is damaged in the spool is named, and stays there, as does a stream of which segments are gone that no vault
// has signed for, or of which fewer than `wanted_frames` are left: so many were synced to the spool, and counted on.
// Without `wanted_frames`, which says that it is not known yet, nothing is closed and nothing leaves the spool.
// Ends at `deadline`; may be repeated at any time, and goes on from where each vault has signed (one that lacks earlier
// segments signs for none: it is asked for each until its own repair has brought them). What a vault has signed for counts
// as held by it, also where its disk has lost that since: repair is for that. What every vault has is not read again;
// memory: a segment for each vault.
// Errors: the spool's disk; Corrupt: a descriptor or an entry that is not as it was written.
Result<std::vector<SpooledStream>> recover_spool(const JournalWriter::World& world, const std::string& spool_directory,
                                                 const std::vector<store::VaultApi*>& vaults,
                                                 const crypto::Ed25519SigningKey& writer_key, env::Instant deadline,
                                                 std::optional<std::uint64_t> wanted_frames = 0);

}  // namespace exclave::spread
