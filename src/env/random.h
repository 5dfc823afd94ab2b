// Random: unpredictable bytes. posix asks the kernel; sim draws from the run's seed.
#pragma once

#include "base/bytes.h"

namespace exclave::env {

class Random {
 public:
  virtual ~Random() = default;
  // Fills all of `out`. Errors: Unavailable (the caller must not go on without).
  virtual Status fill(MutableByteView out) = 0;
};

}  // namespace exclave::env
