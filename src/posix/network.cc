#include "posix/network.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "base/check.h"
#include "base/text.h"
#include "posix/descriptor.h"
#include "posix/detail/errors.h"
#include "posix/detail/waker.h"
#include "posix/time.h"

namespace exclave::posix {
namespace {

constexpr auto kListenLookupTime = std::chrono::seconds(10);

Error deadline_passed(std::string_view action, std::string_view peer) {
  return Error(Code::Unavailable, "deadline passed while " + std::string(action) + " '" + printable(peer) + "'");
}

Error network_error(int error, std::string_view action, std::string_view address) {
  return system_error(error, Access::Write, action, address);
}

// Waits until `fd` is ready for `events`, failed, or the deadline passed. False: it passed.
Result<bool> wait_for(int fd, short events, env::Instant deadline, std::string_view peer) {
  pollfd waiting{fd, events, 0};
  while (true) {
    const timespec left = time_left(deadline);
    const int ready = ::ppoll(&waiting, 1, &left, nullptr);
    if (ready > 0) return true;
    if (ready == 0 && monotonic_now() >= deadline) return false;
    if (ready < 0 && errno != EINTR) return network_error(errno, "wait for", peer);
  }
}

class Connection : public env::Connection {
 public:
  Connection(Descriptor socket, std::string peer) : socket_(std::move(socket)), peer_(std::move(peer)) {
    const int on = 1;
    // Without it the connection works, only slower.
    static_cast<void>(::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  }

  Result<std::size_t> read_some(MutableByteView out, env::Instant deadline) override {
    CHECK(!out.empty());
    return transfer(POLLIN, deadline, "reading from",
                    [&] { return ::recv(socket_.get(), out.data(), out.size(), MSG_DONTWAIT); });
  }

  Result<std::size_t> write_some(ByteView data, env::Instant deadline) override {
    CHECK(!data.empty());
    return transfer(POLLOUT, deadline, "writing to",
                    [&] { return ::send(socket_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
  }

  bool is_readable() override {
    pollfd socket{socket_.get(), POLLIN, 0};
    return shut_down_ || ::poll(&socket, 1, 0) != 0;  // what cannot be asked is told by read_some
  }

  bool takes_at_once(std::size_t bytes) override {
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t size = sizeof memory;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) != 0) return false;
    // The kernel counts its own overhead for each packet, too: less than as much again.
    return memory[SK_MEMINFO_WMEM_QUEUED] + 2 * std::uint64_t{bytes} < memory[SK_MEMINFO_SNDBUF];
  }

  std::shared_ptr<const env::Watch> wake_when_readable(env::Waker& waker) override {
    return waker.watch(socket_.get());
  }

  void shutdown() override {
    shut_down_ = true;
    // Fails only if the peer is gone already, which wakes as well.
    static_cast<void>(::shutdown(socket_.get(), SHUT_RDWR));
  }

  std::string peer_address() const override { return peer_; }

 private:
  template <typename Call>
  Result<std::size_t> transfer(short events, env::Instant deadline, std::string_view action, Call&& call) {
    while (true) {
      if (shut_down_) return Error(Code::Unavailable, "connection with '" + printable(peer_) + "' was shut down");
      const auto n = uninterrupted(call);
      if (n > 0 || (n == 0 && !shut_down_)) return static_cast<std::size_t>(n);
      if (n == 0) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        return Error(Code::Unavailable, "connection lost while " + std::string(action) + " '" + printable(peer_) +
                                            "': " + ::strerrordesc_np(errno));
      }
      if (!TRY(wait_for(socket_.get(), events, deadline, peer_))) return deadline_passed(action, peer_);
    }
  }

  const Descriptor socket_;
  const std::string peer_;
  std::atomic<bool> shut_down_ = false;
};

class Listener : public env::Listener {
 public:
  Listener(Descriptor socket, Descriptor wake, std::string address)
      : socket_(std::move(socket)), wake_(std::move(wake)), address_(std::move(address)) {}

  Result<std::unique_ptr<env::Connection>> accept() override {
    std::array<pollfd, 2> waiting = {pollfd{socket_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
    while (true) {
      if (closed_) return Error(Code::Cancelled, "listener '" + address_ + "' was closed");
      SocketAddress peer;
      peer.length = sizeof peer.storage;
      Descriptor accepted(::accept4(socket_.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted.valid()) return std::make_unique<Connection>(std::move(accepted), peer.text());
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
          return network_error(errno, "wait for peers of", address_);
        }
      } else if (!closed_ && !is_about_one_peer(errno)) {
        return network_error(errno, "accept peers of", address_);
      }
    }
  }

  void close() override {
    closed_ = true;
    static_cast<void>(::eventfd_write(wake_.get(), 1));       // never read, so it takes 2^64 - 2 of them
    static_cast<void>(::shutdown(socket_.get(), SHUT_RDWR));  // on Linux: refuses newcomers from now on
  }

  std::string address() const override { return address_; }

 private:
  // accept() hands over errors of the connection that it would have returned (accept(2)): the next peer may be fine.
  static bool is_about_one_peer(int error) {
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT ||
           error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == ETIMEDOUT || error == EPERM;
  }

  const Descriptor socket_;
  const Descriptor wake_;
  const std::string address_;
  std::atomic<bool> closed_ = false;
};

Result<Descriptor> open_socket(const SocketAddress& address) {
  Descriptor socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return network_error(errno, "open a socket for", address.text());
  return socket;
}

// Where nobody listens on a port of the own machine that connect() may also pick as its source, TCP can meet itself.
bool is_connected_to_itself(int socket) {
  SocketAddress here;
  SocketAddress there;
  here.length = there.length = sizeof here.storage;
  return ::getsockname(socket, here.get(), &here.length) == 0 &&
         ::getpeername(socket, there.get(), &there.length) == 0 && here.text() == there.text();
}

Result<std::unique_ptr<env::Connection>> connect_to(const SocketAddress& address, env::Instant deadline) {
  const std::string peer = address.text();
  Descriptor socket = TRY(open_socket(address));
  const auto refused = [&](int error) {
    return Error(Code::Unavailable, "cannot connect to '" + peer + "': " + ::strerrordesc_np(error));
  };
  if (::connect(socket.get(), address.get(), address.length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return refused(errno);
    if (!TRY(wait_for(socket.get(), POLLOUT, deadline, peer))) return deadline_passed("connecting to", peer);
    int error = 0;
    socklen_t length = sizeof error;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return refused(errno);
    if (error != 0) return refused(error);
  }
  if (is_connected_to_itself(socket.get())) return refused(ECONNREFUSED);
  return std::make_unique<Connection>(std::move(socket), peer);
}

}  // namespace

Result<std::unique_ptr<env::Listener>> Network::listen(std::string_view address) {
  const HostPort where = TRY(parse_address(address));
  const auto addresses = TRY(resolver_.resolve(where, Purpose::Listen, monotonic_now() + kListenLookupTime));
  Descriptor socket = TRY(open_socket(addresses.front()));
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), addresses.front().get(), addresses.front().length) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    return network_error(errno, "listen on", address);
  }
  SocketAddress bound;
  bound.length = sizeof bound.storage;
  if (::getsockname(socket.get(), bound.get(), &bound.length) != 0) return network_error(errno, "listen on", address);
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return network_error(errno, "listen on", address);
  return std::make_unique<Listener>(std::move(socket), std::move(wake), bound.text());
}

Result<std::unique_ptr<env::Waker>> Network::make_waker() {
  return posix::make_waker();
}

Result<std::unique_ptr<env::Connection>> Network::connect(std::string_view address, env::Instant deadline) {
  const HostPort where = TRY(parse_address(address));
  if (where.port == 0) return Error(Code::InvalidInput, "cannot connect to port 0 of '" + printable(where.host) + "'");
  const auto addresses = TRY(resolver_.resolve(where, Purpose::Connect, deadline));
  Error last(Code::Unavailable, "no address of '" + printable(address) + "' was tried");
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // An address that does not answer takes its share of the time, not that of the others.
    const auto left = deadline - monotonic_now();
    const auto share = left / static_cast<std::int64_t>(addresses.size() - i);
    auto connection = connect_to(addresses[i], i + 1 == addresses.size() ? deadline : monotonic_now() + share);
    if (connection.ok()) return connection;
    last = connection.take_error();
  }
  return last;
}

}  // namespace exclave::posix
