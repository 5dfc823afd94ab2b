// Server: an HTTP API on a listener, a vault's or another one: accepts peers, lets a Service answer, and ends in good order.
// Hides: threads, handshakes, limits per peer, draining.
//
//   accept thread --> one named thread per connection: handshake -> (known? room?) -> requests, one after the other
//
//   running --stop(deadline)--> draining: no new peers, requests in progress end, then what is left is cut --> stopped
//
// Units/limits: places, each a thread: max_connections for peers that the service knows, max_per_peer of them per key;
//   max_handshakes for those who have shown no key yet, max_handshakes_per_source of them per address; max_refusals for
//   those who are being told why they have no place. About 0.5 MiB per connection while it moves bulk.
// I1  A peer whose key the service does not know gets one answer, 403, and is gone; so is one whose key is revoked. A
//     known one that is too many gets 503. Beyond max_refusals they are cut without a word.
// I3  Whoever shows no key, or an unknown one, takes no place from a known peer: when places for handshakes run out, the
//     oldest one of the source that holds most is cut. The log says so, once a minute.
// I2  After stop() returned, no thread of the server runs and no request is in progress.
// Threads: stop() and the destructor by one thread, which is none of the server's own.
// Errors: none of its own; what goes wrong with one connection is logged and ends that connection only.
// See: wire/routes.h, ADR-0020, docs/protocols/vault-http.md.
#pragma once

#include <memory>
#include <string>

#include "env/env.h"
#include "http/limits.h"
#include "wire/service.h"
#include "wire/transport.h"

namespace exclave::wire {

// What a vault's server takes: objects are its largest bodies.
http::Limits default_server_limits();

struct ServerOptions {
  std::size_t max_connections = 256;
  std::size_t max_handshakes = 64;
  std::size_t max_handshakes_per_source = 16;  // an IPv4 address, or a /64 of IPv6
  std::size_t max_refusals = 16;
  std::size_t max_per_peer = 16;
  std::chrono::nanoseconds handshake_time = std::chrono::seconds(5);
  http::Limits limits = default_server_limits();
};

class Server {
 public:
  // The part of the world it uses; all outlive it, as do transport and service.
  struct World {
    env::Clock& clock;
    env::Log& log;
    env::Threads& threads;
  };
  // Exhausted: not even the thread that accepts could be started.
  static Result<std::unique_ptr<Server>> start(const World& world, std::unique_ptr<env::Listener> listener,
                                               Transport& transport, Service& service,
                                               const ServerOptions& options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // stops without patience

  std::string address() const;  // "host:port" with the real port
  // Requests and handshakes in progress have until `deadline`. Idempotent.
  void stop(env::Instant deadline);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace exclave::wire
