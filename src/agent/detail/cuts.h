// Cuts: everything about cuts in one agent: the takers of its groups, and the door for coordinators of other registries.
//
// Threads: start() and stop() by one; "cuts-GROUP" for each group, and wire::Server's.
// Errors: InvalidInput (a coordinator that the policy does not know, an address), Exhausted (threads).
#pragma once

#include <memory>
#include <vector>

#include "agent/agent.h"
#include "agent/cut_service.h"
#include "agent/cut_taker.h"
#include "agent/detail/running.h"
#include "wire/server.h"

namespace exclave::agent::detail {

class Cuts {
 public:
  // All outlive it.
  Cuts(const AgentPlace& place, const AgentConfig& config, std::vector<Running>& databases);

  Status start(const std::stop_token& stop);
  // After the stop was requested: the streams live until this returns.
  void stop();

 private:
  void forget_other_groups() const;

  const AgentPlace& place_;
  const AgentConfig& config_;
  const FindStream find_;
  std::vector<std::unique_ptr<CutTaker>> takers_;
  std::vector<std::unique_ptr<env::Thread>> threads_;
  std::unique_ptr<CutService> service_;
  std::unique_ptr<wire::Server> server_;
};

}  // namespace exclave::agent::detail
