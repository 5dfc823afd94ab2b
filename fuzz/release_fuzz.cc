// Release request and approval: rejected, or their texts are those that were signed.
#include "base/check.h"
#include "custody/detail/approval.h"
#include "custody/release.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace exclave;  // a test program of one file
  const ByteView input(data, size);
  const auto release = custody::SignedRelease::parse(input, "input");
  if (release.ok()) CHECK(as_text(input).starts_with(release.value().request.text()));
  const auto parsed = custody::detail::Approval::parse(input, "input");
  if (!parsed.ok()) return 0;
  const custody::detail::Approval& approval = parsed.value();
  CHECK(as_text(input).starts_with(
      custody::detail::approval_text(approval.release, approval.official, approval.x, approval.shares)));
  return 0;
}
