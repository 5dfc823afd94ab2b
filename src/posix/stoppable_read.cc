#include "posix/stoppable_read.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

#include "posix/detail/errors.h"

namespace exclave::posix {

Result<std::size_t> StoppableReader::read(int descriptor, MutableByteView out, const std::stop_token& stop,
                                          std::string_view what) {
  if (!told_.valid()) told_ = Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!told_.valid()) return system_error(errno, Access::Read, "wait for", what);
  const std::stop_callback tell(stop, [&] {
    const std::uint64_t one = 1;
    // It cannot fail: the counter is far from its limit.
    static_cast<void>(uninterrupted([&] { return ::write(told_.get(), &one, sizeof one); }));
  });
  std::array<pollfd, 2> waiting = {pollfd{told_.get(), POLLIN, 0}, pollfd{descriptor, POLLIN, 0}};
  if (uninterrupted([&] { return ::poll(waiting.data(), waiting.size(), -1); }) < 0) {
    return system_error(errno, Access::Read, "wait for", what);
  }
  if (stop.stop_requested()) return Error(Code::Cancelled, "interrupted while reading " + std::string(what));
  const auto count = uninterrupted([&] { return ::read(descriptor, out.data(), out.size()); });
  if (count < 0) return system_error(errno, Access::Read, "read", what);
  return static_cast<std::size_t>(count);
}

}  // namespace exclave::posix
