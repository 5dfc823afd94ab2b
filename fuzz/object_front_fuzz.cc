// Clear front of an object: rejected, or its header encodes to the same bytes.
#include "base/check.h"
#include "format/object.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto front = exclave::format::decode_front(input);
  if (!front.ok()) return 0;
  const auto again = exclave::format::encode_header(front.value().header);
  CHECK(exclave::equal(again, input.first(exclave::format::kObjectHeaderBytes)));
  return 0;
}
