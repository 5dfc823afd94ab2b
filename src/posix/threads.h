// Threads and monitors on the real system: std::jthread, std::mutex, std::condition_variable.
// Hides: that names longer than 15 bytes are cut, and how many cores this process may use.
// Threads: any. Failing to start a thread throws std::system_error: nothing sensible runs without.
#pragma once

#include "env/threads.h"

namespace exclave::posix {

class Threads : public env::Threads {
 public:
  Result<std::unique_ptr<env::Thread>> start(std::string_view name, std::function<void()> body) override;
  std::unique_ptr<env::Monitor> make_monitor() override;
  unsigned cores() const override;
};

}  // namespace exclave::posix
