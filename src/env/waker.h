// Waker: ends another thread's wait for a socket that somebody else's library owns, so that one thread can wait for a server
// and for news from elsewhere: from other threads, and from connections of ours.
// Hides: an event descriptor and watched sockets behind one descriptor, which stands beside that socket in a poll.
//
//   thread --poll--> [ the library's socket | descriptor() ] <-- wake(), from any thread
//                                                            <-- a connection that is watched (Connection::wake_when_readable)
//                                     look(), clear() --> Watch::has_come: which of the connections it was
//
// Only the real world has one (Network::make_waker); code that runs in simulation waits at a Monitor.
//
// Units/limits: two descriptors. A wake that comes before the wait ends the wait at once; several are one.
// Threads: wake, watch and look from any; the rest by the thread that waits.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

namespace exclave::env {

// What a waker has told of one socket since it was watched: who waits for several need not ask the kernel of each.
// Threads: any.
class Watch {
 public:
  bool has_come() const { return has_come_.load(std::memory_order_acquire); }
  void note() { has_come_.store(true, std::memory_order_release); }

 private:
  std::atomic<bool> has_come_ = false;
};

class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
  // Waits for nothing else, until woken or for so long.
  virtual void wait(std::chrono::nanoseconds longest) = 0;

  virtual int descriptor() const = 0;  // readable once woken
  virtual void clear() = 0;            // so that the next wait waits; notes what has come
  // Notes in their watches which sockets have become readable. Those end no wait any more; a wake still does.
  virtual void look() = 0;
  // Is woken once when `socket` becomes readable, or is so already; forgotten when that is closed. For connections. Null: it
  // cannot be watched and wakes nobody; who waits for it looks now and then all the same.
  virtual std::shared_ptr<const Watch> watch(int socket) = 0;
};

}  // namespace exclave::env
