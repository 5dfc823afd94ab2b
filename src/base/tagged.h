// Tagged<T, Tag>: a number or id that cannot be mistaken for another. Explicit in, explicit out.
//
//   using EraNumber = Tagged<std::uint32_t, struct EraNumberTag>;
//   EraNumber era(3);  era.value();                       no arithmetic, no comparison with other tags
//
// Id<N, Tag>: a fixed-size byte string (hash, identifier), printed as lower-case hexadecimal, hashable and ordered.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <functional>
#include <string>

#include "base/bytes.h"

namespace exclave {

template <typename T, typename Tag>
class Tagged {
 public:
  constexpr Tagged() = default;
  constexpr explicit Tagged(T value) : value_(value) {}
  constexpr T value() const { return value_; }
  friend constexpr auto operator<=>(const Tagged&, const Tagged&) = default;

 private:
  T value_{};
};

template <std::size_t N, typename Tag>
class Id {
 public:
  static constexpr std::size_t kSize = N;

  constexpr Id() = default;
  constexpr explicit Id(const std::array<Byte, N>& bytes) : bytes_(bytes) {}
  // Precondition: view.size() == N.
  static Id from_view(ByteView view) {
    CHECK(view.size() == N);
    Id id;
    std::copy(view.begin(), view.end(), id.bytes_.begin());
    return id;
  }
  static Result<Id> from_hex(std::string_view text) {
    Id id;
    TRY(from_hex_into(text, id.bytes_));
    return id;
  }

  ByteView view() const { return bytes_; }
  MutableByteView mutable_view() { return bytes_; }
  const std::array<Byte, N>& array() const { return bytes_; }
  std::string hex() const { return to_hex(bytes_); }
  bool is_zero() const {
    return std::all_of(bytes_.begin(), bytes_.end(), [](Byte b) { return b == 0; });
  }
  friend constexpr auto operator<=>(const Id&, const Id&) = default;

  // Ids are outputs of hashes or random: their first bytes are hash enough.
  struct Hash {
    std::size_t operator()(const Id& id) const {
      std::size_t h = 0;
      std::memcpy(&h, id.bytes_.data(), std::min(N, sizeof h));
      return h;
    }
  };

 private:
  std::array<Byte, N> bytes_{};
};

}  // namespace exclave

template <std::size_t N, typename Tag>
struct std::hash<exclave::Id<N, Tag>> : exclave::Id<N, Tag>::Hash {};
