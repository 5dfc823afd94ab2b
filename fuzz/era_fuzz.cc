// Era document: rejected or read.
#include "policy/era.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto era = exclave::policy::SignedEra::parse(input, "input");
  exclave::ignore(era, "only that it returns matters");
  return 0;
}
