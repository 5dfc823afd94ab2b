// Json: a value to be printed, or read back by tests and tools. What `--json` prints.
// Hides: the JSON library.
//
//   Json report = Json::object();
//   report.set("snapshot", name).set("bytes", size).set("vaults", Json::array());
//   std::cout << report.dump() << "\n";
//
// Units/limits: numbers are 64-bit integers or doubles; parse_json takes 64 MiB of text and nesting to a depth of 64.
// I1  Objects keep the order in which keys were set; setting a key again replaces its value in place.
// I2  dump() is valid UTF-8 JSON on one line. A string that is not valid UTF-8 (file names can be anything) is printed
//     with \xNN for its bad bytes and control characters; it does not survive parse_json(dump()), all others do.
// I3  Doubles that JSON cannot say (NaN, infinity) are printed as null.
// Threads: a value. Errors: parse_json: InvalidInput; accessors of a wrong kind: CHECK.
// Not for signed texts: those have a grammar of their own.
// See: ADR-0013.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace exclave::config {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  // Implicit on purpose, so that set("bytes", 7) reads well. NOLINTBEGIN(google-explicit-constructor)
  template <std::same_as<bool> T>
  Json(T value) : value_(value) {}
  template <std::signed_integral T>
  Json(T value) : value_(integer(value)) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value) : value_(std::uint64_t{value}) {}
  Json(double value) : value_(value) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  // NOLINTEND(google-explicit-constructor)
  static Json object();
  static Json array();

  Json& set(std::string_view key, Json value);  // precondition: an object
  Json& push(Json value);                       // precondition: an array

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_u64() const { return std::holds_alternative<std::uint64_t>(value_); }

  // Preconditions: of that kind.
  const Object& members() const;
  const Array& elements() const;
  const std::string& string() const;
  bool boolean() const;
  std::uint64_t u64() const;  // a non-negative integer
  std::int64_t i64() const;   // an integer that fits
  double number() const;      // any number
  // The member `key` of an object, or null if there is none.
  const Json& operator[](std::string_view key) const;

  std::string dump() const;
  std::string dump_indented() const;  // two spaces per level, for people

  // Exact: 1 and 1.0 differ; order of members counts. Non-negative integers are equal whatever type they came from.
  friend bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

 private:
  friend struct JsonAdapter;
  using Value = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object>;
  // Negative integers only are kept as signed, so that each number has one representation.
  static Value integer(std::int64_t value) {
    if (value < 0) return value;
    return static_cast<std::uint64_t>(value);
  }

  Value value_;
};

Result<Json> parse_json(std::string_view text);

}  // namespace exclave::config
