#include "http/detail/stream.h"

#include <algorithm>

namespace exclave::http::detail {

void Stream::consume(std::size_t bytes) {
  CHECK(bytes <= end_ - begin_);
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

Result<std::size_t> Stream::fill(env::Instant deadline) {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  CHECK(end_ < buffer_.size());
  const std::size_t got = TRY(connection_.read_some(MutableByteView(buffer_).subspan(end_), deadline));
  end_ += got;
  return got;
}

Result<std::size_t> Stream::read(MutableByteView out, env::Instant deadline) {
  if (begin_ == end_) return connection_.read_some(out, deadline);
  const std::size_t size = std::min(out.size(), end_ - begin_);
  std::memcpy(out.data(), buffer_.data() + begin_, size);
  consume(size);
  return size;
}

Status Stream::write(ByteView data, env::Instant deadline) {
  while (!data.empty()) {
    if (is_late(deadline)) return Error(Code::Unavailable, peer() + " takes our bytes too slowly");
    data = data.subspan(TRY(connection_.write_some(data, deadline)));
  }
  return {};
}

namespace {

constexpr std::string_view kEnd = "\r\n\r\n";

// True if `text` holds, from `begin` on, a byte that no head has: the answer need not wait for an end that may never
// come.
bool is_hopeless(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin; i < text.size(); ++i) {
    const bool ends_line = text[i] == '\n' && i > 0 && text[i - 1] == '\r';
    if ((text[i] < ' ' || text[i] > '~') && text[i] != '\r' && !ends_line) return true;
  }
  return false;
}

}  // namespace

bool has_head(const Stream& stream, std::size_t limit) {
  const std::string_view seen = stream.buffered();
  return seen.find(kEnd) != std::string_view::npos || seen.size() >= limit || is_hopeless(seen, 0);
}

Result<std::optional<std::size_t>> read_head_bytes(Stream& stream, std::size_t limit, env::Instant deadline) {
  std::size_t searched = 0;
  for (;;) {
    const std::string_view seen = stream.buffered();
    const std::size_t end = seen.find(kEnd, searched);
    if (end != std::string_view::npos && end + kEnd.size() <= limit) {
      return std::optional<std::size_t>(end + kEnd.size());
    }
    if (end != std::string_view::npos || seen.size() >= limit) return std::optional<std::size_t>();
    if (is_hopeless(seen, searched)) return std::optional<std::size_t>(seen.size());
    searched = seen.size() < kEnd.size() ? 0 : seen.size() - (kEnd.size() - 1);
    if (stream.is_late(deadline)) return Error(Code::Unavailable, stream.peer() + " sends its head too slowly");
    if (TRY(stream.fill(deadline)) == 0) return std::optional<std::size_t>(0);
  }
}

}  // namespace exclave::http::detail
