#include "posix/descriptor.h"

#include <unistd.h>

namespace exclave::posix {

Descriptor::~Descriptor() {
  // No retry: Linux frees the descriptor even when close() is interrupted. Errors of data were sync's to report.
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace exclave::posix
