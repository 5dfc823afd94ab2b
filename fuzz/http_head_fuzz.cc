// Heads of requests and responses: refused, or within the grammar that http/message.h promises.
#include "base/bytes.h"
#include "base/check.h"
#include "http/detail/head_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kMaxBody = 1U << 20;
  const std::string_view input = exclave::as_text({data, size});
  const auto request = exclave::http::detail::parse_request_head(input, kMaxBody);
  if (const auto* head = std::get_if<exclave::http::RequestHead>(&request)) {
    CHECK(exclave::http::is_valid_target(head->target));
    CHECK(head->content_length <= kMaxBody);
  }
  for (const std::string_view method : {"GET", "HEAD"}) {
    const auto response = exclave::http::detail::parse_response_head(input, method, kMaxBody);
    if (response.ok()) CHECK(response.value().status >= 200 && response.value().status < 600);
  }
  return 0;
}
