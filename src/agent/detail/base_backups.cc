#include "agent/detail/base_backups.h"

namespace exclave::agent::detail {

BaseBackups::~BaseBackups() {
  if (thread_ != nullptr) thread_->join();
}

bool BaseBackups::is_running() {
  const MutexLock lock(mutex_);
  return running_;
}

std::string BaseBackups::trouble_of(const std::string& dataset) {
  const MutexLock lock(mutex_);
  const auto found = troubles_.find(dataset);
  return found == troubles_.end() ? "" : found->second;
}

bool BaseBackups::take_failure(const std::string& dataset) {
  const MutexLock lock(mutex_);
  return failed_.erase(dataset) > 0;
}

void BaseBackups::start(env::Env& env, const TakeBase& take, const DatabaseConfig& database) {
  if (thread_ != nullptr) thread_->join();
  {
    const MutexLock lock(mutex_);
    running_ = true;
  }
  auto thread = env.threads.start("base-" + database.stream.dataset,
                                  [this, &env, &take, &database] { run(env, take, database); });
  if (thread.ok()) {
    thread_ = thread.take();
  } else {
    run(env, take, database);
  }
}

void BaseBackups::run(env::Env& env, const TakeBase& take, const DatabaseConfig& database) {
  const Status taken = take(database);
  const bool failed = !taken.ok() && taken.error().code() != Code::Cancelled;  // who was told to stop has not failed
  const std::string trouble =
      failed ? "the last base backup failed, and is tried again in a minute: " + taken.error().message() : "";
  if (failed) env.log.write(env::LogLevel::Error, "dataset " + database.stream.dataset + ": " + trouble);
  const MutexLock lock(mutex_);
  troubles_[database.stream.dataset] = trouble;
  if (!taken.ok()) failed_.insert(database.stream.dataset);
  running_ = false;
}

}  // namespace exclave::agent::detail
