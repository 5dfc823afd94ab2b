// The network facade of one machine: listeners, connections, connecting.
#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/text.h"
#include "sim/detail/machine_core.h"

namespace exclave::sim::detail {
namespace {

constexpr std::size_t kBacklog = 128;

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

Result<Address> parse_address(std::string_view text) {
  const Error bad(Code::InvalidInput, "'" + printable(text) + "' is not an address of the form host:port");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad;
  const auto port = parse_u32(text.substr(colon + 1));
  if (!port.ok() || port.value() > 65'535) return bad;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad;
  }
  if (host.empty()) return bad;
  return Address{.host = std::string(host), .port = static_cast<std::uint16_t>(port.value())};
}

// Names by which a machine may call itself besides its own.
bool is_local_name(std::string_view host) {
  constexpr std::string_view kNames[] = {"localhost", "127.0.0.1", "0.0.0.0", "::1", "::"};
  return std::find(std::begin(kNames), std::end(kNames), host) != std::end(kNames);
}

class SimConnection final : public env::Connection {
 public:
  SimConnection(MachineCore& core, LinkPtr link, unsigned end)
      : core_(core),
        incarnation_(core.incarnation),
        link_(std::move(link)),
        end_(end),
        peer_(link_->machine[1 - end]->name) {}
  SimConnection(const SimConnection&) = delete;
  SimConnection& operator=(const SimConnection&) = delete;
  ~SimConnection() override {
    if (!core_.check_up(incarnation_).ok()) return;
    core_.enter();
    core_.world.scheduler.record({.name = "close", .object = peer_});
    if (!core_.check_up(incarnation_).ok()) return;
    if (incoming().bytes > 0 && fabric().draw_coin()) fabric().reset(*link_);
    fabric().close_end(*link_, end_);
  }

  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override {
    CHECK(!out.empty());
    const std::int64_t until = core_.to_universe(deadline);
    return core_.call({.name = "read_some", .object = peer_, .a = out.size()}, [&]() -> Result<std::size_t> {
      while (true) {
        TRY(check());
        if (const auto count = try_read(out)) return *count;
        if (link_->shut[end_]) return std::size_t{0};
        if (core_.world.scheduler.now() >= until) return timed_out("read");
        core_.world.scheduler.block(link_->changed, {.what = "bytes from", .object = peer_},
                                    std::min(until, next_arrival()));
      }
    });
  }

  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override {
    CHECK(!data.empty());
    const std::int64_t until = core_.to_universe(deadline);
    const CallText text{.name = "write_some", .object = peer_, .a = data.size(), .b = hash_of(data)};
    return core_.call(text, [&]() -> Result<std::size_t> {
      while (true) {
        TRY(check());
        if (link_->shut[end_]) return Error(Code::Unavailable, peer_ + ": connection was shut down");
        if (fabric().draw_cut() || peer_restarted()) {
          fabric().reset(*link_);
          TRY(check());
        }
        if (const auto count = try_write(data)) return *count;
        if (core_.world.scheduler.now() >= until) return timed_out("write");
        core_.world.scheduler.block(link_->changed, {.what = "room to write to", .object = peer_}, until);
      }
    });
  }

  bool is_readable() override {
    core_.enter();
    core_.world.scheduler.record({.name = "is_readable", .object = peer_});
    return !check().ok() || link_->shut[end_] || next_arrival() <= core_.world.scheduler.now();
  }
  bool takes_at_once(std::size_t bytes) override {
    core_.enter();
    core_.world.scheduler.record({.name = "takes_at_once", .object = peer_, .a = bytes});
    return check().ok() && core_.world.options.network.pipe_bytes - outgoing().bytes >= bytes;
  }
  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker&) override { return nullptr; }

  void shutdown() override {
    core_.enter();
    core_.world.scheduler.record({.name = "shutdown", .object = peer_});
    if (core_.check_up(incarnation_).ok()) fabric().close_end(*link_, end_);
  }
  std::string peer_address() const override { return peer_; }

 private:
  Fabric& fabric() const { return core_.world.fabric; }
  Pipe& incoming() const { return link_->pipe[1 - end_]; }
  Pipe& outgoing() const { return link_->pipe[end_]; }
  const MachineCore& peer() const { return *link_->machine[1 - end_]; }
  bool peer_restarted() const { return peer().up && peer().incarnation != link_->incarnation[1 - end_]; }
  Error timed_out(std::string_view what) const {
    return Error(Code::Unavailable, peer_ + ": the deadline of a " + std::string(what) + " passed");
  }
  Status check() const {
    TRY(core_.check_up(incarnation_));
    if (link_->reset) return Error(Code::Unavailable, peer_ + ": connection reset");
    return {};
  }

  std::int64_t next_arrival() const {
    if (fabric().is_blocked(peer().id, core_.id)) return kNever;
    if (!incoming().chunks.empty()) return incoming().chunks.front().arrives;
    return incoming().closed ? incoming().last_arrival : kNever;
  }

  // 0 = the peer has closed; nothing = wait.
  std::optional<std::size_t> try_read(MutableByteView out) {
    if (next_arrival() > core_.world.scheduler.now()) return std::nullopt;
    Pipe& pipe = incoming();
    if (pipe.chunks.empty()) return 0;
    out = out.first(fabric().draw_transfer(out.size()));
    std::size_t done = 0;
    while (done < out.size() && !pipe.chunks.empty() && pipe.chunks.front().arrives <= core_.world.scheduler.now()) {
      Chunk& chunk = pipe.chunks.front();
      const std::size_t count = std::min(out.size() - done, chunk.data.size() - chunk.read);
      std::memcpy(out.data() + done, chunk.data.data() + chunk.read, count);
      done += count;
      chunk.read += count;
      if (chunk.read == chunk.data.size()) pipe.chunks.pop_front();
    }
    pipe.bytes -= done;
    core_.world.scheduler.wake_all(link_->changed);
    return done;
  }

  std::optional<std::size_t> try_write(ByteView data) {
    Pipe& pipe = outgoing();
    if (link_->shut[1 - end_]) {
      // TCP takes the bytes; the answer to them is the reset that later calls meet.
      link_->reset = true;
      core_.world.scheduler.wake_all(link_->changed);
      return data.size();
    }
    const std::size_t room = core_.world.options.network.pipe_bytes - pipe.bytes;
    if (room == 0) return std::nullopt;
    const std::size_t count = fabric().draw_transfer(std::min(room, data.size()));
    pipe.last_arrival =
        std::max(pipe.last_arrival,
                 core_.world.scheduler.now() + fabric().draw_delay(link_->machine[0]->id, link_->machine[1]->id));
    pipe.chunks.push_back({.arrives = pipe.last_arrival, .data = to_bytes(data.first(count))});
    pipe.bytes += count;
    core_.world.scheduler.wake_all(link_->changed);
    return count;
  }

  MachineCore& core_;
  const std::uint64_t incarnation_;
  const LinkPtr link_;
  const unsigned end_;
  const std::string peer_;
};

class SimListener final : public env::Listener {
 public:
  SimListener(MachineCore& core, std::shared_ptr<Port> port, std::uint16_t number)
      : core_(core),
        incarnation_(core.incarnation),
        port_(std::move(port)),
        number_(number),
        address_(core.name + ":" + std::to_string(number)) {}
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  ~SimListener() override { close(); }

  Result<std::unique_ptr<env::Connection>> accept() override {
    using Accepted = std::unique_ptr<env::Connection>;
    return core_.call({.name = "accept", .object = address_}, [&]() -> Result<Accepted> {
      while (true) {
        TRY(core_.check_up(incarnation_));
        if (port_->closed) return Error(Code::Cancelled, address_ + ": listener was closed");
        if (!port_->backlog.empty()) {
          LinkPtr link = std::move(port_->backlog.front());
          port_->backlog.pop_front();
          core_.world.scheduler.wake_all(core_.world.fabric.changed());
          return Accepted(std::make_unique<SimConnection>(core_, std::move(link), 1));
        }
        core_.world.scheduler.block(port_->changed, {.what = "a peer at", .object = address_});
      }
    });
  }
  void close() override {
    if (port_->closed) return;
    core_.enter();
    core_.world.scheduler.record({.name = "close_listener", .object = address_});
    core_.world.fabric.close(core_, number_, *port_);
  }
  std::string address() const override { return address_; }

 private:
  MachineCore& core_;
  const std::uint64_t incarnation_;
  const std::shared_ptr<Port> port_;
  const std::uint16_t number_;
  const std::string address_;
};

class SimNetwork final : public env::Network {
 public:
  explicit SimNetwork(MachineCore& core) : core_(core) {}

  Result<std::unique_ptr<env::Listener>> listen(std::string_view text) override {
    using Listening = std::unique_ptr<env::Listener>;
    return core_.call({.name = "listen", .object = text}, [&]() -> Result<Listening> {
      TRY(core_.check_up(core_.incarnation));
      const Address address = TRY(parse_address(text));
      if (address.host != core_.name && !is_local_name(address.host)) {
        return Error(Code::InvalidInput, printable(text) + ": is not an address of machine " + core_.name);
      }
      auto [port, number] = core_.world.fabric.listen(core_, address.port);
      if (port == nullptr) return Error(Code::Unavailable, printable(text) + ": address is in use");
      return Listening(std::make_unique<SimListener>(core_, std::move(port), number));
    });
  }

  Result<std::unique_ptr<env::Connection>> connect(std::string_view text, env::Instant deadline) override {
    using Connected = std::unique_ptr<env::Connection>;
    return core_.call({.name = "connect", .object = text}, [&]() -> Result<Connected> {
      TRY(core_.check_up(core_.incarnation));
      const Address address = TRY(parse_address(text));
      if (address.port == 0) return Error(Code::InvalidInput, printable(text) + ": port 0 is for listening");
      const auto found = core_.world.machines.find(address.host);
      if (found == core_.world.machines.end() && !is_local_name(address.host)) {
        return Error(Code::Unavailable, printable(text) + ": no such host");
      }
      MachineCore& target = is_local_name(address.host) ? core_ : *found->second;
      LinkPtr link = TRY(reach(target, address.port, text, core_.to_universe(deadline)));
      return Connected(std::make_unique<SimConnection>(core_, std::move(link), 0));
    });
  }

 private:
  Result<LinkPtr> reach(MachineCore& target, std::uint16_t port, std::string_view text, std::int64_t deadline) {
    Scheduler& scheduler = core_.world.scheduler;
    Fabric& fabric = core_.world.fabric;
    const std::uint64_t incarnation = core_.incarnation;
    const auto one_way = [&] { return fabric.draw_delay(core_.id, target.id); };
    std::int64_t wake_at = scheduler.now() + one_way();
    wake_at += one_way();  // and back
    while (true) {
      TRY(core_.check_up(incarnation));
      if (scheduler.now() >= wake_at) {
        const bool silent =
            fabric.is_blocked(core_.id, target.id) || fabric.is_blocked(target.id, core_.id) || target.is_dark();
        const auto listener = silent ? nullptr : fabric.find(target, port);
        if (!silent && listener == nullptr) {
          return Error(Code::Unavailable, printable(text) + ": connection refused");
        }
        if (listener != nullptr && listener->backlog.size() < kBacklog) {
          LinkPtr link = fabric.make_link(core_, target);
          listener->backlog.push_back(link);
          scheduler.wake_all(listener->changed);
          return link;
        }
        wake_at = kNever;  // whatever changes will wake us
      }
      if (scheduler.now() >= deadline) {
        return Error(Code::Unavailable, printable(text) + ": the deadline of the connection attempt passed");
      }
      scheduler.block(fabric.changed(), {.what = "a connection to", .object = text}, std::min(deadline, wake_at));
      if (wake_at == kNever) wake_at = scheduler.now();
    }
  }

  MachineCore& core_;
};

}  // namespace

std::unique_ptr<env::Network> make_network(MachineCore& core) {
  return std::make_unique<SimNetwork>(core);
}

}  // namespace exclave::sim::detail
