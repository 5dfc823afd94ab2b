#include "base/bytes.h"

#include <array>

namespace exclave {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& v : values) v = -1;
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<Byte>(kBase64Digits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = make_base64_values();

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string text(bytes.size() * 2, '0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    text[2 * i] = kHexDigits[bytes[i] >> 4];
    text[2 * i + 1] = kHexDigits[bytes[i] & 15];
  }
  return text;
}

Status from_hex_into(std::string_view text, MutableByteView out) {
  if (text.size() != out.size() * 2) {
    return Error(Code::InvalidInput, "hexadecimal value has " + std::to_string(text.size()) + " digits instead of " +
                                         std::to_string(out.size() * 2));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return Error(Code::InvalidInput, "value is not lower-case hexadecimal");
    out[i] = static_cast<Byte>(high * 16 + low);
  }
  return {};
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return Error(Code::InvalidInput, "hexadecimal value has an odd number of digits");
  Bytes out(text.size() / 2);
  TRY(from_hex_into(text, out));
  return out;
}

std::string to_base64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = (group << 8) | (j < n ? bytes[i + j] : 0U);
    text += kBase64Digits[(group >> 18) & 63];
    text += kBase64Digits[(group >> 12) & 63];
    text += n > 1 ? kBase64Digits[(group >> 6) & 63] : '=';
    text += n > 2 ? kBase64Digits[group & 63] : '=';
  }
  return text;
}

Result<Bytes> from_base64(std::string_view text) {
  const Error bad(Code::InvalidInput, "value is not canonical base64");
  if (text.size() % 4 != 0) return bad;
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    std::size_t padding = 0;
    if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const int v = j >= 4 - padding ? 0 : kBase64Values[static_cast<Byte>(text[i + j])];
      if (v < 0) return bad;
      group = (group << 6) | static_cast<std::uint32_t>(v);
    }
    if (padding == 2 && (group & 0xffff) != 0) return bad;
    if (padding == 1 && (group & 0xff) != 0) return bad;
    out.push_back(static_cast<Byte>(group >> 16));
    if (padding < 2) out.push_back(static_cast<Byte>(group >> 8));
    if (padding < 1) out.push_back(static_cast<Byte>(group));
  }
  return out;
}

}  // namespace exclave
