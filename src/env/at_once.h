// run_at_once: a few pieces of blocking work side by side, such as one question to each vault.
//
// I1  body(i) is called once for each i below `count`; all calls have ended when this returns.
// I2  Each has a thread of its own; those for which none can be started run in the caller's, one after the other.
// Threads: `body` is called from several at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/threads.h"

namespace exclave::env {

template <typename NameOf, typename Body>
void run_at_once(Threads& threads, std::size_t count, const NameOf& name_of, const Body& body) {
  std::vector<std::unique_ptr<Thread>> started;  // joined at the latest when it goes
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < count; ++i) {
    auto thread = threads.start(name_of(i), [&body, i] { body(i); });
    if (thread.ok()) {
      started.push_back(thread.take());
    } else {
      left.push_back(i);
    }
  }
  for (const std::size_t i : left) body(i);
  for (const auto& thread : started) thread->join();
}

}  // namespace exclave::env
