#include "wire/server.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/text.h"
#include "format/object.h"
#include "http/server.h"
#include "wire/routes.h"

namespace exclave::wire {
namespace {

constexpr std::chrono::milliseconds kPauseAfterFailedAccept{100};
constexpr std::chrono::minutes kQuietTime{1};  // between two lines of the log that say the same
// A whole refusal takes about as long as all three.
constexpr std::chrono::milliseconds kRefusalIdle{1000};
constexpr std::chrono::milliseconds kRefusalHead{1000};
constexpr std::chrono::milliseconds kRefusalLinger{500};

// A connection with two owners: the peer's thread, which may have wrapped it, and the slot, which may cut it.
class SharedConnection final : public env::Connection {
 public:
  explicit SharedConnection(std::shared_ptr<env::Connection> shared) : shared_(std::move(shared)) {}
  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override {
    return shared_->read_some(out, deadline);
  }
  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override {
    return shared_->write_some(data, deadline);
  }
  bool is_readable() override { return shared_->is_readable(); }
  bool takes_at_once(std::size_t bytes) override { return shared_->takes_at_once(bytes); }
  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker& waker) override {
    return shared_->wake_when_readable(waker);
  }
  void shutdown() override { shared_->shutdown(); }
  std::string peer_address() const override { return shared_->peer_address(); }

 private:
  const std::shared_ptr<env::Connection> shared_;
};

// Whom an address stands for when places are shared out: one IPv4 address, or one /64 of IPv6.
std::string source_of(std::string_view peer_address) {
  const std::string_view host = peer_address.substr(0, peer_address.rfind(':'));
  if (!host.starts_with('[') || host.find('.') != std::string_view::npos) return std::string(host);
  std::size_t end = 0;
  for (int groups = 0; groups < 4 && end != std::string_view::npos; ++groups) {
    end = host.find(':', end + 1);
    if (end != std::string_view::npos && host.substr(end).starts_with("::")) break;
  }
  return std::string(host.substr(0, end));
}

// One connection and its thread.
struct Slot {
  enum class Stage {
    Nameless,  // has not shown a key yet
    Admitted,
    Refused,  // is being told why
    Cut,      // ends as soon as its thread notices
    Ended     // its thread has nothing left to do
  };
  std::string peer_address;
  std::shared_ptr<env::Connection> bare;  // null once ended
  std::optional<crypto::Ed25519PublicKey> peer;
  Stage stage = Stage::Nameless;
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
        Service& given_service, const ServerOptions& given_options)
      : world(given_world),
        listener(std::move(given_listener)),
        transport(given_transport),
        service(given_service),
        options(given_options),
        monitor(world.threads.make_monitor()) {}

  void accept_peers();
  void admit(std::unique_ptr<env::Connection> connection);
  Slot* find_place(const std::shared_ptr<env::Connection>& bare);
  Slot* nameless_to_cut(const std::string& source);
  void drop(Slot* slot);
  void reap();
  void serve(Slot& slot);
  void serve_peer(Slot& slot, const Caller& caller, env::Connection& connection);
  std::optional<Error> reason_to_refuse(Slot& slot, const Caller& caller);
  Status refuse(env::Connection& connection, const Error& error);
  std::size_t count(Slot::Stage stage) const;
  void complain(const std::string& what, const std::string& about = "");
  void stop(env::Instant deadline);

  const World world;
  const std::unique_ptr<env::Listener> listener;
  Transport& transport;
  Service& service;
  const ServerOptions options;
  std::stop_source stopping;
  const std::unique_ptr<env::Monitor> monitor;
  // Under monitor:
  std::list<Slot> slots;  // oldest first; made and erased by the accept thread, and by stop() after it ended
  struct Complaint {
    env::Instant quiet_until;
    std::uint64_t unsaid = 0;
  };
  std::map<std::string, Complaint> complaints;

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
    complain("accept: " + accepted.error().message());
    if (!world.clock.sleep_until(world.clock.monotonic() + kPauseAfterFailedAccept).ok()) return;
  }
}

void Server::State::admit(std::unique_ptr<env::Connection> connection) {
  const std::shared_ptr<env::Connection> bare = std::move(connection);
  Slot* const slot = find_place(bare);
  if (slot == nullptr) {
    bare->shutdown();
    complain("all places are taken: peers are cut", bare->peer_address());
    return;
  }
  auto thread = world.threads.start("peer " + slot->peer_address, [this, slot] { serve(*slot); });
  if (thread.ok()) {
    slot->thread = thread.take();
    return;
  }
  bare->shutdown();
  drop(slot);
  complain("peers are cut: no thread can be started for them",
           bare->peer_address() + " (" + thread.error().message() + ")");
}

// Peers that have shown no key cannot keep others out: the oldest one of the source that holds most of them goes.
Slot* Server::State::find_place(const std::shared_ptr<env::Connection>& bare) {
  std::shared_ptr<env::Connection> cut;
  Slot* slot = nullptr;
  {
    const env::MonitorLock lock(*monitor);
    if (slots.size() >= options.max_connections + options.max_handshakes + options.max_refusals) return nullptr;
    if (Slot* const victim = nameless_to_cut(source_of(bare->peer_address()))) {
      victim->stage = Slot::Stage::Cut;
      cut = victim->bare;
    }
    slot = &slots.emplace_back();
    slot->peer_address = bare->peer_address();
    slot->bare = bare;
  }
  if (cut != nullptr) {
    cut->shutdown();
    complain("too many peers have shown no key: the oldest ones are cut", cut->peer_address());
  }
  return slot;
}

// Under monitor. Null while there is room for one more from `source`.
Slot* Server::State::nameless_to_cut(const std::string& source) {
  std::map<std::string, std::size_t> by_source;
  for (const Slot& slot : slots) {
    if (slot.stage == Slot::Stage::Nameless) ++by_source[source_of(slot.peer_address)];
  }
  const bool is_greedy = by_source[source] >= options.max_handshakes_per_source;
  if (!is_greedy && count(Slot::Stage::Nameless) < options.max_handshakes) return nullptr;
  std::size_t most = 0;
  for (const auto& [from, held] : by_source) most = std::max(most, held);
  // The oldest comes first: among sources that hold as many, nobody goes for how the address is written.
  for (Slot& slot : slots) {
    if (slot.stage != Slot::Stage::Nameless) continue;
    const std::string from = source_of(slot.peer_address);
    if (is_greedy ? from == source : by_source[from] == most) return &slot;
  }
  return nullptr;
}

// Under monitor.
std::size_t Server::State::count(Slot::Stage stage) const {
  return static_cast<std::size_t>(
      std::count_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.stage == stage; }));
}

// A slot whose thread never ran.
void Server::State::drop(Slot* slot) {
  const env::MonitorLock lock(*monitor);
  slots.remove_if([&](const Slot& other) { return &other == slot; });
}

void Server::State::reap() {
  std::list<Slot> ended;
  {
    const env::MonitorLock lock(*monitor);
    for (auto slot = slots.begin(); slot != slots.end();) {
      const auto next = std::next(slot);
      if (slot->stage == Slot::Stage::Ended) ended.splice(ended.end(), slots, slot);
      slot = next;
    }
  }
  for (Slot& slot : ended) slot.thread->join();
}

void Server::State::serve(Slot& slot) {
  {
    std::shared_ptr<env::Connection> bare;
    {
      const env::MonitorLock lock(*monitor);
      bare = slot.bare;
    }
    auto accepted = transport.accept(std::make_unique<SharedConnection>(std::move(bare)),
                                     world.clock.monotonic() + options.handshake_time);
    if (accepted.ok()) {
      serve_peer(slot, Caller{accepted.value().peer}, *accepted.value().connection);
    } else {
      world.log.write(env::LogLevel::Debug, slot.peer_address + ": no handshake: " + accepted.error().message());
    }
  }
  std::shared_ptr<env::Connection> last;  // closes its descriptor outside the lock
  const env::MonitorLock lock(*monitor);
  last = std::move(slot.bare);
  slot.stage = Slot::Stage::Ended;
  monitor->notify_all();
}

void Server::State::serve_peer(Slot& slot, const Caller& caller, env::Connection& connection) {
  const std::string who = slot.peer_address + " (key " + caller.identity.hex().substr(0, 16) + ")";
  if (const auto reason = reason_to_refuse(slot, caller)) {
    complain("turned away: " + reason->message(), who);
    ignore(refuse(connection, *reason), "the peer is gone either way");
    return;
  }
  const http::Handler answer_request = [&](const http::RequestHead& request, http::BodyReader& body) {
    Result<http::Response> response = service.answer(caller, request, body);
    if (service.knows(caller)) return response;
    // A policy has revoked the key meanwhile: this answer is the last one.
    http::Response last = response.ok() ? response.take() : http::error_response(response.error());
    last.closes = true;
    return Result<http::Response>(std::move(last));
  };
  const Status served =
      http::serve_connection(connection, world.clock, options.limits, answer_request, stopping.get_token());
  if (!served.ok()) world.log.write(env::LogLevel::Debug, who + ": " + served.error().message());
}

// nullopt: the peer is admitted. Those who are not take no place from those who are.
std::optional<Error> Server::State::reason_to_refuse(Slot& slot, const Caller& caller) {
  const bool is_known = service.knows(caller);
  const env::MonitorLock lock(*monitor);
  slot.peer = caller.identity;
  const auto is_same = [&](const Slot& other) {
    return other.stage == Slot::Stage::Admitted && other.peer == caller.identity;
  };
  std::optional<Error> reason;
  if (slot.stage == Slot::Stage::Cut) {
    return Error(Code::Unavailable, "the handshake was too late");
  } else if (!is_known) {
    reason = Error(Code::Denied, "the policy does not know your key");
  } else if (count(Slot::Stage::Admitted) >= options.max_connections) {
    reason = Error(Code::Unavailable, "too many connections");
  } else if (static_cast<std::size_t>(std::count_if(slots.begin(), slots.end(), is_same)) >= options.max_per_peer) {
    reason = Error(Code::Unavailable, "too many connections of one peer");
  }
  const bool has_place = count(Slot::Stage::Refused) < options.max_refusals;
  slot.stage = !reason.has_value() ? Slot::Stage::Admitted : has_place ? Slot::Stage::Refused : Slot::Stage::Cut;
  if (slot.stage == Slot::Stage::Cut) slot.bare->shutdown();
  return reason;
}

// Answers the first request with the error, and ends.
Status Server::State::refuse(env::Connection& connection, const Error& error) {
  std::stop_source ended;
  http::Limits limits = options.limits;
  limits.idle = kRefusalIdle;
  limits.head = kRefusalHead;
  limits.linger = kRefusalLinger;
  const http::Handler refuse_request = [&](const http::RequestHead&, http::BodyReader&) -> Result<http::Response> {
    ended.request_stop();
    return error;
  };
  return http::serve_connection(connection, world.clock, limits, refuse_request, ended.get_token());
}

// Strangers decide how often; the log decides how often it is said.
void Server::State::complain(const std::string& what, const std::string& about) {
  std::string line = about.empty() ? what : about + ": " + what;
  {
    const env::MonitorLock lock(*monitor);
    const env::Instant now = world.clock.monotonic();
    Complaint& complaint = complaints[what];
    if (now < complaint.quiet_until) {
      ++complaint.unsaid;
      return;
    }
    if (complaint.unsaid > 0) line += " (and " + std::to_string(complaint.unsaid) + " more since this was last said)";
    complaint = {now + kQuietTime, 0};
  }
  world.log.write(env::LogLevel::Warning, line);
}

void Server::State::stop(env::Instant deadline) {
  stopping.request_stop();
  listener->close();
  if (acceptor != nullptr) acceptor->join();
  std::vector<std::shared_ptr<env::Connection>> left;
  {
    const env::MonitorLock lock(*monitor);
    const auto has_ended = [](const Slot& slot) { return slot.stage == Slot::Stage::Ended; };
    while (!std::all_of(slots.begin(), slots.end(), has_ended) && world.clock.monotonic() < deadline) {
      monitor->wait_until(deadline);
    }
    for (const Slot& slot : slots) {
      if (!has_ended(slot)) left.push_back(slot.bare);
    }
  }
  if (!left.empty()) {
    world.log.write(env::LogLevel::Warning, std::to_string(left.size()) + " connections are cut: the time is over");
  }
  for (const auto& connection : left) connection->shutdown();
  for (Slot& slot : slots) slot.thread->join();
  slots.clear();
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Server>> Server::start(const World& world, std::unique_ptr<env::Listener> listener,
                                              Transport& transport, Service& service, const ServerOptions& options) {
  auto state = std::make_unique<State>(world, std::move(listener), transport, service, options);
  State* const raw = state.get();
  state->acceptor = TRY(world.threads.start("accept", [raw] { raw->accept_peers(); }));
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
