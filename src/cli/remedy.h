// Remedy: the hint of an error that comes from below, where nobody knows what the user asked for.
// A hint that is there already stays: who gave it knew more.
//
// Threads: pure functions.
#pragma once

#include <string_view>

#include "base/result.h"

namespace exclave::cli {

Error with_remedy(Error error, std::string_view remedy);

template <typename T>
Result<T> with_remedy(Result<T> result, std::string_view remedy) {
  if (!result.ok()) return with_remedy(result.take_error(), remedy);
  return result;
}

}  // namespace exclave::cli
