// The real Waker: an eventfd, and sockets that are watched, behind an epoll descriptor.
#pragma once

#include <memory>

#include "base/result.h"
#include "env/waker.h"

namespace exclave::posix {

// Exhausted: no descriptor is left.
Result<std::unique_ptr<env::Waker>> make_waker();

}  // namespace exclave::posix
