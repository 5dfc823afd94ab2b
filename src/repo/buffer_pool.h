// BufferPool: a fixed number of large buffers, lent out and taken back. Waiting for one is the pipeline's
// back-pressure.
//
// I1  At most `limit` buffers exist; acquire() blocks while all are lent. They are as large as was ever asked of them:
//     who needs little memory touches little.
// I2  A buffer goes back when its last owner drops it, in any thread; the pool outlives that by shared ownership.
// Threads: any.
#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "env/threads.h"

namespace exclave::repo {

class BufferPool {
 public:
  BufferPool(env::Threads& threads, std::size_t limit);
  // A buffer of at least `bytes`; contents are what the last user left. The borrower may make it larger.
  std::shared_ptr<Bytes> acquire(std::size_t bytes);

 private:
  struct Shared {
    std::unique_ptr<env::Monitor> monitor;
    std::size_t lent = 0;
    std::vector<std::unique_ptr<Bytes>> free;
  };
  // shared_ptr: owned by the pool and by the deleters of buffers that are out.
  std::shared_ptr<Shared> shared_;
  std::size_t limit_;
};

}  // namespace exclave::repo
