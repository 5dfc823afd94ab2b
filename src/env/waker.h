// Waker: ends another thread's wait for a socket that somebody else's library owns, so that one thread can wait for a server
// and for news from elsewhere: from other threads, and from connections of ours.
// Hides: an event descriptor and watched sockets behind one descriptor, which stands beside that socket in a poll.
//
//   thread --poll--> [ the library's socket | descriptor() ] <-- wake(), from any thread
//                                                            <-- a connection that is watched (Connection::wake_when_readable)
//
// Only the real world has one (Network::make_waker); code that runs in simulation waits at a Monitor.
//
// Units/limits: two descriptors. A wake that comes before the wait ends the wait at once; several are one.
// Threads: wake and watch from any; the rest by the thread that waits.
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
  // Is woken once when `socket` becomes readable, or is so already; forgotten when that is closed. For connections. One
  // that cannot be watched wakes nobody: who waits for it looks now and then all the same.
  virtual void watch(int socket) = 0;
};

}  // namespace exclave::env
