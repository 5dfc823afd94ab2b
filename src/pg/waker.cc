#include "pg/waker.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace exclave::pg {

Result<Waker> Waker::create() {
  const int descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) return Error(Code::Exhausted, "no descriptor is left for an event");
  return Waker(descriptor);
}

Waker::Waker(Waker&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Waker::~Waker() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Waker::wake() const {
  const std::uint64_t one = 1;
  // It fails only when it is full, and then it is readable.
  [[maybe_unused]] const auto written = ::write(descriptor_, &one, sizeof one);
}

void Waker::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(descriptor_, &count, sizeof count);  // fails if nobody woke
}

void Waker::wait(std::chrono::nanoseconds longest) const {
  pollfd event{descriptor_, POLLIN, 0};
  ::poll(&event, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(longest).count()));
  clear();
}

}  // namespace exclave::pg
