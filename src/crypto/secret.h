// Secret<N> and SecretBytes: key material that is zeroed when it goes, and cannot be copied by accident,
// printed or compared.
// Hides: how memory is wiped (OPENSSL_cleanse) and compared (CRYPTO_memcmp).
//
// I1  Destroyed and moved-from secrets hold zeros.
// I2  No operator==, no hex(): the only way to the bytes is view(), easy to search for in review.
// Threads: values.
#pragma once

#include <array>
#include <span>

#include "base/bytes.h"

namespace exclave::crypto {

void wipe(MutableByteView bytes);
bool equal_in_constant_time(ByteView a, ByteView b);  // lengths are not secret

template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  Secret() = default;  // zeros
  // Precondition: bytes.size() == N. The source is the caller's to wipe.
  static Secret from_view(ByteView bytes) {
    CHECK(bytes.size() == N);
    Secret secret;
    std::copy(bytes.begin(), bytes.end(), secret.bytes_.begin());
    return secret;
  }
  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      wipe(other.bytes_);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(bytes_); }

  Secret clone() const { return from_view(bytes_); }  // explicit, so that copies can be found
  ByteView view() const { return bytes_; }
  MutableByteView mutable_view() { return bytes_; }

 private:
  std::array<Byte, N> bytes_{};
};

// Variable length, for plaintexts that hold keys. Same rules.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t size) : bytes_(size) {}
  explicit SecretBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) { other.bytes_.clear(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = std::move(other.bytes_);
      other.bytes_.clear();
    }
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(bytes_); }

  ByteView view() const { return bytes_; }
  MutableByteView mutable_view() { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  Bytes bytes_;
};

}  // namespace exclave::crypto
