#include "wire/server.h"

#include <algorithm>
#include <list>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/text.h"
#include "format/object.h"
#include "http/server.h"
#include "wire/routes.h"

namespace exclave::wire {
namespace {

// Threads beyond max_connections that do nothing but say 503.
constexpr std::size_t kTurningAway = 16;
constexpr std::chrono::milliseconds kPauseAfterFailedAccept{100};
constexpr std::chrono::seconds kRefusalTime{5};

// One connection and its thread. The connection is set once the peer has shown its key, and lives until the thread has
// been joined, so that stop() may cut it at any time.
struct Slot {
  std::string peer_address;
  std::unique_ptr<env::Connection> connection;
  std::optional<crypto::Ed25519PublicKey> peer;
  bool ended = false;
  std::unique_ptr<env::Thread> thread;
};

}  // namespace

http::Limits default_server_limits() {
  http::Limits limits;
  limits.body_bytes = format::kMaxObjectBytes;
  return limits;
}

struct Server::State {
  State(const World& given_world, std::unique_ptr<env::Listener> given_listener, Transport& given_transport,
        Handler& given_handler, const ServerOptions& given_options)
      : world(given_world),
        listener(std::move(given_listener)),
        transport(given_transport),
        handler(given_handler),
        options(given_options),
        monitor(world.threads.make_monitor()) {}

  void accept_peers();
  void admit(std::unique_ptr<env::Connection> connection);
  void reap();
  void serve(Slot& slot, std::unique_ptr<env::Connection> bare);
  void serve_peer(Slot& slot, const Caller& caller);
  std::optional<Error> reason_to_refuse(const Caller& caller);
  Status refuse(env::Connection& connection, const Error& error);
  void stop(env::Instant deadline);

  const World world;
  const std::unique_ptr<env::Listener> listener;
  Transport& transport;
  Handler& handler;
  const ServerOptions options;
  std::stop_source stopping;
  const std::unique_ptr<env::Monitor> monitor;
  std::list<Slot> slots;  // under monitor; made and erased by the accept thread, and by stop() after it ended
  std::unique_ptr<env::Thread> acceptor;
};

void Server::State::accept_peers() {
  while (!stopping.stop_requested()) {
    auto accepted = listener->accept();
    reap();
    if (accepted.ok()) {
      admit(accepted.take());
      continue;
    }
    if (stopping.stop_requested() || accepted.error().code() == Code::Cancelled) return;
    // Out of descriptors, most likely: wait for connections to end instead of spinning.
    world.log.write(env::LogLevel::Warning, "accept: " + accepted.error().message());
    if (!world.clock.sleep_until(world.clock.monotonic() + kPauseAfterFailedAccept).ok()) return;
  }
}

void Server::State::admit(std::unique_ptr<env::Connection> connection) {
  Slot* slot = nullptr;
  {
    const env::MonitorLock lock(*monitor);
    const auto is_nameless = [](const Slot& other) { return !other.ended && !other.peer.has_value(); };
    const auto nameless = static_cast<std::size_t>(std::count_if(slots.begin(), slots.end(), is_nameless));
    if (nameless < options.max_handshakes && slots.size() < options.max_connections + kTurningAway) {
      slot = &slots.emplace_back();
      slot->peer_address = connection->peer_address();
    }
  }
  if (slot == nullptr) {
    connection->shutdown();
    return;
  }
  // std::function wants something copyable; the thread is the only one that takes it.
  auto handed_over = std::make_shared<std::unique_ptr<env::Connection>>(std::move(connection));
  slot->thread = world.threads.start("peer " + slot->peer_address,
                                     [this, slot, handed_over] { serve(*slot, std::move(*handed_over)); });
}

void Server::State::reap() {
  std::list<Slot> ended;
  {
    const env::MonitorLock lock(*monitor);
    for (auto slot = slots.begin(); slot != slots.end();) {
      const auto next = std::next(slot);
      if (slot->ended) ended.splice(ended.end(), slots, slot);
      slot = next;
    }
  }
  for (Slot& slot : ended) slot.thread->join();
}

void Server::State::serve(Slot& slot, std::unique_ptr<env::Connection> bare) {
  auto accepted = transport.accept(std::move(bare), world.clock.monotonic() + options.handshake_time);
  if (accepted.ok()) {
    const Caller caller{accepted.value().peer};
    {
      const env::MonitorLock lock(*monitor);
      slot.connection = std::move(accepted.value().connection);
      slot.peer = caller.identity;
    }
    serve_peer(slot, caller);
  } else {
    world.log.write(env::LogLevel::Debug, slot.peer_address + ": no handshake: " + accepted.error().message());
  }
  const env::MonitorLock lock(*monitor);
  slot.ended = true;
  monitor->notify_all();
}

void Server::State::serve_peer(Slot& slot, const Caller& caller) {
  const std::string who = slot.peer_address + " (key " + caller.identity.hex().substr(0, 16) + ")";
  if (const auto reason = reason_to_refuse(caller)) {
    world.log.write(env::LogLevel::Info, who + " was turned away: " + reason->message());
    ignore(refuse(*slot.connection, *reason), "the peer is gone either way");
    return;
  }
  const http::Handler answer_request = [&](const http::RequestHead& request, http::BodyReader& body) {
    return answer(handler, caller, request, body);
  };
  const Status served =
      http::serve_connection(*slot.connection, world.clock, options.limits, answer_request, stopping.get_token());
  if (!served.ok()) world.log.write(env::LogLevel::Debug, who + ": " + served.error().message());
}

std::optional<Error> Server::State::reason_to_refuse(const Caller& caller) {
  if (!handler.knows(caller)) return Error(Code::Denied, "the policy does not know your key");
  const env::MonitorLock lock(*monitor);
  std::size_t all = 0;
  std::size_t same = 0;
  for (const Slot& slot : slots) {
    if (slot.ended) continue;
    ++all;
    if (slot.peer == caller.identity) ++same;
  }
  if (all > options.max_connections) return Error(Code::Unavailable, "too many connections");
  if (same > options.max_per_peer) return Error(Code::Unavailable, "too many connections of one peer");
  return std::nullopt;
}

// Answers the first request with the error, and ends.
Status Server::State::refuse(env::Connection& connection, const Error& error) {
  std::stop_source ended;
  http::Limits limits = options.limits;
  limits.idle = kRefusalTime;
  const http::Handler refuse_request = [&](const http::RequestHead&, http::BodyReader&) -> Result<http::Response> {
    ended.request_stop();
    return error;
  };
  return http::serve_connection(connection, world.clock, limits, refuse_request, ended.get_token());
}

void Server::State::stop(env::Instant deadline) {
  stopping.request_stop();
  listener->close();
  acceptor->join();
  std::vector<env::Connection*> left;
  {
    const env::MonitorLock lock(*monitor);
    const auto has_ended = [](const Slot& slot) { return slot.ended; };
    while (!std::all_of(slots.begin(), slots.end(), has_ended) && world.clock.monotonic() < deadline) {
      monitor->wait_until(deadline);
    }
    for (const Slot& slot : slots) {
      if (!slot.ended && slot.connection != nullptr) left.push_back(slot.connection.get());
    }
  }
  if (!left.empty()) {
    world.log.write(env::LogLevel::Warning, std::to_string(left.size()) + " connections are cut: the time is over");
  }
  for (env::Connection* const connection : left) connection->shutdown();
  for (Slot& slot : slots) slot.thread->join();
  slots.clear();
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

std::unique_ptr<Server> Server::start(const World& world, std::unique_ptr<env::Listener> listener, Transport& transport,
                                      Handler& handler, const ServerOptions& options) {
  auto state = std::make_unique<State>(world, std::move(listener), transport, handler, options);
  State* const raw = state.get();
  state->acceptor = world.threads.start("accept", [raw] { raw->accept_peers(); });
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::~Server() {
  stop(state_->world.clock.monotonic());
}

std::string Server::address() const {
  return state_->listener->address();
}

void Server::stop(env::Instant deadline) {
  state_->stop(deadline);
}

}  // namespace exclave::wire
