// Connection pool: a client's few connections to one vault, lent out one request at a time.
// Hides: connecting, handshakes, which connection is idle and which has grown too old to be trusted.
//
//   take() -> Lease (an http::Client) -> dropped: kept for the next one if the last answer was read to its end
//
//   shutdown(): leased connections are cut, which wakes whoever waits on them; nothing is lent out from then on
//
// Units/limits: at most `size` leases at a time; further takers wait. An idle connection is used again within 30 s.
// Threads: from any thread; a lease by one thread. Leases do not outlive the pool.
// Errors: those of connecting: Unavailable (also: all leases are out until the deadline), Denied (another identity),
//         Cancelled (after shutdown).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/env.h"
#include "http/client.h"
#include "wire/transport.h"

namespace exclave::wire {

class ConnectionPool {
 public:
  // References outlive the pool.
  struct Target {
    env::Clock& clock;
    env::Network& network;
    env::Threads& threads;
    Transport& transport;
    std::string address;
    crypto::Ed25519PublicKey identity;
    http::Limits limits;
  };

  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    http::Client& client() const { return *client_; }
    // It served requests before, so the vault may have closed it meanwhile: a failure says nothing about the vault.
    bool is_reused() const { return is_reused_; }

   private:
    friend class ConnectionPool;
    explicit Lease(ConnectionPool& pool) : pool_(&pool) {}
    ConnectionPool* pool_;  // null once moved from
    std::shared_ptr<http::Client> client_;
    bool is_reused_ = false;
  };

  ConnectionPool(Target target, std::size_t size);
  // Whether a connection is to be made turns out late: `until` is asked right before, until when at most.
  Result<Lease> take(env::Instant deadline, const std::function<env::Instant()>& until);
  // One that is connected already, if there is any; waits for nothing.
  std::optional<Lease> take_idle();
  // After a failure of a reused connection: the other idle ones have probably ended as well.
  void forget_idle();
  // A connection that is just being made is not cut: it ends when its time is over.
  void shutdown();

 private:
  struct Idle {
    std::shared_ptr<http::Client> client;
    env::Instant since;
  };
  void give_back(std::shared_ptr<http::Client> client);
  // Under monitor_. Null: none that can be trusted. Those that cannot go to `outdated`, to be dropped outside the monitor:
  // closing is a call into the world.
  std::shared_ptr<http::Client> pop_idle(std::vector<Idle>& outdated);
  // False after shutdown.
  bool note_leased(const std::shared_ptr<http::Client>& client);
  Result<std::unique_ptr<http::Client>> connect(env::Instant until);

  const Target target_;
  const std::unique_ptr<env::Monitor> monitor_;
  // Under monitor_:
  std::size_t free_;
  bool is_shut_ = false;
  // A client is owned by its lease, or is idle; and for as long as it takes to cut it, by whoever shuts the pool down.
  std::vector<std::shared_ptr<http::Client>> leased_;
  std::vector<Idle> idle_;
};

}  // namespace exclave::wire
