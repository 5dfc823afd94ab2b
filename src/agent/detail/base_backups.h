// BaseBackups: the base backup that is being taken, and what became of the last ones.
// Hides: its thread: a base backup may take hours.
//
// I1  One at a time.
// Threads: any, but start() by one.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/agent.h"
#include "base/mutex.h"

namespace exclave::agent::detail {

class BaseBackups {
 public:
  BaseBackups() = default;
  ~BaseBackups();
  BaseBackups(const BaseBackups&) = delete;
  BaseBackups& operator=(const BaseBackups&) = delete;

  bool is_running();
  // Why the last one failed; empty if it did not.
  std::string trouble_of(const std::string& dataset);
  // Whether the last one failed; said once.
  bool take_failure(const std::string& dataset);
  // Precondition: none is running. What is given outlives it.
  void start(env::Env& env, const TakeBase& take, const DatabaseConfig& database);

 private:
  void run(env::Env& env, const TakeBase& take, const DatabaseConfig& database);

  std::unique_ptr<env::Thread> thread_;
  Mutex mutex_;
  bool running_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> troubles_ GUARDED_BY(mutex_);
  std::set<std::string> failed_ GUARDED_BY(mutex_);
};

}  // namespace exclave::agent::detail
