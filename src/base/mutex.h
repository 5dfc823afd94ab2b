// Mutex with thread-safety annotations (checked by clang). Guarded fields stand directly under it.
//
// Rule: no callback and no env call while a Mutex is held, so that a simulated thread is never parked holding one.
// To wait for something, use env::Monitor; this mutex only protects short critical sections.
#pragma once

#include <mutex>

#if defined(__clang__)
#define EXCLAVE_ANNOTATION(x) __attribute__((x))
#else
#define EXCLAVE_ANNOTATION(x)
#endif
#define GUARDED_BY(x) EXCLAVE_ANNOTATION(guarded_by(x))
#define REQUIRES(...) EXCLAVE_ANNOTATION(requires_capability(__VA_ARGS__))

namespace exclave {

class EXCLAVE_ANNOTATION(capability("mutex")) Mutex {
 public:
  void lock() EXCLAVE_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void unlock() EXCLAVE_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class EXCLAVE_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) EXCLAVE_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() EXCLAVE_ANNOTATION(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace exclave
