#include "posix/detail/waker.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <map>

#include "base/mutex.h"
#include "posix/descriptor.h"

namespace exclave::posix {
namespace {

// Watched sockets that are readable at the same time: what does not fit wakes again.
constexpr std::size_t kMostEvents = 16;

class EventWaker final : public env::Waker {
 public:
  EventWaker(Descriptor event, Descriptor all) : event_(std::move(event)), all_(std::move(all)) {}

  // It fails only when the counter is full, and then it is readable.
  void wake() override { static_cast<void>(::eventfd_write(event_.get(), 1)); }
  void wait(std::chrono::nanoseconds longest) override {
    pollfd event{all_.get(), POLLIN, 0};
    const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(longest).count();
    static_cast<void>(::poll(&event, 1, static_cast<int>(milliseconds)));
    clear();
  }
  int descriptor() const override { return all_.get(); }
  void clear() override {
    if (!note_ready()) return;
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(event_.get(), &count));
  }
  void look() override { static_cast<void>(note_ready()); }
  std::shared_ptr<const env::Watch> watch(int socket) override {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    event.data.fd = socket;
    auto watch = std::make_shared<env::Watch>();
    const MutexLock lock(mutex_);  // or it would be told of before it is known
    if (::epoll_ctl(all_.get(), EPOLL_CTL_MOD, socket, &event) != 0 &&
        (errno != ENOENT || ::epoll_ctl(all_.get(), EPOLL_CTL_ADD, socket, &event) != 0)) {
      return nullptr;
    }
    watched_[socket] = watch;
    return watch;
  }

 private:
  // Sockets that are told of here are watched no more. Whether there was a wake, too; it stays.
  bool note_ready() {
    std::array<epoll_event, kMostEvents> events{};
    const int ready = ::epoll_wait(all_.get(), events.data(), static_cast<int>(events.size()), 0);
    bool is_woken = false;
    const MutexLock lock(mutex_);
    for (int i = 0; i < ready; ++i) {
      const int descriptor = events[static_cast<std::size_t>(i)].data.fd;
      is_woken = is_woken || descriptor == event_.get();
      const auto found = watched_.find(descriptor);
      if (found != watched_.end()) found->second->note();
    }
    return is_woken;
  }

  const Descriptor event_;
  const Descriptor all_;  // an epoll over the event and the watched sockets
  Mutex mutex_;
  std::map<int, std::shared_ptr<env::Watch>> watched_ GUARDED_BY(mutex_);  // newest of each number
};

}  // namespace

Result<std::unique_ptr<env::Waker>> make_waker() {
  Descriptor event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  Descriptor all(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event watched{};
  watched.events = EPOLLIN;
  watched.data.fd = event.get();
  if (!event.valid() || !all.valid() || ::epoll_ctl(all.get(), EPOLL_CTL_ADD, event.get(), &watched) != 0) {
    return Error(Code::Exhausted, "no descriptor is left for an event");
  }
  return std::unique_ptr<env::Waker>(std::make_unique<EventWaker>(std::move(event), std::move(all)));
}

}  // namespace exclave::posix
