// CutTaker: takes the cuts of one group, again and again, or once when asked.
// Hides: who the members are and how they are reached.
//
// A cut is asked for by a file: HOME/state/cut-now-GROUP (made by `exclave cut`); the answer is HOME/state/cut-GROUP.json,
// which holds the last cut that was taken, and why the last attempt failed if it did.
// Threads: run() on its own. Errors: of create: InvalidInput (a member's registry is not in the policy).
#pragma once

#include <stop_token>

#include "agent/agent_config.h"
#include "agent/cut_service.h"
#include "policy/policy.h"
#include "wire/transport.h"

namespace exclave::agent {

struct CutPlace {
  env::Env& env;
  wire::Transport& transport;
  const policy::Policy& policy;
  const policy::Registry& registry;
  std::string home;
};

// HOME/state/cut-GROUP.json and HOME/state/cut-now-GROUP
std::string cut_status_path(std::string_view home, std::string_view group);
std::string cut_request_path(std::string_view home, std::string_view group);

class CutTaker {
 public:
  static Result<std::unique_ptr<CutTaker>> create(const CutPlace& place, const GroupConfig& group,
                                                  const FindStream& find);
  void run(const std::stop_token& stop);

 private:
  CutTaker(const CutPlace& place, const GroupConfig& group) : place_(place), group_(group) {}
  void take();
  bool is_asked_for();

  const CutPlace place_;
  const GroupConfig group_;
  std::vector<std::unique_ptr<CutMember>> members_;
  std::uint64_t taken_ = 0;
  std::uint64_t void_ = 0;
  std::optional<TakenCut> last_;
  std::string last_trouble_;
};

}  // namespace exclave::agent
