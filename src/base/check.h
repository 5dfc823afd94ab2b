// CHECK(x): always on, aborts. For programmer errors only, never for input, disk or network bytes.
// DCHECK(x): for costly checks; off in release builds.
#pragma once

namespace exclave {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}  // namespace exclave

#define CHECK(expression)                                       \
  do {                                                          \
    if (!(expression)) [[unlikely]]                             \
      ::exclave::check_failed(#expression, __FILE__, __LINE__); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(expression) static_cast<void>(sizeof(!(expression)))  // named but not evaluated: no unused variables
#else
#define DCHECK(expression) CHECK(expression)
#endif
