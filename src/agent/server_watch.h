// ServerWatch: how a database's server is set up, looked at again and again while its log streams: settings change.
// Hides: the connection for a look, what synchronous_standby_names means, what a change means for cuts.
//
// I1  What the server had when it was seen to wait for us again, or with settings that it had loaded since the last look, may
//     be visible without having been acknowledged: no cut before that is past.
// Threads: any. A look blocks for kLookTime at most.
// Errors: look, confirm: those of pg/server_facts.h; confirm: also those of cut_gate.h.
#pragma once

#include <atomic>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cut_gate.h"
#include "base/mutex.h"
#include "pg/server_facts.h"

namespace exclave::agent {

inline constexpr std::chrono::seconds kLookTime(2);

// Whether a value of synchronous_standby_names names us alone, and one is waited for: then nobody else can release a commit.
// As the server compares names: without regard to case. "*" is anybody.
bool names_alone(std::string_view names, std::string_view own);

class ServerWatch {
 public:
  // `gate` outlives it.
  ServerWatch(env::Clock& clock, pg::Endpoint endpoint, std::string slot, CutGate& gate);

  // Over a connection of its own.
  Status look(const std::stop_token& stop);
  // For a cut, after a release that was Held: whether the settings are those from before the hold.
  Status confirm(const format::CutId& cut);
  // What somebody else has read.
  void note(const pg::ServerFacts& facts);

  // Whether synchronous_standby_names can be satisfied by us alone, on a server that is no standby and has no other receiver of
  // our name.
  bool is_waited_for() const { return is_waited_for_; }
  bool was_seen() const { return was_seen_; }  // since this began
  std::vector<std::string> cautions() const;

 private:
  Result<pg::ServerFacts> read(const std::stop_token& stop) const;

  env::Clock& clock_;
  const pg::Endpoint endpoint_;  // of a look
  const std::string own_name_;   // of the stream, as the server knows it
  const std::string slot_;
  CutGate& gate_;
  std::atomic<bool> is_waited_for_ = false;
  std::atomic<bool> was_seen_ = false;
  mutable Mutex mutex_;
  std::string settings_loaded_ GUARDED_BY(mutex_);
  std::vector<std::string> cautions_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent
