#include "agent/detail/cuts.h"

#include <set>

#include "base/text.h"

namespace exclave::agent::detail {

using namespace std::chrono_literals;

Cuts::Cuts(const AgentPlace& place, const AgentConfig& config, std::vector<Running>& databases)
    : place_(place), config_(config), find_([&databases](std::string_view dataset) -> DatabaseStream* {
        for (Running& database : databases) {
          if (database.config->stream.dataset == dataset) return database.stream.get();
        }
        return nullptr;
      }) {}

Status Cuts::start(const std::stop_token& stop) {
  env::Env& env = place_.env;
  forget_other_groups();
  for (const GroupConfig& group : config_.groups) {
    takers_.push_back(
        TRY(CutTaker::create({env, place_.transport, place_.policy, place_.registry, place_.home}, group, find_)));
    CutTaker* const taker = takers_.back().get();
    threads_.push_back(TRY(env.threads.start("cuts-" + group.name, [taker, stop] { taker->run(stop); })));
  }
  if (config_.listen.empty()) return {};
  std::set<crypto::Ed25519PublicKey> coordinators;
  for (const std::string& name : config_.coordinators) {
    const policy::Registry* const registry = place_.policy.registry(name);
    if (registry == nullptr)
      return Error(Code::InvalidInput, "cuts.coordinators: the policy has no registry '" + printable(name) + "'");
    coordinators.insert(registry->writer);
  }
  service_ = std::make_unique<CutService>(env.clock, std::move(coordinators), find_);
  auto listener = TRY(env.network.listen(config_.listen).in([] { return "cuts"; }));
  server_ =
      TRY(wire::Server::start({env.clock, env.log, env.threads}, std::move(listener), place_.transport, *service_));
  return {};
}

// What is told of a group that agent.toml names no more would be taken for news.
void Cuts::forget_other_groups() const {
  std::set<std::string> told;
  for (const GroupConfig& group : config_.groups) told.insert(cut_status_path(place_.home, group.name));
  const auto paths = cut_status_files(place_.env.files, place_.home);
  if (!paths.ok()) return;
  for (const std::string& path : paths.value()) {
    if (told.contains(path)) continue;
    ignore(place_.env.files.remove_file(path), "it is told on, and removed by the next start");
  }
}

void Cuts::stop() {
  for (const auto& thread : threads_) thread->join();
  if (server_ != nullptr) server_->stop(place_.env.clock.monotonic() + 1s);
  server_.reset();
}

}  // namespace exclave::agent::detail
