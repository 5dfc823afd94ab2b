#include "posix/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "base/check.h"
#include "base/text.h"
#include "posix/time.h"

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

}  // namespace

// What the C library reads and writes while it looks for an answer: must not move, and lives until it came.
struct Resolver::Question {
  Question(const HostPort& where, Purpose purpose) : host(where.host), port(std::to_string(where.port)) {
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | (purpose == Purpose::Listen ? AI_PASSIVE : AI_ADDRCONFIG);
    request.ar_name = host.c_str();
    request.ar_service = port.c_str();
    request.ar_request = &hints;
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  ~Question() {
    if (request.ar_result != nullptr) ::freeaddrinfo(request.ar_result);
  }
  bool is_open() { return ::gai_error(&request) == EAI_INPROGRESS; }

  const std::string host;
  const std::string port;
  addrinfo hints{};
  gaicb request{};
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

Resolver::~Resolver() {
  const MutexLock lock(mutex_);
  for (const auto& question : left_open_) {
    const std::array<const gaicb*, 1> request = {&question->request};
    while (question->is_open())
      static_cast<void>(::gai_suspend(request.data(), 1, nullptr));  // asked again until answered
  }
}

void Resolver::keep_until_answered(std::unique_ptr<Question> question) {
  const MutexLock lock(mutex_);
  left_open_.push_back(std::move(question));
}

Result<std::vector<SocketAddress>> Resolver::resolve(const HostPort& where, Purpose purpose, env::Instant deadline) {
  auto question = std::make_unique<Question>(where, purpose);
  // Numbers need no name service, hence no waiting.
  question->hints.ai_flags |= AI_NUMERICHOST;
  int error = ::getaddrinfo(question->request.ar_name, question->request.ar_service, &question->hints,
                            &question->request.ar_result);
  if (error == 0) return collect(question->request.ar_result);
  question->request.ar_result = nullptr;
  question->hints.ai_flags &= ~AI_NUMERICHOST;
  {
    const MutexLock lock(mutex_);
    left_open_.remove_if([](const auto& old) { return !old->is_open(); });
    if (left_open_.size() >= kLeftOpenLimit) return Error(Code::Exhausted, "too many unanswered name lookups");
  }
  gaicb* request = &question->request;
  const gaicb* const waiting = request;
  error = ::getaddrinfo_a(GAI_NOWAIT, &request, 1, nullptr);
  if (error != 0) return Error(Code::Exhausted, "cannot start the lookup of '" + printable(where.host) + "'");
  while (question->is_open()) {
    const timespec left = time_left(deadline);
    if (left.tv_sec == 0 && left.tv_nsec == 0) {
      if (::gai_cancel(request) == EAI_NOTCANCELED) keep_until_answered(std::move(question));
      return Error(Code::Unavailable, "deadline passed while looking up '" + printable(where.host) + "'");
    }
    static_cast<void>(::gai_suspend(&waiting, 1, &left));  // woken by answer, time or signal: the loop looks
  }
  error = ::gai_error(request);
  if (error != 0) {
    return Error(Code::Unavailable, "cannot resolve '" + printable(where.host) + "': " + ::gai_strerror(error));
  }
  auto addresses = collect(question->request.ar_result);
  if (addresses.empty()) return Error(Code::Unavailable, "'" + printable(where.host) + "' has no address");
  return addresses;
}

}  // namespace exclave::posix
