// Keeper: what an agent does beside its streams: clocks, the servers' settings, base backups that are due, old spools, a
// look for who else writes with its key, the status file.
//
// Threads: run() on the agent's, and never waits for a vault; run_clocks(), run_spools(), run_watch() on threads of their own: a
//   silent one takes its time.
// Errors: write_status: the disk's. All else is told in the log and in the status.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/detail/base_backups.h"
#include "agent/detail/running.h"
#include "agent/vault_clocks.h"
#include "agent/writer_watch.h"

namespace exclave::agent::detail {

class Keeper {
 public:
  // All outlive it.
  Keeper(const AgentPlace& place, std::vector<Running>& databases, VaultClocks& clocks, WriterWatch& watch,
         const TakeBase& take_base)
      : place_(place), databases_(databases), clocks_(clocks), watch_(watch), take_base_(take_base) {}

  // Until the stop.
  void run(const std::stop_token& stop);
  void run_clocks(const std::stop_token& stop);
  void run_spools(const std::stop_token& stop);
  void run_watch(const std::stop_token& stop);
  Status write_status();

 private:
  // `turn`: at first after `first`, then `every` after it has ended, until the stop.
  void repeat(const std::stop_token& stop, std::chrono::nanoseconds first, std::chrono::nanoseconds every,
              const std::function<void()>& turn);
  // What earlier journals left in their spools goes to the vaults that lack it, beside the one that is written
  // (left_spools.h).
  void recover_spools(Running& database);
  // Into the log, each trouble once.
  void note(const Status& done);
  // One at a time, on a thread of its own.
  void take_bases();

  const AgentPlace& place_;
  std::vector<Running>& databases_;
  VaultClocks& clocks_;
  WriterWatch& watch_;
  const TakeBase& take_base_;
  BaseBackups base_;
  Mutex mutex_;  // also of every Running::spool_troubles
  std::string last_trouble_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent::detail
