// Addresses: from "host:port" to socket addresses and back, with a deadline on the name service.
// Hides: getaddrinfo, which alone among our calls cannot be told when to stop.
//
//   address := host ":" port | "[" ipv6 "]" ":" port          port: 0..65535, decimal, no leading zeros
//
// I1  resolve() keeps its deadline: every name is looked up by a thread of its own; one still at it then is kept, and
//     joined once the answer came. At most 64 are kept that way; then Exhausted.
// Threads: any.
// Errors: InvalidInput (form), Unavailable (unknown name, name service, deadline), Exhausted.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "env/time.h"

namespace exclave::posix {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

Result<HostPort> parse_address(std::string_view address);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  std::string text() const;  // "127.0.0.1:80", "[::1]:80"
};

enum class Purpose { Connect, Listen };

class Resolver {
 public:
  Resolver();
  ~Resolver();  // waits for lookups still open: as long as the name service takes to give up
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // At least one address, in the order in which to try them.
  Result<std::vector<SocketAddress>> resolve(const HostPort& where, Purpose purpose, env::Instant deadline);

 private:
  class Question;

  Mutex mutex_;
  std::list<std::unique_ptr<Question>> left_open_ GUARDED_BY(mutex_);
};

}  // namespace exclave::posix
