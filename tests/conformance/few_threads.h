// FewThreads: a world's threads, of which only so many can be started: what a limit of tasks does. For tests.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "env/threads.h"

namespace exclave::conformance {

class FewThreads final : public env::Threads {
 public:
  FewThreads(env::Threads& inner, int left) : inner_(inner), left_(left) {}

  void allow(int more) { left_ = more; }
  Result<std::unique_ptr<env::Thread>> start(std::string_view name, std::function<void()> body) override {
    if (left_.fetch_sub(1) > 0) return inner_.start(name, std::move(body));
    left_ = 0;
    return Error(Code::Exhausted, "thread '" + std::string(name) + "' cannot be started: no more of them");
  }
  std::unique_ptr<env::Monitor> make_monitor() override { return inner_.make_monitor(); }
  unsigned cores() const override { return inner_.cores(); }

 private:
  env::Threads& inner_;
  std::atomic<int> left_;
};

}  // namespace exclave::conformance
