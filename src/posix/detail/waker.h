// The real Waker: an eventfd.
#pragma once

#include <memory>

#include "base/result.h"
#include "env/waker.h"

namespace exclave::posix {

// Exhausted: no descriptor is left.
Result<std::unique_ptr<env::Waker>> make_waker();

}  // namespace exclave::posix
