// Key text: the grammar of format/signed_text.h, without signatures, for files that hold secrets.
// Hides: that neither writing nor reading ever copies a value into memory which is not wiped (TextReader and TextWriter
// work on std::string).
//
// I1  Values are views into the reader's own buffer, which is wiped when the reader goes.
// I2  Errors name the source and the line, never a value.
// Threads: values. Errors: InvalidInput, Unsupported (another version of a known domain).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "crypto/secret.h"
#include "format/signed_text.h"

namespace exclave::custody::detail {

constexpr std::size_t kMostKeyFileBytes = 16384;

class KeyTextWriter {
 public:
  explicit KeyTextWriter(std::string_view domain);
  // Precondition: what is written fits kMostKeyFileBytes.
  KeyTextWriter& field(std::string_view key, std::string_view value);
  KeyTextWriter& field(std::string_view key, std::uint64_t value);
  KeyTextWriter& secret_field(std::string_view key, ByteView secret);  // as lower-case hexadecimal
  // "period P S_p X_p"
  KeyTextWriter& period_field(std::uint32_t period, ByteView symmetric, ByteView encapsulation);
  ByteView view() const { return buffer_.view().first(size_); }

 private:
  void add(std::string_view text);
  void add_hex(ByteView bytes);
  crypto::SecretBytes buffer_;
  std::size_t size_ = 0;
};

class KeyTextReader {
 public:
  static Result<KeyTextReader> open(crypto::SecretBytes document, std::string_view domain, std::string source);

  // The value of the next line, which must have this key. Good as long as the reader is.
  Result<std::string_view> field(std::string_view key);
  Result<std::uint32_t> u32(std::string_view key);
  Result<std::int64_t> seconds(std::string_view key);
  template <std::size_t N>
  Result<crypto::Secret<N>> secret(std::string_view key) {
    return secret_of<N>(TRY(field(key)));
  }
  template <std::size_t N>
  Result<crypto::Secret<N>> secret_of(std::string_view hex) const {
    crypto::Secret<N> secret;
    const Status decoded = from_hex_into(hex, secret.mutable_view());
    if (!decoded.ok()) return bad("holds no key of " + std::to_string(N) + " bytes in hexadecimal");
    return secret;
  }
  template <typename AnyId>
  Result<AnyId> id(std::string_view key) {
    return id_of<AnyId>(TRY(field(key)));
  }
  template <typename AnyId>
  Result<AnyId> id_of(std::string_view hex) const {
    auto id = AnyId::from_hex(hex);
    if (!id.ok()) return bad(id.error().message());
    return id;
  }
  bool next_is(std::string_view key) const;
  Status end() const;
  Error bad(std::string_view why) const;  // at the line read last

 private:
  crypto::SecretBytes document_;
  std::string source_;
  std::vector<format::ScannedText::Field> fields_;  // into document_, whose bytes stay where they are when it is moved
  std::size_t next_ = 0;
};

}  // namespace exclave::custody::detail
