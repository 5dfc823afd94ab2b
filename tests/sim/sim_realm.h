// A realm of simulated machines: an agent, vaults behind HTTP, a site. Hides: how the parties find each other.
//
//   home: Agent --HttpVault--> lux | est | che ... <--HttpVault-- Site :abroad
//
// Threads: one test; captures and restores run as actors of their machines.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/realm/trees.h"
#include "tests/sim/one_core.h"
#include "tests/sim/sim_vault.h"

namespace exclave::realm_tests {

// Of every simulation with so many vaults in this process: the same documents, so that runs of one seed are the same.
inline constexpr std::uint32_t kSimEras = 3;
inline const RealmKeys& sim_keys(std::size_t vaults = 3) {
  static std::map<std::size_t, std::unique_ptr<RealmKeys>> made;  // tests of one process run one after the other
  auto& keys = made[vaults];
  if (keys == nullptr) {
    keys = std::make_unique<RealmKeys>(sim::Options().start.seconds(), RealmPlan{.vaults = vaults, .eras = kSimEras});
  }
  return *keys;
}

// Its disk works again, and no death awaits it.
inline void soothe(sim::Machine& machine) {
  constexpr std::uint64_t kNever = std::uint64_t{1} << 40;
  machine.clear_faults();
  machine.set_fault_rates({});
  machine.disk().set_capacity_bytes(kNever);
  if (machine.is_up()) machine.crash_at_call(kNever);
}

struct SimRealmPlan {
  std::size_t vaults = 3;  // with the quorums that policy::default_quorum gives: 2 of 3, 3 of 4, 5 of 7
  std::function<MakeDoor(std::size_t number)> doors = {};  // what stands at which vault's door
};

class SimRealm {
 public:
  explicit SimRealm(std::uint64_t seed, const SimRealmPlan& plan = {})
      : keys_(sim_keys(plan.vaults)), universe_(seed, options()) {
    for (std::size_t i = 0; i < plan.vaults; ++i) {
      vaults_.push_back(std::make_unique<SimVault>(universe_, keys_, i, plan.doors ? plan.doors(i) : MakeDoor()));
    }
    must(home().env().files.make_directories("/data/deep/er", 0755));
    must(home().env().files.make_directories("/etc", 0755));
    for (int i = 0; i < 6; ++i) write("/data/f" + std::to_string(i), noise(2000, static_cast<std::uint64_t>(i)));
    write("/data/deep/large", noise(300'000, 7));
    sync(home());
    universe_.run_for(std::chrono::seconds(4));  // what changed a moment ago would be read again
  }

  static constexpr const char* kAgentState = "/var/agent";
  static std::string agent_directory(format::EraNumber era) {
    return std::string(kAgentState) + "/era-" + std::to_string(era.value());
  }

  sim::Universe& universe() { return universe_; }
  sim::Machine& home() { return universe_.machine("home"); }
  sim::Machine& abroad() { return universe_.machine("abroad"); }
  SimVault& vault(std::size_t number) { return *vaults_.at(number); }
  std::size_t vault_count() const { return vaults_.size(); }
  const RealmKeys& keys() const { return keys_; }

  static void sync(sim::Machine& machine) { must(must(machine.env().files.open_directory("/"))->sync_all()); }
  void write(const std::string& path, ByteView content) { write_file(home().env().files, path, content); }

  // A capture by an agent that starts anew, as it does after a crash. The power may fail in it.
  Result<engine::CaptureReport> capture(engine::Behind behind = engine::Behind::WaitForAll,
                                        format::EraNumber era = format::EraNumber(1)) {
    std::optional<Result<engine::CaptureReport>> result;
    home().run([&] {
      const auto doors = doors_from(home(), writer_transport_);
      Agent agent(home().env(), agent_directory(era), keys_, pointers_to(doors), era);
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
      Site site(abroad().env(), keys_, pointers_to(doors));
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
  // A vault's ways to the others.
  std::vector<std::unique_ptr<store::VaultApi>> doors_of_vault(std::size_t number) {
    std::vector<std::unique_ptr<store::VaultApi>> doors;
    for (std::size_t i = 0; i < vaults_.size(); ++i) {
      if (i != number) doors.push_back(vault(i).door(vault(number).machine(), vault(number).transport()));
    }
    return doors;
  }
  wire::Transport& site_transport() { return site_transport_; }
  wire::Transport& writer_transport() { return writer_transport_; }

 private:
  static sim::Options options() {
    sim::Options options;
    options.network.pipe_bytes = 1 << 20;
    return options;
  }

  const RealmKeys& keys_;
  const OneCore one_core_;  // before the first actor
  sim::Universe universe_;
  wire::testing::PlainTransport writer_transport_{keys_.writer().public_key()};
  wire::testing::PlainTransport site_transport_{keys_.site().public_key()};
  std::vector<std::unique_ptr<SimVault>> vaults_;
  int restores_ = 0;
};

}  // namespace exclave::realm_tests
