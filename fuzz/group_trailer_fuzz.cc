// Group chunk: rejected, or its trailer encodes to the same bytes.
#include "base/check.h"
#include "format/pack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto lengths = exclave::format::read_group_lengths(input);
  if (!lengths.ok()) return 0;
  exclave::Bytes trailer;
  exclave::format::append_group_trailer(trailer, lengths.value());
  CHECK(exclave::equal(trailer, input.last(trailer.size())));
  return 0;
}
