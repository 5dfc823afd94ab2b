// One vault's lane: what it is sent next, and what its answers mean.
#include <algorithm>
#include <array>
#include <functional>

#include "format/object.h"
#include "policy/policy.h"
#include "spread/detail/direct_append.h"
#include "spread/detail/journal_state.h"

namespace exclave::spread::detail {
namespace {

using Job = LaneJob;

constexpr std::chrono::milliseconds kMoment{1};

std::uint64_t sent_of(const JournalLane& lane, std::uint64_t index) {
  const auto found = lane.sent.find(index);
  return found == lane.sent.end() ? 0 : found->second;
}

Job append_job(const JournalLane& lane, std::uint64_t index, const JournalSegment& segment) {
  Job job;
  job.kind = Job::Kind::Append;
  job.index = index;
  job.size_class = segment.size_class;
  job.bytes = segment.bytes;
  job.offset = sent_of(lane, index);
  job.end = step_end(*segment.bytes, job.offset, segment.end, store::kMaxAppendBytes);
  job.frames_end = job.end == segment.end ? segment.frames_end : frames_below(*segment.bytes, job.end, 0);
  return job;
}

Job close_job(std::uint64_t index, const JournalSegment& segment) {
  Job job;
  job.kind = Job::Kind::Close;
  job.index = index;
  job.size_class = segment.size_class;
  job.bytes = segment.bytes;
  job.entry = segment.entry;
  return job;
}

// What the vault holds of the first segment that is open there, and has not signed for.
bool has_unmarked(const JournalLane& lane, const JournalSegment& first) {
  const std::uint64_t sent = sent_of(lane, lane.closed);
  const std::uint64_t marked = lane.marking.index == lane.closed ? lane.marking.end : 0;
  return first.bytes != nullptr && !first.entry.has_value() &&
         sent > std::max<std::uint64_t>(marked, format::kSegmentFrontBytes);
}

Job mark_job(const JournalLane& lane, const JournalSegment& first) {
  Job job;
  job.kind = Job::Kind::Mark;
  job.index = lane.closed;
  job.bytes = first.bytes;
  job.end = sent_of(lane, lane.closed);
  return job;
}

// Whether a frame, or the end, may stand at `end`.
bool is_step(ByteView segment, std::uint64_t end) {
  std::uint64_t at = end == 0 ? 0 : format::kSegmentFrontBytes;
  while (at < end) {
    const std::uint64_t bytes = format::stated_frame_bytes(segment.subspan(static_cast<std::size_t>(at)));
    if (bytes == 0) return false;
    at += bytes;
  }
  return at == end;
}

// It holds less than it confirmed, has lost the stream, or has got the segment's entry by repair: ask what it has.
bool says_something_else(Code code) {
  return code == Code::Precondition || code == Code::NotFound || code == Code::Conflict;
}

// Under the monitor: the vault confirmed that it holds everything before `frames`.
void confirm(JournalLane& lane, std::uint64_t frames) {
  lane.progress.frames = std::max(lane.progress.frames, frames);
}

// Under the monitor: what it says now and what it confirmed cannot both be so.
void note_breach(JournalLane& lane, const Error& breach) {
  if (!lane.progress.breach.has_value()) lane.progress.breach = breach.message();
}
Error breach_of(JournalLane& lane, const std::string& what) {
  Error breach(Code::Corrupt, "vault " + lane.progress.vault + " " + what);
  note_breach(lane, breach);
  return breach;
}

Status learn(JournalState& state, JournalLane& lane) {
  TRY(lane.vault->open_stream(state.stream));
  const auto open = TRY(lane.vault->open_segments(state.stream.descriptor.registry));
  const env::MonitorLock lock(*state.monitor);
  std::map<std::uint64_t, std::uint64_t> sent;
  for (const store::OpenSegment& held : open) {
    if (held.stream != state.id) continue;
    const std::uint64_t index = held.index.value();
    if (index < lane.progress.segments) {
      return breach_of(lane, "gave a receipt for segment " + std::to_string(index) + " and says that it is open");
    }
    if (index < lane.closed) continue;  // it left the spool before this vault had it: its own repair closes it
    const auto tried = lane.tried.find(index);
    if (held.end > (tried == lane.tried.end() ? 0 : tried->second)) {
      return breach_of(lane, "says that it holds more of " +
                                 format::to_string(format::SegmentPlace{held.stream, held.index}) +
                                 " than was ever sent");
    }
    const JournalSegment* const segment = state.find(index);
    if (segment != nullptr && segment->bytes != nullptr && !is_step(*segment->bytes, held.end)) {
      return breach_of(lane, "says that segment " + std::to_string(index) + " ends at " + std::to_string(held.end) +
                                 ", in the midst of a frame");
    }
    sent[index] = held.end;
  }
  // What it confirmed and does not have any more is lost there: sent again, and an alarm.
  std::optional<Error> lost;
  std::uint64_t frames = lane.progress.segments == 0 ? 0 : state.frames_by_segment[lane.progress.segments - 1];
  for (std::uint64_t index = lane.closed; index < state.opened; ++index) {
    const JournalSegment* const segment = state.find(index);
    const std::uint64_t has = sent.contains(index) ? sent[index] : 0;
    if (segment == nullptr || segment->bytes == nullptr) break;
    frames = frames_below(*segment->bytes, has, frames);
    // A closed one that is not listed may have been closed there, too.
    const bool is_open = sent.contains(index) || !segment->entry.has_value();
    if (has < sent_of(lane, index) && is_open) {
      lost = breach_of(lane, "had confirmed " + std::to_string(sent_of(lane, index)) + " bytes of segment " +
                                 std::to_string(index) + " and holds " + std::to_string(has));
    }
    if (has < segment->end) break;
  }
  lane.sent = std::move(sent);
  lane.progress.frames = frames;
  lane.knows_vault = true;
  lane.has_just_learned = true;
  if (lost.has_value()) return *lost;
  return {};
}

Status append(JournalState& state, JournalLane& lane, const Job& job) {
  {
    const env::MonitorLock lock(*state.monitor);
    note_sending(lane, job);
  }
  const auto end =
      lane.vault->append_frames(state.id, format::EntryIndex(job.index), job.size_class, job.offset, job.frames());
  if (end.ok()) return appended(state, lane, job, end.value());
  const env::MonitorLock lock(*state.monitor);
  const Code code = end.error().code();
  // It has the segment open, was asked where it ends, and does not take what begins there: its disk has failed. One that
  // does not have it lacks an earlier segment, and no roll helps.
  if (code == Code::Precondition && lane.has_just_learned && job.index == lane.closed &&
      lane.sent.contains(job.index)) {
    state.refused = job.index;
  }
  if (says_something_else(code)) lane.knows_vault = false;
  return end.error();
}

// No frame may be on its way to this vault meanwhile: its segment ends where the mark does.
Status mark(JournalState& state, JournalLane& lane, const Job& job) {
  JournalMarking& marking = lane.marking;
  // Whether it succeeds or not: frames shall not wait behind a mark that its vault cannot take. In steps, so that lanes keep
  // taking turns.
  const std::chrono::nanoseconds late = state.world.clock.monotonic() - lane.next_mark;
  lane.next_mark = lane.next_mark + (late / state.options.mark_every + 1) * state.options.mark_every;
  if (marking.index != job.index || marking.hashed > job.end) marking = {job.index, 0, {}, 0, 0};
  const ByteView bytes(*job.bytes);
  marking.frames = frames_below(bytes, job.end, marking.frames, marking.hashed);
  marking.hasher.update(
      bytes.subspan(static_cast<std::size_t>(marking.hashed), static_cast<std::size_t>(job.end - marking.hashed)));
  marking.hashed = job.end;
  format::Mark mark;
  mark.place = {state.id, format::EntryIndex(job.index)};
  mark.end = job.end;
  mark.frames = marking.frames;
  mark.hash = marking.hasher.so_far();
  mark.at_seconds = state.world.clock.now().seconds();
  auto receipt = lane.vault->put_mark(format::SignedMark::sign(mark, state.writer_key));
  const env::MonitorLock lock(*state.monitor);
  if (!receipt.ok()) {
    if (says_something_else(receipt.error().code())) lane.knows_vault = false;
    return receipt.take_error();
  }
  marking.end = job.end;
  lane.progress.mark_receipt = receipt.take();
  lane.progress.vouched = std::max(lane.progress.vouched, mark.frames);
  return {};
}

Result<std::shared_ptr<Bytes>> object_of(JournalState& state, const Job& job) {
  if (job.bytes != nullptr) return job.bytes;
  // One at a time for each lane: memory is bounded.
  auto bytes = std::make_shared<Bytes>(TRY(state.spool.read_segment(job.index)));
  if (format::name_of(*bytes) != job.entry->entry.object) {
    return Error(Code::Corrupt, "the spool's segment " + std::to_string(job.index) +
                                    " is damaged: the vault gets it from the others, by repair");
  }
  return bytes;
}

// The vault does not hold the segment as it was closed. That says nothing where it may lack some of it; but what it had
// confirmed it must know, also if it takes no more of it since a sync failed.
void note_if_lost(JournalState& state, JournalLane& lane, const Job& job) {
  std::uint64_t confirmed = 0;
  {
    const env::MonitorLock lock(*state.monitor);
    confirmed = sent_of(lane, job.index);
  }
  if (confirmed == 0) return;
  const auto end = lane.vault->append_frames(state.id, format::EntryIndex(job.index), job.size_class, confirmed, {});
  if (end.ok() || (end.error().code() != Code::NotFound && end.error().code() != Code::Precondition)) return;
  const env::MonitorLock lock(*state.monitor);
  // It is sent the whole of it now.
  lane.progress.failure = breach_of(lane, "had confirmed " + std::to_string(confirmed) + " bytes of segment " +
                                              std::to_string(job.index) + " and does not hold them");
}

Status close(JournalState& state, JournalLane& lane, const Job& job) {
  auto receipt = lane.vault->put(*job.entry, {});
  if (!receipt.ok() && receipt.error().code() == Code::NotFound) {
    note_if_lost(state, lane, job);
    const auto object = object_of(state, job);
    if (!object.ok()) return Error(Code::Unavailable, object.error().message());  // no answer of the vault's
    receipt = lane.vault->put(*job.entry, *object.value());
  }
  const env::MonitorLock lock(*state.monitor);
  if (!receipt.ok()) {
    if (receipt.error().code() == Code::NotFound) lane.knows_vault = false;
    return receipt.error();
  }
  if (receipt.value().has_value()) {
    Status fits = check_receipt(state.id, state.chain, lane.progress.vault, *receipt.value());
    if (!fits.ok()) {
      note_breach(lane, fits.error());
      return fits;
    }
    const std::uint64_t index = receipt.value()->receipt.index.value();
    if (index < job.index) return breach_of(lane, "gave a receipt that does not reach its entry");
    if (index + 1 > lane.progress.segments) {
      lane.progress.segments = index + 1;
      lane.progress.receipt = *receipt.value();
      lane.progress.vouched = std::max(lane.progress.vouched, state.frames_by_segment[index]);
    }
    confirm(lane, state.frames_by_segment[index]);
  }
  lane.closed = std::max({lane.closed, job.index + 1, lane.progress.segments});
  lane.sent.erase(lane.sent.begin(), lane.sent.lower_bound(lane.closed));
  lane.tried.erase(lane.tried.begin(), lane.tried.lower_bound(lane.closed));
  return {};
}

Status ask(JournalState& state, JournalLane& lane, std::uint64_t index, std::uint8_t size_class, std::uint64_t offset) {
  const auto end = lane.vault->append_frames(state.id, format::EntryIndex(index), size_class, offset, {});
  if (end.ok()) return {};
  const env::MonitorLock lock(*state.monitor);
  lane.knows_vault = false;
  return end.error();
}

Status run(JournalState& state, JournalLane& lane, const Job& job) {
  switch (job.kind) {
    case Job::Kind::Nothing:
      return ask(state, lane, job.index, job.size_class, job.offset);
    case Job::Kind::Learn:
      return learn(state, lane);
    case Job::Kind::Append:
      return append(state, lane, job);
    case Job::Kind::Mark:
      return mark(state, lane, job);
    case Job::Kind::Close:
      return close(state, lane, job);
    case Job::Kind::Skip:
      return {};
  }
  CHECK(false);
}

// Doubles from failure to failure; the second half is drawn, so that vaults and agents do not return in step.
std::chrono::nanoseconds longer(const JournalState& state, std::chrono::nanoseconds pause) {
  return pause.count() == 0 ? state.options.first_pause : std::min(pause * 2, state.options.longest_pause);
}
std::uint16_t drawn(JournalState& state) {
  std::array<Byte, 2> random{};
  ignore(state.world.random.fill(random), "then all of them return in step");
  return load_u16(random);
}

// Under the monitor, which is left while waiting.
void wait_until(JournalState& state, JournalLane& lane, env::Instant deadline, const std::function<bool()>& is_over) {
  while (!state.is_stopping && !is_over() && state.world.clock.monotonic() < deadline) {
    state.monitor->unlock();
    lane.bell.wait_until(deadline);
    state.monitor->lock();
  }
}

// Under the monitor: after a failure, no call yet.
bool must_pause(const JournalState& state, const JournalLane& lane) {
  return lane.pause.count() > 0 && state.world.clock.monotonic() < lane.next_call;
}

// Under the monitor, with nothing to do: until there is something, or the vault is to be asked whether it is still there.
// Nothing without a class: look again.
Job wait_for_job(JournalState& state, JournalLane& lane) {
  const env::Instant now = state.world.clock.monotonic();
  if (lane.next_ask <= now && lane.closed >= state.opened) lane.next_ask = now + state.options.heartbeat;
  env::Instant until = lane.next_ask;
  const JournalSegment* const first = state.find(lane.closed);
  if (lane.knows_vault && first != nullptr && has_unmarked(lane, *first)) until = std::min(until, lane.next_mark);
  // Who sends directly rings nobody for it.
  if (state.options.sends_directly) until = std::min(until, now + kLongestDirect);
  // Whoever has its answer in hand at the moment is done soon.
  if (lane.direct.has_value()) until = std::max(lane.direct->overdue_at, now + kMoment);
  if (state.options.sends_directly && lane.next_mark > now) until = std::min(until, lane.next_mark);
  Job job;
  lane.is_resting = true;
  wait_until(state, lane, until, [&] {
    if (lane.direct.has_value()) return is_direct_overdue(state, lane);
    job = next_job(state, lane);
    return job.kind != Job::Kind::Nothing || must_pause(state, lane) ||
           (state.is_finishing && lane.closed == state.opened);
  });
  lane.is_resting = false;
  if (lane.direct.has_value() || must_pause(state, lane)) return {};
  if (job.kind == Job::Kind::Nothing && lane.closed < state.opened && state.world.clock.monotonic() >= lane.next_ask) {
    const JournalSegment* const segment = state.find(lane.closed);
    job.index = lane.closed;
    job.size_class = segment == nullptr ? std::uint8_t{0} : segment->size_class;
    job.offset = sent_of(lane, lane.closed);
  }
  return job;
}

// Outside the monitor.
void tell(JournalState& state, const Job& job, bool is_news) {
  if (job.kind == Job::Kind::Close) state.keeper_bell.ring();  // a segment that this vault has may be its to remove
  if (is_news && state.options.on_news) state.options.on_news();
}

}  // namespace

// Frames go first, as long as the vault may have two segments open; closing waits for a moment's
// rest, but not beyond the middle of the next segment, nor beyond the time at which the vault is to sign for something:
// the receipt is what it signs for a closed one.
LaneJob next_job(const JournalState& state, const JournalLane& lane) {
  Job job;
  if (!lane.knows_vault) {
    job.kind = Job::Kind::Learn;
    return job;
  }
  if (lane.closed >= state.opened) return job;
  const JournalSegment* const first = state.find(lane.closed);
  if (first == nullptr) {
    job.kind = Job::Kind::Skip;
    job.index = lane.closed;
    return job;
  }
  // Before frames: where they never cease there would be none.
  const bool is_mark_due = state.world.clock.monotonic() >= lane.next_mark;
  if (is_mark_due && has_unmarked(lane, *first)) return mark_job(lane, *first);
  const std::uint64_t unsent = first->end - std::min(first->end, sent_of(lane, lane.closed));
  if (unsent > 0) {
    // After a failure, too: the vault's segment may take no more frames.
    const bool as_a_whole =
        first->entry.has_value() && (first->bytes == nullptr || unsent > first->end / 2 || lane.pause.count() > 0);
    return as_a_whole ? close_job(lane.closed, *first) : append_job(lane, lane.closed, *first);
  }
  const JournalSegment* const second = state.find(lane.closed + 1);
  const bool second_has_more =
      second != nullptr && second->bytes != nullptr && sent_of(lane, lane.closed + 1) < second->end;
  if (first->entry.has_value()) {
    const bool is_pressing =
        second != nullptr && (is_mark_due || second->is_full ||
                              second->end > format::object_bytes(second->size_class) / 2 || lane.pause.count() > 0);
    if (is_pressing || !second_has_more) return close_job(lane.closed, *first);
  }
  if (second_has_more) return append_job(lane, lane.closed + 1, *second);
  return job;
}

void note_sending(JournalLane& lane, const LaneJob& job) {
  std::uint64_t& tried = lane.tried[job.index];
  tried = std::max(tried, job.end);
}

Status appended(JournalState& state, JournalLane& lane, const LaneJob& job, std::uint64_t end) {
  const env::MonitorLock lock(*state.monitor);
  if (end < job.end || end > lane.tried[job.index]) {
    return breach_of(lane, "says that segment " + std::to_string(job.index) + " ends at " + std::to_string(end) +
                               ", after bytes up to " + std::to_string(job.end) + " were sent");
  }
  lane.sent[job.index] = job.end;
  lane.has_just_learned = false;
  // Frames of the next segment count only behind all of this one.
  const JournalSegment* const before = job.index > lane.closed ? state.find(job.index - 1) : nullptr;
  if (before == nullptr || sent_of(lane, job.index - 1) >= before->end) confirm(lane, job.frames_end);
  return {};
}

bool note(JournalState& state, JournalLane& lane, const LaneJob& job, const Status& done) {
  const std::uint16_t chance = done.ok() ? std::uint16_t{0} : drawn(state);
  const env::MonitorLock lock(*state.monitor);
  const env::Instant now = state.world.clock.monotonic();
  const bool was_behind = lane.progress.behind_since.has_value();
  lane.next_ask = now + state.options.heartbeat;
  if (!done.ok()) {
    lane.progress.failure = done.error();
    if (!was_behind) lane.progress.behind_since = state.world.clock.now();
    if (job.kind == LaneJob::Kind::Mark) return !was_behind;  // the next one is a second away, and frames need not wait
    lane.pause = longer(state, lane.pause);
    lane.next_call = now + (lane.pause / 2 + lane.pause / 2 * chance / 65536);
  } else if (job.kind != LaneJob::Kind::Learn) {
    lane.progress.failure.reset();
    lane.pause = {};
    if (next_job(state, lane).kind == LaneJob::Kind::Nothing) lane.progress.behind_since.reset();
  }
  const bool has_grown = state.update_durable();
  if (job.kind == LaneJob::Kind::Mark || job.kind == LaneJob::Kind::Close) state.update_vouched();
  state.monitor->notify_all();
  return has_grown || was_behind != lane.progress.behind_since.has_value();
}

bool JournalState::update_durable() {
  std::vector<std::uint64_t> confirmed;
  confirmed.reserve(lanes.size());
  for (const auto& lane : lanes) confirmed.push_back(lane->progress.frames);
  const std::uint64_t before = durable;
  durable = std::max(durable, policy::reached_by(options.durable_copies, std::move(confirmed)).value_or(0));
  if (vouched < durable && !unvouched_since.has_value()) unvouched_since = world.clock.monotonic();
  return durable > before;
}

void JournalState::update_vouched() {
  std::vector<std::uint64_t> signed_for;
  for (const auto& lane : lanes) signed_for.push_back(lane->progress.vouched);
  const std::uint64_t before = vouched;
  vouched = std::max(vouched, policy::reached_by(options.durable_copies, std::move(signed_for)).value_or(0));
  if (vouched >= durable) {
    unvouched_since.reset();
  } else if (vouched > before) {
    unvouched_since = world.clock.monotonic();
  }
}

Status check_receipt(const format::StreamId& stream, const std::vector<format::ChainHash>& chain,
                     const std::string& vault, const format::SignedReceipt& receipt) {
  const std::uint64_t index = receipt.receipt.index.value();
  if (receipt.receipt.stream != stream || index >= chain.size() || receipt.receipt.chain != chain[index]) {
    return Error(Code::Corrupt, "vault " + vault + " gave a receipt for something that was not sent");
  }
  return {};
}

std::uint64_t step_end(ByteView segment, std::uint64_t offset, std::uint64_t end, std::uint64_t most) {
  if (end - offset <= most) return end;
  std::uint64_t at = offset;
  while (at < end) {
    const std::uint64_t bytes = at == 0 ? format::kSegmentFrontBytes
                                        : format::stated_frame_bytes(segment.subspan(static_cast<std::size_t>(at)));
    CHECK(bytes > 0);
    if (at + bytes - offset > most) break;
    at += bytes;
  }
  return at;
}

std::uint64_t frames_below(ByteView segment, std::uint64_t end, std::uint64_t before, std::uint64_t from) {
  std::uint64_t at = std::max<std::uint64_t>(from, format::kSegmentFrontBytes);
  while (at < end) {
    const ByteView frame = segment.subspan(static_cast<std::size_t>(at));
    before = load_u64(frame.subspan(8)) + 1;
    CHECK(format::stated_frame_bytes(frame) > 0);
    at += format::stated_frame_bytes(frame);
  }
  return before;
}

void run_lane(JournalState& state, JournalLane& lane) {
  state.monitor->lock();
  while (!state.is_stopping) {
    if (must_pause(state, lane)) {
      wait_until(state, lane, lane.next_call, [] { return false; });
      if (state.is_stopping) break;
    }
    Job job;
    if (!lane.direct.has_value()) job = next_job(state, lane);
    if (job.kind == Job::Kind::Nothing) job = wait_for_job(state, lane);
    if (state.is_stopping) break;
    if (is_direct_overdue(state, lane)) {
      DirectAppend direct = take_over(lane);
      state.monitor->unlock();
      const std::optional<Status> done = finish_for(state, lane, direct);
      if (done.has_value()) tell(state, direct.job, note(state, lane, direct.job, *done));
      state.monitor->lock();
      continue;
    }
    if (lane.direct.has_value()) continue;
    if (state.is_finishing && lane.closed == state.opened) break;
    if (job.kind == Job::Kind::Nothing && job.size_class == 0) continue;
    if (job.kind == Job::Kind::Skip) {
      ++lane.closed;
      ++lane.progress.dropped_segments;
      continue;
    }
    state.monitor->unlock();
    const Status done = run(state, lane, job);
    job.bytes.reset();
    tell(state, job, note(state, lane, job, done));
    state.monitor->lock();
  }
  lane.is_done = true;
  state.monitor->notify_all();
  state.monitor->unlock();
}

}  // namespace exclave::spread::detail
