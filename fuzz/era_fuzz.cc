// Era document: rejected, or its text is the one that was signed.
#include "base/check.h"
#include "policy/era.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto era = exclave::policy::SignedEra::parse(input, "input");
  if (era.ok()) CHECK(exclave::as_text(input).starts_with(era.value().era.text()));
  return 0;
}
