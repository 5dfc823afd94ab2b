#include "sim/detail/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "base/text.h"

namespace exclave::sim::detail {
namespace {

thread_local Actor* actor_of_this_thread = nullptr;
thread_local const Scheduler* scheduler_of_this_thread = nullptr;

constexpr std::uint64_t kMaxCallCost = 2'000;  // ns of virtual time
constexpr std::uint32_t kDriverWeight = 4;
constexpr std::size_t kDumpedCalls = 40;

}  // namespace

Scheduler::Scheduler(std::uint64_t seed, Trace& trace, std::uint32_t stay_percent, std::uint64_t max_calls)
    : seed_(seed), stay_percent_(stay_percent), max_calls_(max_calls), trace_(trace), rng_(seed, "scheduler") {
  CHECK(stay_percent < 100);
  Actor& driver = add("test", kNoGroup);
  driver.weight = kDriverWeight;
  make_runnable(driver);
  holder_ = &driver;
}

Scheduler::~Scheduler() {
  CHECK(has_ended(kNoGroup));
  reap();
}

Actor& Scheduler::add(std::string name, std::uint32_t group) {
  Actor& actor = actors_.emplace_back();
  actor.id = static_cast<std::uint32_t>(actors_.size() - 1);
  actor.name = std::move(name);
  actor.group = group;
  return actor;
}

Actor& Scheduler::start(std::string name, std::uint32_t group, std::function<void()> body) {
  reap();
  Actor& actor = add(std::move(name), group);
  // Uneven weights let some seeds starve an actor for a while, as a loaded machine does.
  constexpr std::uint32_t kWeights[] = {1, 4, 4, 16};
  actor.weight = kWeights[rng_.below(4)];
  make_runnable(actor);
  ++alive_[group];
  actor.thread = std::thread([this, &actor, work = std::move(body)] { run(actor, work); });
  return actor;
}

void Scheduler::run(Actor& self, const std::function<void()>& body) {
  actor_of_this_thread = &self;
  scheduler_of_this_thread = this;
  self.baton.take();
  body();
  self.state = Actor::State::Ended;
  remove_runnable(self);
  ended_.push_back(&self);
  if (--alive_[self.group] == 0) alive_.erase(self.group);
  wake_all(self.joiners);
  wake_all(watchers_);
  Actor& successor = next();
  holder_ = &successor;
  ++switches_;
  successor.baton.give();
}

Actor& Scheduler::current() {
  // The driver's thread may drive several universes, so it is known by its id.
  Actor* self = scheduler_of_this_thread == this ? actor_of_this_thread : &actors_.front();
  CHECK(scheduler_of_this_thread == this || std::this_thread::get_id() == driver_thread_);
  DCHECK(self == holder_);
  return *self;
}

void Scheduler::point() {
  Actor& self = current();
  const std::uint64_t draw = rng_.next();
  now_ += 1 + static_cast<std::int64_t>(draw % kMaxCallCost);
  if (++calls_ > max_calls_) abort_run("more env calls than Options::max_calls: something spins");
  release_due();
  if (runnable_.size() == 1 || (draw >> 32) % 100 < stay_percent_) return;
  hand_over(self, pick());
}

void Scheduler::block(WaitList& list, const WaitReason& reason, std::int64_t deadline) {
  Actor& self = current();
  remove_runnable(self);
  self.state = Actor::State::Blocked;
  self.reason = reason;
  self.deadline = deadline;
  self.waits_in = &list;
  list.actors_.push_back(&self);
  if (deadline != kNever) timers_.insert({deadline, self.id, &self});
  hand_over(self, next());
}

void Scheduler::hand_over(Actor& self, Actor& next) {
  if (&self == &next) return;
  holder_ = &next;
  ++switches_;
  next.baton.give();
  self.baton.take();
}

Actor& Scheduler::next() {
  while (runnable_.empty()) {
    if (timers_.empty()) abort_run("deadlock: no actor can run and none waits for a time");
    now_ = std::max(now_, timers_.begin()->deadline);
    release_due();
  }
  return pick();
}

Actor& Scheduler::pick() {
  std::uint64_t draw = rng_.below(runnable_weight_);
  for (Actor* actor : runnable_) {
    if (draw < actor->weight) return *actor;
    draw -= actor->weight;
  }
  return *runnable_.back();
}

void Scheduler::make_runnable(Actor& actor) {
  actor.state = Actor::State::Runnable;
  actor.place = runnable_.size();
  runnable_.push_back(&actor);
  runnable_weight_ += actor.weight;
}

void Scheduler::remove_runnable(Actor& actor) {
  runnable_[actor.place] = runnable_.back();
  runnable_[actor.place]->place = actor.place;
  runnable_.pop_back();
  runnable_weight_ -= actor.weight;
}

void Scheduler::wake(Actor& actor) {
  if (actor.state != Actor::State::Blocked) return;
  std::erase(actor.waits_in->actors_, &actor);
  actor.waits_in = nullptr;
  if (actor.deadline != kNever) timers_.erase({actor.deadline, actor.id, &actor});
  actor.deadline = kNever;
  make_runnable(actor);
}

void Scheduler::wake_all(WaitList& list) {
  while (!list.actors_.empty()) wake(*list.actors_.front());
}

void Scheduler::wake_one(WaitList& list) {
  if (!list.actors_.empty()) wake(*list.actors_[rng_.below(list.actors_.size())]);
}

void Scheduler::wake_group(std::uint32_t group) {
  for (Actor& actor : actors_) {
    if (actor.group == group || actor.visits == group) wake(actor);
  }
}

void Scheduler::release_due() {
  while (!timers_.empty() && timers_.begin()->deadline <= now_) wake(*timers_.begin()->actor);
}

void Scheduler::join(Actor& actor) {
  CHECK(&actor != &current());
  while (actor.state != Actor::State::Ended) block(actor.joiners, {.what = "the end of", .object = actor.name});
  reap();
}

bool Scheduler::has_ended(std::uint32_t group) const {
  return group == kNoGroup ? alive_.empty() : !alive_.contains(group);
}

void Scheduler::wait_until_ended(std::uint32_t group) {
  while (!has_ended(group)) block(watchers_, {.what = "the end of all actors"});
  reap();
}

void Scheduler::reap() {
  // They have given the baton away and are about to return from their thread's function.
  for (Actor* actor : ended_) actor->thread.join();
  ended_.clear();
}

void Scheduler::abort_run(std::string_view reason) {
  std::string text = fmt::format("\nsim: seed {}: {}\n  at {} ns of virtual time, after {} calls; actors:\n", seed_,
                                 reason, now_, calls_);
  for (const Actor& actor : actors_) {
    if (actor.state == Actor::State::Ended) continue;
    text += fmt::format("  {:>3} {:<24} ", actor.id, actor.name);
    if (actor.state == Actor::State::Runnable) {
      text += &actor == holder_ ? "running\n" : "can run\n";
      continue;
    }
    text += fmt::format("waits for {} {}", actor.reason.what, printable(actor.reason.object));
    if (actor.reason.holder != nullptr) text += fmt::format(" held by {}", actor.reason.holder->name);
    text += actor.deadline == kNever ? std::string("\n") : fmt::format(" until {} ns\n", actor.deadline);
  }
  text += "  last calls:\n" + trace_.tail(kDumpedCalls);
  std::fputs(text.c_str(), stderr);
  std::abort();
}

}  // namespace exclave::sim::detail
