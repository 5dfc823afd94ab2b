// A vault's machine in a simulated realm: a vault behind HTTP that dies with its machine and is started again.
// Hides: how a vault is served, and what stands at its door (vault_doors.h).
//
//   started --crash, kill, crash_at_call--> down --start_again--> started, or down again if the machine died meanwhile
//
// Threads: one test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/universe.h"
#include "tests/realm/realm.h"
#include "wire/http_vault.h"
#include "wire/server.h"
#include "wire/testing/plain_transport.h"

namespace exclave::realm_tests {

// Puts something between the server and the vault; made anew at each start.
using MakeDoor = std::function<std::unique_ptr<wire::Handler>(wire::Handler& inner)>;

class SimVault {
 public:
  SimVault(sim::Universe& universe, const RealmKeys& keys, std::size_t number, MakeDoor make_door = {})
      : keys_(keys),
        entry_(keys.policy().vaults.at(number)),
        machine_(universe.machine(entry_.name)),
        transport_(machine_key(entry_.name + " identity").public_key()),
        make_door_(std::move(make_door)) {
    machine_.run([&] { host_ = std::make_unique<VaultHost>(machine_.env(), kDirectory, keys_, number); });
    must(serve());
  }
  SimVault(const SimVault&) = delete;
  SimVault& operator=(const SimVault&) = delete;
  ~SimVault() {
    served_->server.reset();
    door_.reset();
    host_.reset();
  }

  sim::Machine& machine() { return machine_; }
  VaultHost& host() { return *host_; }
  wire::Transport& transport() { return transport_; }
  bool is_serving() const { return machine_.is_up() && host_->is_open(); }

  // After a death: what was in memory goes, the disk is decided, the vault opens again. `before_opening` may break
  // things once more.
  Status start_again(const std::function<void()>& before_opening = {}) {
    put_down();
    machine_.restart();
    if (before_opening) before_opening();
    Status opened;
    machine_.run([&] { opened = host_->try_open(); });
    TRY(std::move(opened));
    return serve();
  }
  // What is left in memory of a vault whose machine is down.
  void put_down() {
    machine_.wait();
    served_->server.reset();
    door_.reset();
    host_->close();
  }
  // Fills its gaps from the vaults behind `others`, which are its own doors.
  Result<vault::RepairReport> repair(const std::vector<store::VaultApi*>& others, const vault::RepairOptions& options) {
    return host_->vault().repair(others, options, {});
  }

  std::unique_ptr<store::VaultApi> door(sim::Machine& from, wire::Transport& transport) {
    policy::VaultEntry reached = entry_;
    reached.address = entry_.name + ":4100";
    const env::Env env = from.env();
    return std::make_unique<wire::HttpVault>(wire::HttpVault::World{env.clock, env.random, env.network, env.threads},
                                             transport, reached, keys_.policy().realm,
                                             wire::HttpVaultOptions{.connections = 2, .attempts = 3});
  }
  const std::string& name() const { return entry_.name; }

 private:
  static constexpr const char* kDirectory = "/srv/vault";

  // shared_ptr: owned by the vault and by the order that is given when the machine dies.
  struct Served {
    std::unique_ptr<wire::Server> server;
  };
  Status serve() {
    served_ = std::make_shared<Served>();
    door_ = make_door_ ? make_door_(host_->vault()) : nullptr;
    wire::Handler& handler = door_ != nullptr ? *door_ : static_cast<wire::Handler&>(host_->vault());
    Status started;
    machine_.run([&] {
      const env::Env env = machine_.env();
      auto listener = env.network.listen(entry_.name + ":4100");
      if (!listener.ok()) {
        started = listener.take_error();
        return;
      }
      auto server = wire::Server::start({env.clock, env.log, env.threads}, listener.take(), transport_, handler);
      if (server.ok()) {
        served_->server = server.take();
      } else {
        started = server.take_error();
      }
    });
    TRY(std::move(started));
    env::Clock& clock = machine_.env().clock;
    machine_.when_down([served = served_, &clock] {
      if (served->server != nullptr) served->server->stop(clock.monotonic());
    });
    return {};
  }

  const RealmKeys& keys_;
  const policy::VaultEntry entry_;
  sim::Machine& machine_;
  wire::testing::PlainTransport transport_;
  const MakeDoor make_door_;
  std::unique_ptr<VaultHost> host_;
  std::unique_ptr<wire::Handler> door_;
  std::shared_ptr<Served> served_ = std::make_shared<Served>();
};

}  // namespace exclave::realm_tests
