// Checked arithmetic for sizes that come from outside.
#pragma once

#include <concepts>
#include <limits>

#include "base/result.h"

namespace exclave {

template <std::unsigned_integral T>
Result<T> checked_add(T a, T b) {
  T sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return Error(Code::InvalidInput, "size overflows");
  return sum;
}

template <std::unsigned_integral T>
Result<T> checked_multiply(T a, T b) {
  T product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return Error(Code::InvalidInput, "size overflows");
  return product;
}

}  // namespace exclave
