#include "posix/random.h"

#include <sys/random.h>

#include <cerrno>

#include "posix/descriptor.h"
#include "posix/detail/errors.h"

namespace exclave::posix {

Status Random::fill(MutableByteView out) {
  while (!out.empty()) {
    const auto n = uninterrupted([&] { return ::getrandom(out.data(), out.size(), 0); });
    if (n < 0) return Error(Code::Unavailable, "the kernel gives no random bytes");
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace exclave::posix
