// Waker: ends another thread's wait for a connection, so that one thread can wait for a server and for news from elsewhere.
// Hides: an event descriptor that stands beside the connection's socket.
//
// Units/limits: one descriptor. A wake that comes before the wait ends the wait at once; several are one.
// Threads: wake from any; the rest by the thread that waits.
// Errors: create: Exhausted (no descriptors left).
#pragma once

#include "base/result.h"
#include "env/time.h"

namespace exclave::pg {

class Waker {
 public:
  static Result<Waker> create();
  Waker(Waker&& other) noexcept;
  Waker& operator=(Waker&&) = delete;
  ~Waker();

  void wake() const;
  // Waits for nothing else, until woken or for so long.
  void wait(std::chrono::nanoseconds longest) const;

  int descriptor() const { return descriptor_; }  // readable once woken
  void clear() const;                             // so that the next wait waits

 private:
  explicit Waker(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace exclave::pg
