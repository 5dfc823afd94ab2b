#include "sim/detail/fabric.h"

#include <algorithm>

#include "base/check.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim::detail {
namespace {

constexpr std::uint16_t kFirstFreePort = 40'000;

bool connects(const Link& link, std::uint32_t a, std::uint32_t b) {
  return (link.machine[0]->id == a && link.machine[1]->id == b) ||
         (link.machine[0]->id == b && link.machine[1]->id == a);
}

}  // namespace

Fabric::Fabric(World& world)
    : world_(world), rng_(world.seed, "network"), cuts_per_million_(world.options.network.cuts_per_million) {
  CHECK(world.options.network.pipe_bytes >= 1);
  set_delay({world.options.network.min_delay.count(), world.options.network.max_delay.count()});
}

void Fabric::set_delay(Delay delay) {
  CHECK(delay.min >= 0 && delay.min <= delay.max);
  delay_ = delay;
}

void Fabric::set_delay_of(std::uint32_t machine, Delay delay) {
  CHECK(delay.min >= 0 && delay.min <= delay.max);
  delays_of_[machine] = delay;
}

std::int64_t Fabric::draw(const Delay& delay) {
  return delay.min + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(delay.max - delay.min + 1)));
}

std::int64_t Fabric::draw_delay(std::uint32_t a, std::uint32_t b) {
  std::int64_t delay = draw(delay_);
  for (const std::uint32_t machine : {a, b}) {
    const auto found = delays_of_.find(machine);
    if (found != delays_of_.end()) delay += draw(found->second);
  }
  return delay;
}

std::size_t Fabric::draw_transfer(std::size_t possible) {
  if (!rng_.percent(world_.options.network.short_transfer_percent)) return possible;
  return 1 + static_cast<std::size_t>(rng_.below(possible));
}

std::pair<std::shared_ptr<Port>, std::uint16_t> Fabric::listen(const MachineCore& machine, std::uint16_t port) {
  if (port == 0) {
    port = kFirstFreePort;
    while (ports_.contains({machine.id, port})) ++port;
  }
  if (ports_.contains({machine.id, port})) return {nullptr, port};
  auto listener = std::make_shared<Port>();
  ports_.emplace(Key(machine.id, port), listener);
  world_.scheduler.wake_all(changed_);
  return {listener, port};
}

void Fabric::close(const MachineCore& machine, std::uint16_t port, Port& listener) {
  if (listener.closed) return;
  listener.closed = true;
  ports_.erase({machine.id, port});
  for (const LinkPtr& link : listener.backlog) reset(*link);
  listener.backlog.clear();
  world_.scheduler.wake_all(listener.changed);
}

std::shared_ptr<Port> Fabric::find(const MachineCore& machine, std::uint16_t port) const {
  const auto found = ports_.find({machine.id, port});
  return found == ports_.end() ? nullptr : found->second;
}

LinkPtr Fabric::make_link(MachineCore& from, MachineCore& to) {
  auto link = std::make_shared<Link>();
  link->machine[0] = &from;
  link->machine[1] = &to;
  link->incarnation[0] = from.incarnation;
  link->incarnation[1] = to.incarnation;
  std::erase_if(links_, [](const std::weak_ptr<Link>& old) { return old.expired(); });
  links_.push_back(link);
  return link;
}

std::vector<LinkPtr> Fabric::links() {
  std::vector<LinkPtr> alive;
  for (const auto& watched : links_) {
    if (LinkPtr link = watched.lock()) alive.push_back(std::move(link));
  }
  return alive;
}

void Fabric::reset(Link& link) {
  link.reset = true;
  world_.scheduler.wake_all(link.changed);
}

void Fabric::close_end(Link& link, unsigned end) {
  if (!link.shut[end]) {
    link.shut[end] = true;
    Pipe& pipe = link.pipe[end];
    pipe.closed = true;
    pipe.last_arrival =
        std::max(pipe.last_arrival, world_.scheduler.now() + draw_delay(link.machine[0]->id, link.machine[1]->id));
  }
  world_.scheduler.wake_all(link.changed);
}

void Fabric::cut(std::uint32_t a, std::uint32_t b) {
  for (const LinkPtr& link : links()) {
    if (connects(*link, a, b)) reset(*link);
  }
}

void Fabric::heal(Link& link) {
  if (rng_.percent(50)) link.reset = true;
  world_.scheduler.wake_all(link.changed);
}

void Fabric::unblock(std::uint32_t a, std::uint32_t b) {
  if (blocked_.erase({a, b}) + blocked_.erase({b, a}) == 0) return;
  for (const LinkPtr& link : links()) {
    if (connects(*link, a, b)) heal(*link);
  }
  world_.scheduler.wake_all(changed_);
}

void Fabric::unblock_all() {
  while (!blocked_.empty()) {
    const auto [from, to] = *blocked_.begin();
    unblock(from, to);
  }
}

void Fabric::machine_died(MachineCore& machine, Death cause) {
  for (auto port = ports_.lower_bound({machine.id, 0}); port != ports_.end() && port->first.first == machine.id;) {
    port->second->closed = true;
    world_.scheduler.wake_all(port->second->changed);
    if (cause == Death::Kill) {
      for (const LinkPtr& link : port->second->backlog) reset(*link);
    }
    port->second->backlog.clear();
    port = ports_.erase(port);
  }
  for (const LinkPtr& link : links()) {
    for (unsigned end = 0; end < 2; ++end) {
      if (link->machine[end] != &machine || link->incarnation[end] != machine.incarnation) continue;
      if (cause == Death::Power) continue;  // silence
      if (rng_.percent(50)) {
        reset(*link);
      } else {
        close_end(*link, end);
      }
    }
  }
  world_.scheduler.wake_all(changed_);
}

}  // namespace exclave::sim::detail
