// Which seeds a test of many runs: its own few, or what the environment says.
//
//   EXCLAVE_SIM_SEEDS=20000   so many instead
//   EXCLAVE_SIM_FIRST=20000   beginning with this one: a long campaign goes on where it was
//   EXCLAVE_SIM_SEED=17       only this one
#pragma once

#include <stdlib.h>

#include <cstdint>
#include <optional>

namespace exclave::conformance {

inline std::optional<std::uint64_t> number_from(const char* variable) {
  const char* const text = ::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}
inline std::optional<std::uint64_t> only_seed() {
  return number_from("EXCLAVE_SIM_SEED");
}

// Seeds first <= s < end.
struct Seeds {
  std::uint64_t first = 0;
  std::uint64_t end = 0;

  static Seeds chosen(std::uint64_t short_form) {
    const std::uint64_t first = number_from("EXCLAVE_SIM_FIRST").value_or(0);
    return {first, first + number_from("EXCLAVE_SIM_SEEDS").value_or(short_form)};
  }
};

}  // namespace exclave::conformance
