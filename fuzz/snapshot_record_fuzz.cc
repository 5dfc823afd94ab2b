// Snapshot record: rejected, or it encodes to the same bytes.
#include "base/check.h"
#include "format/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto snapshot = exclave::format::decode_snapshot(input);
  if (snapshot.ok()) CHECK(exclave::equal(exclave::format::encode_snapshot(snapshot.value()), input));
  return 0;
}
