// What the threads of one journal writer share: its segments, how far each vault is, and one monitor over all of it.
// Who waits for work has a bell of its own (bell.h).
// Hides: which bytes are in memory, and which in the spool alone.
//
//   segments   index -> filling | full (the keeper makes its entry) | closed (entry set)
//
//   bytes of a segment: in memory while it fills and until two younger ones are closed; what lies below `end` never
//   changes, so a lane sends it without a copy and without a lock while more is appended behind it
//
// Threads: everything under `monitor`, but for what is const or said otherwise.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "env/env.h"
#include "format/journal.h"
#include "spread/detail/bell.h"
#include "spread/detail/spool.h"
#include "spread/journal_writer.h"

namespace exclave::spread::detail {

struct JournalSegment {
  std::uint8_t size_class = 0;
  std::shared_ptr<Bytes> bytes;  // the whole class; owned by this and by lanes that send from it. Null: only spooled
  std::uint64_t end = 0;         // bytes of front and frames
  std::uint64_t frames_end = 0;  // one more than the number of its last frame; so before it, if it has none
  bool is_full = false;          // nothing is appended any more
  std::optional<format::SignedEntry> entry;  // set: closed, and durable in the spool
};

// How far a vault has signed for the segment that it fills. The lane's thread alone writes it and `next_mark`, without the
// monitor; others look at them only under it, while the lane rests.
struct JournalMarking {
  std::uint64_t index = 0;
  std::uint64_t end = 0;        // of the last mark that it gave a receipt for
  crypto::Sha256Hasher hasher;  // of what lies before `hashed`
  std::uint64_t hashed = 0;
  std::uint64_t frames = 0;  // one more than the number of the last frame before `hashed`
};

// What a lane does next, with all that it needs while the monitor is not held.
struct LaneJob {
  enum class Kind { Nothing, Learn, Append, Mark, Close, Skip };
  Kind kind = Kind::Nothing;
  std::uint64_t index = 0;
  std::uint8_t size_class = 0;
  std::shared_ptr<Bytes> bytes;  // owned by the segment too
  std::uint64_t offset = 0;
  std::uint64_t end = 0;
  std::uint64_t frames_end = 0;
  std::optional<format::SignedEntry> entry;

  ByteView frames() const {  // of an Append
    return ByteView(*bytes).subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(end - offset));
  }
};

// Frames that went to a vault past its lane (direct_append.h).
struct DirectAppend {
  LaneJob job;
  std::unique_ptr<store::PendingAppend> pending;  // by whoever set is_in_use, without the monitor
  env::Instant overdue_at;                        // from then on the lane waits for the answer
  bool is_in_use = false;
  bool is_wanted = false;  // somebody asked for it while it was in use
};

struct JournalLane {
  explicit JournalLane(env::Threads& threads) : bell(threads) {}

  store::VaultApi* vault = nullptr;
  JournalVaultProgress progress;
  std::uint64_t closed = 0;                      // segments that need no more calls: put there, or dropped
  std::map<std::uint64_t, std::uint64_t> sent;   // by segment: confirmed bytes
  std::map<std::uint64_t, std::uint64_t> tried;  // by segment: bytes that were ever on their way; nobody has more
  bool knows_vault = false;                      // the stream is open there, and `sent` is what it holds
  bool has_just_learned = false;                 // and nothing was appended since it was asked
  bool is_done = false;                          // its thread has ended
  std::chrono::nanoseconds pause{};              // before the next call; 0: none
  env::Instant next_call;                        // not before this, if there is a pause
  env::Instant next_ask;                         // whether it is still there, if there was nothing else to say
  bool is_resting = false;                       // its thread waits for work
  std::optional<DirectAppend> direct;            // in flight: the thread leaves this vault alone
  env::Instant direct_from;                      // no direct appends before this
  JournalMarking marking;
  env::Instant next_mark;  // not before this
  Bell bell;               // rung when there may be something to do
  std::unique_ptr<env::Thread> thread;
};

struct JournalState {
  JournalState(const JournalWriter::World& of_world, const format::SignedStream& of_stream,
               const crypto::Ed25519SigningKey& of_writer, JournalOptions with)
      : world(of_world),
        stream(of_stream),
        id(of_stream.descriptor.id()),
        writer_key(of_writer),
        options(std::move(with)),
        spool(world.files, options.spool_directory, id),
        monitor(world.threads.make_monitor()),
        keeper_bell(world.threads) {}

  const JournalWriter::World world;
  const format::SignedStream stream;
  const format::StreamId id;
  const crypto::Ed25519SigningKey& writer_key;
  const JournalOptions options;
  Spool spool;
  const std::unique_ptr<env::Monitor> monitor;  // waited for by callers of the writer: lanes and keeper have bells
  Bell keeper_bell;

  std::map<std::uint64_t, JournalSegment> segments;  // those in the spool
  std::uint64_t opened = 0;                          // segments ever opened
  std::vector<format::ChainHash> chain;              // of every closed segment
  std::vector<std::uint64_t> frames_by_segment;      // frames_end of every closed segment
  std::uint64_t appended = 0;                        // frames
  std::uint64_t durable = 0;
  std::uint64_t vouched = 0;                      // frames that k vaults have signed for
  std::optional<env::Instant> unvouched_since{};  // some durable ones are not signed for
  std::vector<std::unique_ptr<JournalLane>> lanes;
  std::optional<std::uint64_t> refused;  // the last segment that a vault takes no more frames of
  bool is_stopping = false;              // threads end as soon as they can
  bool is_finishing = false;             // nothing comes any more: lanes end when they have sent everything
  std::optional<Error> spool_error;

  const JournalSegment* find(std::uint64_t index) const {
    const auto found = segments.find(index);
    return found == segments.end() ? nullptr : &found->second;
  }
  // Whether it has grown: on the path of each commit.
  bool update_durable();
  // After a mark or a receipt.
  void update_vouched();
  // Frames came, a segment became full or was closed, or the end is near.
  void ring_lanes() {
    for (const auto& lane : lanes) lane->bell.ring();
  }
};

// The body of a lane's thread.
void run_lane(JournalState& state, JournalLane& lane);

// --- what lanes and direct appends share (journal_lane.cc) ---
// Under the monitor.
LaneJob next_job(const JournalState& state, const JournalLane& lane);
// The frames of this Append are on their way from now on.
void note_sending(JournalLane& lane, const LaneJob& job);
// The vault answered that the segment of this Append ends at `end`. Corrupt: that cannot be. Takes the monitor.
Status appended(JournalState& state, JournalLane& lane, const LaneJob& job, std::uint64_t end);
// Takes the monitor. What came of a job: the lane's failure, or its end; how far frames are durable. Whether somebody outside
// should look.
bool note(JournalState& state, JournalLane& lane, const LaneJob& job, const Status& done);

// The receipt's signature was checked by the vault's client; here it must fit the chain that we signed. Index and chain
// of what was closed here; Corrupt otherwise.
Status check_receipt(const format::StreamId& stream, const std::vector<format::ChainHash>& chain,
                     const std::string& vault, const format::SignedReceipt& receipt);

// How far whole frames reach in `segment` from `offset` on, in at most `most` bytes; `segment` has only whole frames
// below `end`. The front is one step of its own.
std::uint64_t step_end(ByteView segment, std::uint64_t offset, std::uint64_t end, std::uint64_t most);
// One more than the number of the last frame below `end`; `before` if there is none from `from` on, where a frame begins, or
// at the front.
std::uint64_t frames_below(ByteView segment, std::uint64_t end, std::uint64_t before, std::uint64_t from = 0);

}  // namespace exclave::spread::detail
