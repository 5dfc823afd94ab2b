#include "agent/cut_coordinator.h"

#include <optional>

#include "env/at_once.h"

namespace exclave::agent {
namespace {

std::string thread_name(const CutMember& member) {
  return "cut-" + member.dataset();
}

Error is_void(const CutMember& member, const Error& why) {
  return {why.code(), "no cut: " + member.dataset() + ": " + why.message()};
}

}  // namespace

Result<TakenCut> take_cut(env::Env& env, const std::string& group, const std::vector<CutMember*>& members) {
  CHECK(!members.empty());
  TakenCut taken;
  taken.cut.group = group;
  TRY(env.random.fill(taken.cut.id.mutable_view()));
  const format::CutId id = taken.cut.id;
  const auto name_of = [&](std::size_t i) { return thread_name(*members[i]); };

  // 1. Hold.
  std::vector<std::optional<Result<HeldPosition>>> held(members.size());
  const env::Instant began = env.clock.monotonic();
  env::at_once(env.threads, members.size(), name_of, [&](std::size_t i) { held[i] = members[i]->hold(id); });
  taken.cut.taken_ns = env.clock.now().nanoseconds;

  // 2. Release, whatever was answered: who holds for nothing keeps commits waiting.
  std::vector<std::optional<Result<HoldEnd>>> ended(members.size());
  env::at_once(env.threads, members.size(), name_of, [&](std::size_t i) { ended[i] = members[i]->release(id); });
  taken.held = env.clock.monotonic() - began;

  // 3. A cut, if every single one held all the time.
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!held[i]->ok()) return is_void(*members[i], held[i]->error());
    if (!ended[i]->ok()) return is_void(*members[i], ended[i]->error());
    if (ended[i]->value() == HoldEnd::Expired)
      return is_void(*members[i], Error(Code::Conflict, "let go before it was released"));
    const HeldPosition& position = held[i]->value();
    taken.cut.members.push_back({members[i]->registry(), members[i]->dataset(),
                                 format::LogTimeline(position.timeline.value()),
                                 format::LogPosition(position.position.value())});
  }

  // 4. Under what settings, by those that are in force now that nobody waits any more.
  std::vector<Status> confirmed(members.size());
  env::at_once(env.threads, members.size(), name_of, [&](std::size_t i) { confirmed[i] = members[i]->confirm(id); });
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!confirmed[i].ok()) return is_void(*members[i], confirmed[i].error());
  }

  // 5. Into every journal.
  std::vector<Status> kept(members.size());
  env::at_once(env.threads, members.size(), name_of, [&](std::size_t i) { kept[i] = members[i]->keep(taken.cut); });
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!kept[i].ok()) taken.not_kept.push_back(members[i]->dataset() + ": " + kept[i].error().message());
  }
  return taken;
}

}  // namespace exclave::agent
