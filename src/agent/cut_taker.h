// CutTaker: takes the cuts of one group, again and again, or once when asked.
// Hides: who the members are and how they are reached.
//
//   coordinator   takes one every `every`
//   substitute    takes none as long as one of another coordinator was kept in a database of its own within kMissed times
//                 `every`; then it does what the coordinator did, until that is back
//
// A cut is asked for by a file: HOME/state/cut-now-GROUP (made by `exclave cut`); the answer is HOME/state/cut-GROUP.json,
// which holds the last cut that was taken, and why the last attempt failed if it did.
// I1  Two that take cuts of one group at once void each other's attempts (cut_gate.h), and no cut that comes of it is wrong:
//     so a substitute that cannot see its coordinator does harm to nobody.
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
// Paths of the first kind that are there, whatever the group.
Result<std::vector<std::string>> cut_status_files(env::FileSystem& files, std::string_view home);

// So many intervals without a cut, and the coordinator is taken to be away.
inline constexpr int kMissed = 3;

class CutTaker {
 public:
  static Result<std::unique_ptr<CutTaker>> create(const CutPlace& place, const GroupConfig& group,
                                                  const FindStream& find);
  void run(const std::stop_token& stop);

 private:
  CutTaker(const CutPlace& place, const GroupConfig& group) : place_(place), group_(group) {}
  void take();
  bool is_asked_for();
  // Whether it is ours to take cuts now; a substitute looks at what others have taken.
  bool is_on_duty();
  void tell() const;

  const CutPlace place_;
  const GroupConfig group_;
  std::vector<std::unique_ptr<CutMember>> members_;
  std::vector<const DatabaseStream*> own_;  // members in this process
  env::Instant seen_;                       // when another's cut was kept here last, or it began to look
  std::optional<format::CutId> own_cut_;    // the last one that it took itself
  bool is_standing_in_ = false;             // a substitute that takes the cuts
  std::uint64_t taken_ = 0;
  std::uint64_t void_ = 0;
  std::optional<TakenCut> last_;
  std::string last_trouble_;
};

}  // namespace exclave::agent
