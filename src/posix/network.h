// Network on the real system: non-blocking TCP sockets, and poll to absolute deadlines.
// Hides: sockets, EAGAIN, SIGPIPE, and how a blocked accept is woken.
//
//   read_some:  recv  --nothing there-->  poll until deadline  -->  recv ...
//
// I1  Data that are there are returned even when the deadline passed.
// I2  Nagle's delay is off: callers write whole messages.
// I3  After Listener::close() no peer can connect any more, before the object is dropped.
// Threads: env/network.h.
// Errors: env/network.h; Denied (a port below 1024).
#pragma once

#include <memory>
#include <string_view>

#include "env/network.h"
#include "posix/address.h"

namespace exclave::posix {

class Network : public env::Network {
 public:
  Result<std::unique_ptr<env::Listener>> listen(std::string_view address) override;
  Result<std::unique_ptr<env::Connection>> connect(std::string_view address, env::Instant deadline) override;
  Result<std::unique_ptr<env::Waker>> make_waker() override;

 private:
  Resolver resolver_;
};

}  // namespace exclave::posix
