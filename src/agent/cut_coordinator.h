// CutCoordinator: takes one instant over the databases of a group: hold everywhere, release everywhere, keep everywhere.
// Hides: the order of the steps, and what voids a cut.
//
//   hold at all members, at once --> all answered? --no--> release those that hold: void
//        --yes--> release at all, at once --> all Held? --no--> void
//        --yes--> confirm at all, at once --> have commits waited everywhere, all the time? --no--> void
//        --yes--> the vector of positions is the cut --> keep it in every member's journal
//
// I1  A cut exists only if every member held from before the last hold was answered to after the first release was sent,
//     and said so. A missing answer voids the cut, never a registry: members let go by themselves (cut_gate.h).
// I2  Every position of a cut was reported to its server, so k vaults hold it.
// I3  A cut that not every member could keep in time is a cut all the same for those that find it: each record names all
//     members and positions.
// Threads: one; a thread per member inside, "cut-<member>".
// Errors: Unavailable, Precondition, Conflict (void: names the member and why).
// See: docs/protocols/cut.md, ADR-0027.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/cut_gate.h"
#include "env/env.h"

namespace exclave::agent {

// One database that takes part, here or at another agent.
class CutMember {
 public:
  virtual ~CutMember() = default;
  virtual const format::RegistryId& registry() const = 0;
  virtual const std::string& dataset() const = 0;
  virtual Result<HeldPosition> hold(const format::CutId& cut) = 0;
  virtual Result<HoldEnd> release(const format::CutId& cut) = 0;
  // That commits waited for the vaults all the time.
  virtual Status confirm(const format::CutId& cut) = 0;
  virtual Status keep(const format::Cut& cut) = 0;
};

struct TakenCut {
  format::Cut cut;
  std::chrono::nanoseconds held{};    // from the first hold to the last release
  std::vector<std::string> not_kept;  // "people: why" (I3)
};

Result<TakenCut> take_cut(env::Env& env, const std::string& group, const std::vector<CutMember*>& members);

}  // namespace exclave::agent
