// Policy: rejected, or it keeps its rules and its text is the one that was signed.
#include "base/check.h"
#include "policy/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto policy = exclave::policy::SignedPolicy::parse(input, "input");
  if (!policy.ok()) return 0;
  CHECK(exclave::policy::check_rules(policy.value().policy).ok());
  CHECK(exclave::as_text(input).starts_with(policy.value().policy.text()));
  return 0;
}
