// Values inside texts: numbers, hexadecimal, base64, times, addresses. Refused, or written back byte for byte: each
// value has one spelling.
#include "base/bytes.h"
#include "base/check.h"
#include "base/text.h"
#include "env/time.h"
#include "posix/address.h"

namespace {

// The slow twin of reading what printable wrote.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text.substr(i, 2) == "\\\\") {
      out += text[++i];
    } else {
      const auto byte = exclave::from_hex(text.substr(i + 2, 2));
      CHECK(text.substr(i, 2) == "\\x" && byte.ok());
      out += static_cast<char>(byte.value()[0]);
      i += 3;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  const std::string_view text = as_text({data, size});
  const auto natural = parse_u64(text);
  if (natural.ok()) CHECK(std::to_string(natural.value()) == text);
  const auto small = parse_u32(text);
  if (small.ok()) CHECK(std::to_string(small.value()) == text);
  const auto whole = parse_i64(text);
  if (whole.ok()) CHECK(std::to_string(whole.value()) == text);
  const auto hex = from_hex(text);
  if (hex.ok()) CHECK(to_hex(hex.value()) == text);
  const auto base64 = from_base64(text);
  if (base64.ok()) CHECK(to_base64(base64.value()) == text);
  const auto time = env::parse_rfc3339(text);
  if (time.ok()) CHECK(env::to_rfc3339(time.value()) == text);
  const auto address = posix::parse_address(text);
  if (address.ok()) {
    const std::string port = ":" + std::to_string(address.value().port);
    CHECK(text == address.value().host + port || text == "[" + address.value().host + "]" + port);
  }
  CHECK(is_clean_utf8(printable(text)));
  CHECK(unescaped(printable(text)) == text);
  return 0;
}
