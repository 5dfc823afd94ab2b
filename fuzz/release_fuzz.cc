// Release request and approval: rejected, or the request's text is the one that was signed.
#include "base/check.h"
#include "custody/detail/approval.h"
#include "custody/release.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const exclave::ByteView input(data, size);
  const auto release = exclave::custody::SignedRelease::parse(input, "input");
  if (release.ok()) CHECK(exclave::as_text(input).starts_with(release.value().request.text()));
  const auto approval = exclave::custody::detail::Approval::parse(input, "input");
  exclave::ignore(approval, "only that it returns matters");
  return 0;
}
