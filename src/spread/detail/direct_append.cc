#include "spread/detail/direct_append.h"

#include <utility>

namespace exclave::spread::detail {
namespace {

// A vault's client knows its own, shorter limit.
constexpr std::chrono::minutes kAnswerWaited{10};

// Under the monitor.
bool may_pass_by(const JournalState& state, const JournalLane& lane) {
  return lane.is_resting && lane.knows_vault && lane.pause.count() == 0 && !state.is_finishing && !state.is_stopping &&
         state.world.clock.monotonic() >= lane.direct_from;
}

// Without the monitor: gives back what is in flight. Whoever asked for it meanwhile, and was turned away, looks again.
void give_back(JournalState& state, DirectAppend& direct) {
  bool was_wanted = false;
  {
    const env::MonitorLock lock(*state.monitor);
    direct.is_in_use = false;
    was_wanted = std::exchange(direct.is_wanted, false);
  }
  if (was_wanted && state.options.waker != nullptr) state.options.waker->wake();
}

enum class Sending { InFlight, NothingToSend, ByLane };

Sending send_directly(JournalState& state, JournalLane& lane) {
  LaneJob job;
  {
    const env::MonitorLock lock(*state.monitor);
    if (lane.direct.has_value()) return Sending::InFlight;  // what is new follows its answer
    if (!may_pass_by(state, lane)) return Sending::ByLane;
    job = next_job(state, lane);
    if (job.kind == LaneJob::Kind::Nothing) return Sending::NothingToSend;
    if (job.kind != LaneJob::Kind::Append || job.end - job.offset > kMostDirectBytes) return Sending::ByLane;
    lane.direct.emplace(DirectAppend{job, nullptr, state.world.clock.monotonic() + kLongestDirect, true, false});
  }
  auto pending = lane.vault->begin_append(state.id, format::EntryIndex(job.index), job.size_class, job.offset,
                                          job.frames(), state.options.waker);
  if (pending == nullptr) {
    const env::MonitorLock lock(*state.monitor);
    lane.direct.reset();
    return Sending::ByLane;
  }
  {
    const env::MonitorLock lock(*state.monitor);
    note_sending(lane, job);
    lane.direct->pending = std::move(pending);
  }
  give_back(state, *lane.direct);
  return Sending::InFlight;
}

// What is in flight, in the caller's hands; null: nothing is, or somebody else has it.
DirectAppend* borrow(JournalState& state, JournalLane& lane) {
  const env::MonitorLock lock(*state.monitor);
  if (!lane.direct.has_value()) return nullptr;
  if (lane.direct->is_in_use) {
    lane.direct->is_wanted = true;
    return nullptr;
  }
  lane.direct->is_in_use = true;
  return &*lane.direct;
}

enum class Answer { None, Taken, News };

Answer take_answer(JournalState& state, JournalLane& lane) {
  DirectAppend* const direct = borrow(state, lane);
  if (direct == nullptr) return Answer::None;
  using Heard = store::PendingAppend::Heard;
  const Heard heard = direct->pending->is_quiet() ? Heard::Nothing : direct->pending->listen();
  if (heard == Heard::Part) {
    const env::MonitorLock lock(*state.monitor);
    direct->overdue_at = state.world.clock.monotonic();
    lane.direct_from = direct->overdue_at + kLaneOnly;
  }
  if (heard != Heard::Whole) {
    give_back(state, *direct);
    if (heard == Heard::Part) lane.bell.ring();
    return Answer::None;
  }
  const auto end = direct->pending->finish(state.world.clock.monotonic());
  direct->pending.reset();
  bool is_news = false;
  if (end.ok() || end.error().code() == Code::Corrupt) {  // a vault that says what cannot be is an alarm
    const Status done = end.ok() ? appended(state, lane, direct->job, end.value()) : Status(end.error());
    is_news = note(state, lane, direct->job, done);
  }
  const env::MonitorLock lock(*state.monitor);
  if (!end.ok()) lane.direct_from = state.world.clock.monotonic() + kLaneOnly;
  lane.direct.reset();
  return is_news ? Answer::News : Answer::Taken;
}

void send_or_ring(JournalState& state, JournalLane& lane) {
  if (send_directly(state, lane) == Sending::ByLane) lane.bell.ring();
}

}  // namespace

void send_or_ring(JournalState& state) {
  if (!state.options.sends_directly) return state.ring_lanes();
  for (const auto& lane : state.lanes) send_or_ring(state, *lane);
}

bool take_answers(JournalState& state) {
  bool is_news = false;
  if (!state.options.sends_directly) return is_news;
  if (state.options.waker != nullptr) state.options.waker->look();
  for (const auto& lane : state.lanes) {
    const Answer answer = take_answer(state, *lane);
    if (answer != Answer::None) send_or_ring(state, *lane);
    is_news = is_news || answer == Answer::News;
  }
  return is_news;
}

bool is_direct_overdue(const JournalState& state, const JournalLane& lane) {
  return lane.direct.has_value() && !lane.direct->is_in_use &&
         (state.is_finishing || state.world.clock.monotonic() >= lane.direct->overdue_at);
}

DirectAppend take_over(JournalLane& lane) {
  DirectAppend direct = std::move(*lane.direct);
  lane.direct.reset();
  return direct;
}

std::optional<Status> finish_for(JournalState& state, JournalLane& lane, DirectAppend& direct) {
  const bool was_answered = direct.pending->listen() == store::PendingAppend::Heard::Whole;
  const auto end = direct.pending->finish(state.world.clock.monotonic() + kAnswerWaited);
  direct.pending.reset();
  if (end.ok()) return appended(state, lane, direct.job, end.value());
  if (was_answered && end.error().code() != Code::Corrupt) return std::nullopt;
  return Status(end.error());
}

}  // namespace exclave::spread::detail
