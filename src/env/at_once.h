// at_once: the same for each of a few things, all at once: every vault is asked, and the slowest of them is waited for,
// not their sum. Hides: starting and joining a thread for each, and doing without one that cannot be started.
//
// Threads: the caller's, which waits; one per index inside, joined before the call returns.
// Preconditions: body may be called for different indices at the same time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "env/threads.h"

namespace exclave::env {

// body(0) .. body(count - 1). `name_of(index)` names its thread.
template <typename NameOf, typename Body>
void at_once(Threads& threads, std::size_t count, NameOf&& name_of, Body&& body) {
  std::vector<std::unique_ptr<Thread>> started;
  for (std::size_t i = 0; i < count; ++i) {
    auto thread = threads.start(name_of(i), [&body, i] { body(i); });
    if (thread.ok()) {
      started.push_back(thread.take());
    } else {
      body(i);
    }
  }
  for (const auto& thread : started) thread->join();
}

}  // namespace exclave::env
