// Result<T>: a value or an Error. Must be used; never a bool, null, -1 or "last error".
//
//   Result<Bytes> read(...);
//   const Bytes bytes = TRY(read(path));                                     passes an error up
//   TRY(sync(file).in([&] { return "pack " + name; }));                      adds the noun once per layer
//   ignore(remove(temporary), "a leftover is removed at the next start");    the only way to drop one
//
// I1  A moved-from Result is only destroyed or assigned.
// Threads: a value.
#pragma once

#include <concepts>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace exclave {

template <typename T>
class [[nodiscard]] Result {
 public:
  // Values and errors turn into a Result by themselves: `return value;`, `return Error(...)`.
  // NOLINTBEGIN(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <typename U>
  requires(std::convertible_to<U, T> && !std::same_as<std::remove_cvref_t<U>, T> &&
           !std::same_as<std::remove_cvref_t<U>, Error> && !std::same_as<std::remove_cvref_t<U>, Result>)
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  // NOLINTEND(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T take() {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  const Error& error() const& {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error take_error() {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

  // Adds context to an error; `noun` is called only for one.
  template <std::invocable F>
  Result in(F&& noun) && {
    if (!ok()) return take_error().in(std::forward<F>(noun)());
    return std::move(*this);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }
  void take() { CHECK(ok()); }
  const Error& error() const& {
    CHECK(!ok());
    return *error_;
  }
  Error take_error() {
    CHECK(!ok());
    return std::move(*error_);
  }
  template <std::invocable F>
  Result in(F&& noun) && {
    if (!ok()) return take_error().in(std::forward<F>(noun)());
    return std::move(*this);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// The one way to drop a result: say why.
template <typename T>
void ignore(const Result<T>& result, std::string_view reason) {
  static_cast<void>(result);
  static_cast<void>(reason);
}

}  // namespace exclave

// Evaluates to the value, or returns the error from the enclosing function. Each use has a name of its own, because a
// TRY may stand in a lambda that is an argument of another. Not behind another member in braces, as in {path, TRY(read())}:
// GCC 12 does not destroy the members that are there already when it returns; nor among the arguments of new, where a
// compiler may have allocated already (tools/check_layers.py refuses both).
#define TRY(...) EXCLAVE_TRY_NAMED(__COUNTER__, __VA_ARGS__)
#define EXCLAVE_TRY_NAMED(number, ...) EXCLAVE_TRY_WITH(number, __VA_ARGS__)
#define EXCLAVE_TRY_WITH(number, ...)           \
  __extension__({                               \
    auto try_result_##number = (__VA_ARGS__);   \
    if (!try_result_##number.ok()) [[unlikely]] \
      return try_result_##number.take_error();  \
    try_result_##number.take();                 \
  })
