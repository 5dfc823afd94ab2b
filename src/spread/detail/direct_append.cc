#include "spread/detail/direct_append.h"

#include <algorithm>
#include <utility>

namespace exclave::spread::detail {
namespace {

// A vault's client knows its own, shorter limit.
constexpr std::chrono::minutes kAnswerWaited{10};
constexpr int kAnswersRemembered = 16;
constexpr int kTimesAsLong = 4;  // as usual: it has stalled

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

// Under the monitor.
void note_answer_time(JournalLane& lane, std::chrono::nanoseconds took) {
  const bool is_first = lane.answer_time.count() == 0;
  lane.answer_time = is_first ? took : (lane.answer_time * (kAnswersRemembered - 1) + took) / kAnswersRemembered;
}

// Under the monitor. nullopt: no commit can count on it now.
std::optional<std::chrono::nanoseconds> expected_time(const JournalState& state, const JournalLane& lane) {
  const env::Instant now = state.world.clock.monotonic();
  const bool is_near = lane.answer_time.count() > 0 && lane.answer_time <= kNear && now >= lane.direct_from;
  if (!is_near) return std::nullopt;
  if (lane.direct.has_value()) {
    const std::chrono::nanoseconds so_far = now - lane.direct->sent_at;
    if (so_far > std::max<std::chrono::nanoseconds>(kStall, kTimesAsLong * lane.answer_time)) return std::nullopt;
    return std::max(lane.answer_time, so_far);
  }
  if (may_pass_by(state, lane)) return lane.answer_time;
  return std::nullopt;
}

// Under the monitor: I3. Of equals the first ones in the policy go first.
bool may_wait(const JournalState& state, const JournalLane& lane) {
  if (lane.answer_time.count() == 0) return false;
  std::size_t quicker = 0;
  bool is_behind = false;  // in the list
  for (const auto& other : state.lanes) {
    if (other.get() == &lane) {
      is_behind = true;
      continue;
    }
    const auto time = expected_time(state, *other);
    if (time.has_value() && (*time < lane.answer_time || (*time == lane.answer_time && !is_behind))) ++quicker;
  }
  return quicker >= state.options.durable_copies;
}

enum class Sending { InFlight, NothingToSend, Held, ByLane };

Sending send_directly(JournalState& state, JournalLane& lane) {
  LaneJob job;
  {
    const env::MonitorLock lock(*state.monitor);
    if (lane.direct.has_value()) return Sending::InFlight;  // what is new follows its answer
    const std::optional<env::Instant> held_since = std::exchange(lane.held_since, std::nullopt);
    if (!may_pass_by(state, lane)) return Sending::ByLane;
    job = next_job(state, lane);
    if (job.kind == LaneJob::Kind::Nothing) return Sending::NothingToSend;
    if (job.kind != LaneJob::Kind::Append || job.end - job.offset > kMostDirectBytes) {
      lane.is_resting = false;  // it has work as soon as it wakes: nobody counts on its vault
      return Sending::ByLane;
    }
    const env::Instant now = state.world.clock.monotonic();
    const bool has_waited = held_since.has_value() && now - *held_since >= kMostHeld;
    const bool is_company =
        job.end - job.offset >= kMostDirectBytes / 2;  // soon it would be too much to be sent directly
    if (!has_waited && !is_company && may_wait(state, lane)) {
      lane.held_since = held_since.value_or(now);
      return Sending::Held;
    }
    lane.direct.emplace(DirectAppend{job, nullptr, now, now + kLongestDirect, true, false});
  }
  auto pending = lane.vault->begin_append(state.id, format::EntryIndex(job.index), job.size_class, job.offset,
                                          job.frames(), state.options.waker);
  if (pending == nullptr) {
    const env::MonitorLock lock(*state.monitor);
    lane.direct.reset();
    lane.answer_time = {};
    lane.is_resting = false;
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
  const Heard heard = direct->pending->listen();
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
  note_answer_time(lane, state.world.clock.monotonic() - direct->sent_at);
  if (!end.ok()) lane.direct_from = state.world.clock.monotonic() + kLaneOnly;
  lane.direct.reset();
  return is_news ? Answer::News : Answer::Taken;
}

void send_or_ring(JournalState& state, JournalLane& lane) {
  if (send_directly(state, lane) == Sending::ByLane) lane.bell.ring();
}

bool holds_back(const JournalState& state, const JournalLane& lane) {
  const env::MonitorLock lock(*state.monitor);
  return lane.held_since.has_value();
}

void look_at_held(JournalState& state) {
  for (const auto& lane : state.lanes) {
    if (holds_back(state, *lane)) send_or_ring(state, *lane);
  }
}

}  // namespace

void send_or_ring(JournalState& state) {
  if (!state.options.sends_directly) return state.ring_lanes();
  for (const auto& lane : state.lanes) send_or_ring(state, *lane);
  look_at_held(state);  // one that they were held for may have turned out to be its lane's
}

bool take_answers(JournalState& state) {
  bool is_news = false;
  if (!state.options.sends_directly) return is_news;
  for (const auto& lane : state.lanes) {
    const Answer answer = take_answer(state, *lane);
    if (answer != Answer::None) send_or_ring(state, *lane);
    is_news = is_news || answer == Answer::News;
  }
  look_at_held(state);
  return is_news;
}

bool holds_back(const JournalState& state) {
  return std::any_of(state.lanes.begin(), state.lanes.end(),
                     [&](const auto& lane) { return holds_back(state, *lane); });
}

bool is_held_by_others(const JournalState& state, const JournalLane& lane) {
  return lane.held_since.has_value() && state.world.clock.monotonic() - *lane.held_since < kLongestHeld;
}

bool is_direct_overdue(const JournalState& state, const JournalLane& lane) {
  return lane.direct.has_value() && !lane.direct->is_in_use &&
         (state.is_finishing || state.world.clock.monotonic() >= lane.direct->overdue_at);
}

DirectAppend take_over(const JournalState& state, JournalLane& lane) {
  const std::chrono::nanoseconds so_far = state.world.clock.monotonic() - lane.direct->sent_at;
  lane.answer_time = std::max(lane.answer_time, so_far);
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
