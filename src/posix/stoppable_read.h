// Stoppable read: reads from a descriptor that may stay silent for hours, and gives up when told to stop.
// Hides: that a signal which another thread waits for does not interrupt read(2).
//
// I1  After a stop nothing is read any more, also if bytes are there.
// Threads: one reader; the stop may come from any thread.
// Errors: Cancelled (told to stop), those of read(2).
#pragma once

#include <stop_token>
#include <string_view>

#include "base/bytes.h"
#include "posix/descriptor.h"

namespace exclave::posix {

class StoppableReader {
 public:
  // 0 at the end. `what` is named in errors.
  Result<std::size_t> read(int descriptor, MutableByteView out, const std::stop_token& stop, std::string_view what);

 private:
  Descriptor told_;  // an eventfd from the first read on
};

}  // namespace exclave::posix
