// A realm of simulated machines: an agent, three vaults behind HTTP, a site. Hides: how vaults are served and die.
//
//   home: Agent --HttpVault--> lux | est | che <--HttpVault-- Site :abroad
//
// Threads: one test; captures and restores run as actors of their machines.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/universe.h"
#include "tests/realm/realm.h"
#include "tests/realm/trees.h"
#include "wire/http_vault.h"
#include "wire/server.h"
#include "wire/testing/plain_transport.h"

namespace exclave::realm_tests {

// Of every simulation in this process: the same documents, so that runs of one seed are the same.
inline const RealmKeys& sim_keys() {
  static const RealmKeys made(sim::Options().start.seconds());
  return made;
}

// A vault's machine. Dies with its machine and is started again by start().
class SimVault {
 public:
  SimVault(sim::Universe& universe, std::size_t number)
      : entry_(sim_keys().policy().vaults.at(number)),
        machine_(universe.machine(entry_.name)),
        transport_(machine_key(entry_.name + " identity").public_key()) {
    machine_.run([&] { host_ = std::make_unique<VaultHost>(machine_.env(), "/srv/vault", sim_keys(), number); });
    serve();
  }
  SimVault(const SimVault&) = delete;
  SimVault& operator=(const SimVault&) = delete;
  ~SimVault() {
    served_->server.reset();
    host_.reset();
  }

  sim::Machine& machine() { return machine_; }
  // After a death: what was in memory goes, the disk is decided, the vault opens again.
  void start_again() {
    machine_.wait();
    served_->server.reset();
    host_->close();
    machine_.restart();
    machine_.run([&] { host_->open(); });
    serve();
  }
  std::unique_ptr<store::VaultApi> door(sim::Machine& from, wire::Transport& transport) {
    policy::VaultEntry reached = entry_;
    reached.address = entry_.name + ":4100";
    const env::Env env = from.env();
    return std::make_unique<wire::HttpVault>(wire::HttpVault::World{env.clock, env.random, env.network, env.threads},
                                             transport, reached, sim_keys().policy().realm,
                                             wire::HttpVaultOptions{.connections = 2, .attempts = 3});
  }
  const std::string& name() const { return entry_.name; }

 private:
  // shared_ptr: owned by the vault and by the order that is given when the machine dies.
  struct Served {
    std::unique_ptr<wire::Server> server;
  };
  void serve() {
    served_ = std::make_shared<Served>();
    machine_.run([&] {
      const env::Env env = machine_.env();
      served_->server =
          wire::Server::start({env.clock, env.log, env.threads}, must(env.network.listen(entry_.name + ":4100")),
                              transport_, host_->vault());
    });
    env::Clock& clock = machine_.env().clock;
    machine_.when_down([served = served_, &clock] {
      if (served->server != nullptr) served->server->stop(clock.monotonic());
    });
  }

  const policy::VaultEntry entry_;
  sim::Machine& machine_;
  wire::testing::PlainTransport transport_;
  std::unique_ptr<VaultHost> host_;
  std::shared_ptr<Served> served_ = std::make_shared<Served>();
};

class SimRealm {
 public:
  explicit SimRealm(std::uint64_t seed) : universe_(seed, options()) {
    for (std::size_t i = 0; i < 3; ++i) vaults_.push_back(std::make_unique<SimVault>(universe_, i));
    must(home().env().files.make_directories("/data/deep/er", 0755));
    must(home().env().files.make_directories("/etc", 0755));
    for (int i = 0; i < 6; ++i) write("/data/f" + std::to_string(i), noise(2000, static_cast<std::uint64_t>(i)));
    write("/data/deep/large", noise(300'000, 7));
    sync(home());
    universe_.run_for(std::chrono::seconds(1));  // what changed a moment ago would be read again
  }

  sim::Universe& universe() { return universe_; }
  sim::Machine& home() { return universe_.machine("home"); }
  sim::Machine& abroad() { return universe_.machine("abroad"); }
  SimVault& vault(std::size_t number) { return *vaults_.at(number); }

  static void sync(sim::Machine& machine) { must(must(machine.env().files.open_directory("/"))->sync_all()); }
  void write(const std::string& path, ByteView content) { write_file(home().env().files, path, content); }

  // A capture by an agent that starts anew, as it does after a crash. The power may fail in it.
  Result<engine::CaptureReport> capture(engine::Behind behind = engine::Behind::WaitForAll) {
    std::optional<Result<engine::CaptureReport>> result;
    home().run([&] {
      const auto doors = doors_from(home(), writer_transport_);
      Agent agent(home().env(), "/var/agent", sim_keys(), pointers_to(doors));
      engine::TreeCaptureOptions options;
      options.source = "/data";
      options.behind = behind;
      result.emplace(agent.capture(options));
    });
    return std::move(*result);
  }
  // Differences between /data and what the site restores of `snapshot`; or why it cannot.
  std::vector<std::string> differences_of(const format::ObjectName& snapshot) {
    const std::string target = "/restored" + std::to_string(++restores_);
    Status restored;
    on_site([&](Site& site) {
      auto report = site.restore(snapshot, target);
      if (!report.ok()) restored = report.take_error();
    });
    if (!restored.ok()) return {restored.error().message()};
    return TreeComparer().compare(home().env().files, "/data", abroad().env().files, target);
  }
  void on_site(const std::function<void(Site&)>& body) {
    abroad().run([&] {
      const auto doors = doors_from(abroad(), site_transport_);
      Site site(abroad().env(), sim_keys(), pointers_to(doors));
      body(site);
    });
  }
  std::vector<std::unique_ptr<store::VaultApi>> doors_from(sim::Machine& machine, wire::Transport& transport) {
    std::vector<std::unique_ptr<store::VaultApi>> doors;
    for (const auto& vault : vaults_) doors.push_back(vault->door(machine, transport));
    return doors;
  }
  static std::vector<store::VaultApi*> pointers_to(const std::vector<std::unique_ptr<store::VaultApi>>& doors) {
    std::vector<store::VaultApi*> all;
    for (const auto& door : doors) all.push_back(door.get());
    return all;
  }
  wire::Transport& site_transport() { return site_transport_; }

 private:
  static sim::Options options() {
    sim::Options options;
    options.network.pipe_bytes = 1 << 20;
    return options;
  }

  sim::Universe universe_;
  wire::testing::PlainTransport writer_transport_{sim_keys().writer().public_key()};
  wire::testing::PlainTransport site_transport_{sim_keys().site().public_key()};
  std::vector<std::unique_ptr<SimVault>> vaults_;
  int restores_ = 0;
};

}  // namespace exclave::realm_tests
