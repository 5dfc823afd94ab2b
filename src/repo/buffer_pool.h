// BufferPool: a fixed number of large buffers, lent out and taken back. Waiting for one is the pipeline's
// back-pressure.
//
// I1  At most `limit` buffers exist; acquire() blocks while all are lent.
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
  BufferPool(env::Threads& threads, std::size_t limit, std::size_t bytes_each);
  // A buffer of `bytes_each`; contents are what the last user left.
  std::shared_ptr<Bytes> acquire();

 private:
  struct Shared {
    std::unique_ptr<env::Monitor> monitor;
    std::size_t lent = 0;
    std::vector<std::unique_ptr<Bytes>> free;
  };
  // shared_ptr: owned by the pool and by the deleters of buffers that are out.
  std::shared_ptr<Shared> shared_;
  std::size_t limit_;
  std::size_t bytes_each_;
};

}  // namespace exclave::repo
