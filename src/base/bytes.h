// Bytes: owned and viewed byte strings, hexadecimal, base64, and big-endian integers.
// Hides: nothing. Persistent integers are big-endian in every format of the project.
//
// Errors: decoders return InvalidInput that says what is wrong, never which secret it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace exclave {

using Byte = std::uint8_t;
using Bytes = std::vector<Byte>;
using ByteView = std::span<const Byte>;
using MutableByteView = std::span<Byte>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const Byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) {
  return {view.begin(), view.end()};
}
inline Bytes to_bytes(std::string_view text) {
  return to_bytes(as_bytes(text));
}

inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}
inline bool is_all_zero(ByteView bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}
inline void append(Bytes& target, ByteView source) {
  target.insert(target.end(), source.begin(), source.end());
}

// Lower-case hexadecimal; decoding accepts lower case only, so that each value has one spelling.
std::string to_hex(ByteView bytes);
Result<Bytes> from_hex(std::string_view text);
// Fills `out` exactly; InvalidInput if the text has another length.
Status from_hex_into(std::string_view text, MutableByteView out);

// RFC 4648 base64 with padding; decoding is strict (canonical padding bits, no white space).
std::string to_base64(ByteView bytes);
Result<Bytes> from_base64(std::string_view text);

inline void store_u16(MutableByteView at, std::uint16_t v) {
  at[0] = static_cast<Byte>(v >> 8);
  at[1] = static_cast<Byte>(v);
}
inline void store_u32(MutableByteView at, std::uint32_t v) {
  for (std::size_t i = 0; i < 4; ++i) at[i] = static_cast<Byte>(v >> (24 - 8 * i));
}
inline void store_u64(MutableByteView at, std::uint64_t v) {
  for (std::size_t i = 0; i < 8; ++i) at[i] = static_cast<Byte>(v >> (56 - 8 * i));
}
inline std::uint16_t load_u16(ByteView at) {
  return static_cast<std::uint16_t>((at[0] << 8) | at[1]);
}
inline std::uint32_t load_u32(ByteView at) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = (v << 8) | at[i];
  return v;
}
inline std::uint64_t load_u64(ByteView at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v = (v << 8) | at[i];
  return v;
}

}  // namespace exclave
