// Seeded numbers and the hash of a run: the two small pieces of arithmetic that everything in sim shares.
//
// Rng: SplitMix64 (Steele, Lea, Flood 2014); one 64-bit word of state, so a stream can be rewound by copying the word.
// fold: FNV-1a on 64-bit words with a final shift, because FNV alone moves information only upwards.
// Neither is fit for secrets. Threads: values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"

namespace exclave::sim::detail {

inline constexpr std::uint64_t kHashStart = 0xcbf29ce484222325ULL;

inline std::uint64_t fold(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x100000001b3ULL;
  return hash ^ (hash >> 29);
}

inline std::uint64_t fold(std::uint64_t hash, ByteView bytes) {
  hash = fold(hash, bytes.size());
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = fold(hash, word);
    bytes = bytes.subspan(8);
  }
  for (const Byte b : bytes) hash = fold(hash, b);
  return hash;
}

inline std::uint64_t hash_of(ByteView bytes) {
  return fold(kHashStart, bytes);
}

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  // A stream of its own for each purpose: a new draw in one does not shift the others.
  Rng(std::uint64_t seed, std::string_view purpose) : state_(fold(hash_of(as_bytes(purpose)), seed)) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0..bound-1. Precondition: bound >= 1.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool percent(std::uint64_t chance) { return below(100) < chance; }
  bool per_million(std::uint64_t chance) { return chance > 0 && below(1'000'000) < chance; }

  std::uint64_t position() const { return state_; }
  void set_position(std::uint64_t position) { state_ = position; }

 private:
  std::uint64_t state_;
};

}  // namespace exclave::sim::detail
