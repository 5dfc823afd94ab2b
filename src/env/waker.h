// Waker: ends another thread's wait for a socket that somebody else's library owns, so that one thread can wait for a server
// and for news from elsewhere.
// Hides: an event descriptor, which stands beside that socket in a poll.
//
// Only the real world has one (Network::make_waker); code that runs in simulation waits at a Monitor.
//
// Units/limits: one descriptor. A wake that comes before the wait ends the wait at once; several are one.
// Threads: wake from any; the rest by the thread that waits.
#pragma once

#include <chrono>

namespace exclave::env {

class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
  // Waits for nothing else, until woken or for so long.
  virtual void wait(std::chrono::nanoseconds longest) = 0;

  virtual int descriptor() const = 0;  // readable once woken
  virtual void clear() = 0;            // so that the next wait waits
};

}  // namespace exclave::env
