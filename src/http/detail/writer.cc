#include "http/detail/writer.h"

#include <algorithm>
#include <array>

namespace exclave::http::detail {
namespace {

constexpr std::array<std::string_view, 5> kFramingHeaders = {"content-length", "transfer-encoding", "connection",
                                                             "host", "expect"};
constexpr std::size_t kMaxHeadBytes = 8 * 1024;

}  // namespace

void HeadWriter::add(std::string_view name, std::string_view value) {
  text_.append(name).append(": ").append(value).append("\r\n");
}

Status HeadWriter::add_all(const Headers& headers) {
  for (const Header& line : headers.lines()) {
    const bool is_framing = std::any_of(kFramingHeaders.begin(), kFramingHeaders.end(),
                                        [&](std::string_view name) { return equal_without_case(line.name, name); });
    if (is_framing || !is_valid_header(line)) return Error(Code::Bug, "a header that may not be sent: " + line.name);
    add(line.name, line.value);
  }
  if (text_.size() + 2 > kMaxHeadBytes) return Error(Code::Bug, "a head of more than 8 KiB");
  return {};
}

std::string HeadWriter::finish() && {
  text_ += "\r\n";
  return std::move(text_);
}

Status write_message(Stream& stream, std::string head, ByteView body, env::Instant deadline) {
  const std::size_t together = std::min(body.size(), kWriteBufferBytes - std::min(head.size(), kWriteBufferBytes));
  head.append(as_text(body.first(together)));
  TRY(stream.write(as_bytes(head), deadline));
  return stream.write(body.subspan(together), deadline);
}

}  // namespace exclave::http::detail
