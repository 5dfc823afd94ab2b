#include "posix/detail/waker.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "posix/descriptor.h"

namespace exclave::posix {
namespace {

class EventWaker final : public env::Waker {
 public:
  explicit EventWaker(Descriptor event) : event_(std::move(event)) {}

  // It fails only when the counter is full, and then it is readable.
  void wake() override { static_cast<void>(::eventfd_write(event_.get(), 1)); }
  void wait(std::chrono::nanoseconds longest) override {
    pollfd event{event_.get(), POLLIN, 0};
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
    static_cast<void>(::poll(&event, 1, static_cast<int>(milliseconds)));
    clear();
  }
  int descriptor() const override { return event_.get(); }
  void clear() override {
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(event_.get(), &count));  // fails if nobody woke
  }

 private:
  const Descriptor event_;
};

}  // namespace

Result<std::unique_ptr<env::Waker>> make_waker() {
  Descriptor event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!event.valid()) return Error(Code::Exhausted, "no descriptor is left for an event");
  return std::unique_ptr<env::Waker>(std::make_unique<EventWaker>(std::move(event)));
}

}  // namespace exclave::posix
