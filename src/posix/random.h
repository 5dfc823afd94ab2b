// Random on the real system: getrandom(2), which waits once at boot until the kernel has entropy.
// Threads: any.
#pragma once

#include "env/random.h"

namespace exclave::posix {

class Random : public env::Random {
 public:
  Status fill(MutableByteView out) override;
};

}  // namespace exclave::posix
