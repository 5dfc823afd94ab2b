// Server: a vault's HTTP API on a listener: accepts peers, lets a Handler answer, and ends in good order.
// Hides: threads, handshakes, limits per peer, draining.
//
//   accept thread --> one named thread per connection: handshake -> (known? room?) -> requests, one after the other
//
//   running --stop(deadline)--> draining: no new peers, requests in progress end, then what is left is cut --> stopped
//
// Units/limits: max_connections threads, of which at most max_handshakes have not shown a key yet; max_per_peer per
// key.
//   About 0.5 MiB per connection while it moves bulk. Whoever is too many gets 503, beyond that is cut without a word.
// I1  A peer whose key the handler does not know gets one answer, 403, and is gone.
// I2  After stop() returned, no thread of the server runs and no request is in progress.
// Threads: stop() and the destructor by one thread, which is none of the server's own.
// Errors: none of its own; what goes wrong with one connection is logged and ends that connection only.
// See: wire/routes.h, ADR-0020, docs/protocols/vault-http.md.
#pragma once

#include <memory>
#include <string>

#include "env/env.h"
#include "http/limits.h"
#include "wire/handler.h"
#include "wire/transport.h"

namespace exclave::wire {

// What a vault's server takes: objects are its largest bodies.
http::Limits default_server_limits();

struct ServerOptions {
  std::size_t max_connections = 256;
  std::size_t max_handshakes = 64;
  std::size_t max_per_peer = 16;
  std::chrono::nanoseconds handshake_time = std::chrono::seconds(5);
  http::Limits limits = default_server_limits();
};

class Server {
 public:
  // The part of the world it uses; all outlive it, as do transport and handler.
  struct World {
    env::Clock& clock;
    env::Log& log;
    env::Threads& threads;
  };
  static std::unique_ptr<Server> start(const World& world, std::unique_ptr<env::Listener> listener,
                                       Transport& transport, Handler& handler, const ServerOptions& options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // stops without patience

  std::string address() const;  // "host:port" with the real port
  // Requests in progress have until `deadline`; a handshake in progress, its own few seconds. Idempotent.
  void stop(env::Instant deadline);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace exclave::wire
