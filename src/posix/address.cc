#include "posix/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/text.h"

namespace exclave::posix {
namespace {

constexpr std::size_t kLeftOpenLimit = 64;
constexpr std::size_t kAddressLimit = 16;  // of one name: more would only divide the time to connect

Error wrong_form(std::string_view address) {
  return Error(Code::InvalidInput, "'" + printable(address) + "' is not an address of the form host:port or [v6]:port");
}

std::vector<SocketAddress> collect(const addrinfo* found) {
  std::vector<SocketAddress> addresses;
  for (; found != nullptr && addresses.size() < kAddressLimit; found = found->ai_next) {
    if (found->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.length = found->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

struct Answer {
  int error = 0;  // of getaddrinfo
  std::vector<SocketAddress> addresses;
};

enum class Source { NumbersOnly, NameService };

Answer look_up(const HostPort& where, Purpose purpose, Source source) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (purpose == Purpose::Listen ? AI_PASSIVE : 0);
  if (source == Source::NumbersOnly) hints.ai_flags |= AI_NUMERICHOST;
  addrinfo* found = nullptr;
  Answer answer;
  answer.error = ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (answer.error != 0) return answer;
  answer.addresses = collect(found);
  ::freeaddrinfo(found);
  return answer;
}

}  // namespace

// One lookup on a thread of its own, which getaddrinfo may hold for as long as it likes.
class Resolver::Question {
 public:
  Question(HostPort where, Purpose purpose)
      : thread_([this, where = std::move(where), purpose] {
          ::pthread_setname_np(::pthread_self(), "name-lookup");
          answer(look_up(where, purpose, Source::NameService));
        }) {}

  // nullopt: the deadline passed first.
  std::optional<Answer> wait_until(env::Instant deadline) {
    const std::chrono::steady_clock::time_point at(
        std::chrono::nanoseconds(std::max<std::int64_t>(deadline.nanoseconds, 0)));
    std::unique_lock lock(mutex_);
    answered_.wait_until(lock, at, [&] { return answer_.has_value(); });
    return answer_;
  }
  bool is_open() {
    const std::lock_guard lock(mutex_);
    return !answer_.has_value();
  }

 private:
  void answer(Answer answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    answered_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<Answer> answer_;
  std::jthread thread_;  // last: starts when the rest is made, is joined before the rest goes
};

Result<HostPort> parse_address(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return wrong_form(address);
  std::string_view host = address.substr(0, colon);
  const auto port = parse_u32(address.substr(colon + 1));
  if (!port.ok() || port.value() > 65'535) return wrong_form(address);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool has_colon = host.find(':') != std::string_view::npos;
  if (host.empty() || host.size() > 255 || has_colon != bracketed || !is_clean_utf8(host) ||
      host.find_first_of("[]/ ") != std::string_view::npos) {
    return wrong_form(address);
  }
  return HostPort{std::string(host), static_cast<std::uint16_t>(port.value())};
}

std::string SocketAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &storage, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, host.data(), host.size());
    return std::string(host.data()) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &storage, sizeof v6);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, host.data(), host.size());
  return "[" + std::string(host.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

Resolver::Resolver() = default;
Resolver::~Resolver() = default;

Result<std::vector<SocketAddress>> Resolver::resolve(const HostPort& where, Purpose purpose, env::Instant deadline) {
  // Numbers need no name service, hence no waiting.
  const Answer numeric = look_up(where, purpose, Source::NumbersOnly);
  if (numeric.error == 0) return numeric.addresses;
  {
    const MutexLock lock(mutex_);
    left_open_.remove_if([](const auto& old) { return !old->is_open(); });
    if (left_open_.size() >= kLeftOpenLimit) return Error(Code::Exhausted, "too many unanswered name lookups");
  }
  std::unique_ptr<Question> question;
  try {
    question = std::make_unique<Question>(where, purpose);
  } catch (const std::system_error& error) {
    return Error(Code::Exhausted, "no thread to look up '" + printable(where.host) + "': " + error.code().message());
  }
  const auto answer = question->wait_until(deadline);
  if (!answer.has_value()) {
    const MutexLock lock(mutex_);
    left_open_.push_back(std::move(question));
    return Error(Code::Unavailable, "deadline passed while looking up '" + printable(where.host) + "'");
  }
  if (answer->error != 0) {
    return Error(Code::Unavailable, "cannot resolve '" + printable(where.host) + "': " + ::gai_strerror(answer->error));
  }
  if (answer->addresses.empty()) return Error(Code::Unavailable, "'" + printable(where.host) + "' has no address");
  return answer->addresses;
}

}  // namespace exclave::posix
