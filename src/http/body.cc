#include "http/body.h"

#include <algorithm>

#include "http/detail/stream.h"

namespace exclave::http {
namespace {

constexpr std::uint64_t kFirstPiece = 64 * 1024;

}  // namespace

BodyReader::BodyReader(detail::Stream& stream, const Limits& limits, std::uint64_t length, Continue asked)
    : stream_(&stream), limits_(&limits), length_(length), remaining_(length), asked_(asked) {}

Error BodyReader::broken(std::string message) {
  broken_ = true;
  return {Code::Unavailable, stream_->peer() + ": " + std::move(message)};
}

Result<std::size_t> BodyReader::read(MutableByteView out) {
  CHECK(!out.empty());
  if (remaining_ == 0) return std::size_t{0};
  if (broken_) return broken("the body was cut short before");
  if (!deadline_.has_value()) deadline_ = stream_->clock().monotonic() + limits_->body_time(length_);
  if (asked_ == Continue::Asked) {
    asked_ = Continue::NotAsked;
    const Status invited = stream_->write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"), *deadline_);
    if (!invited.ok()) return broken(invited.error().message());
  }
  if (stream_->clock().monotonic() >= *deadline_) return broken("the body comes too slowly");
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), remaining_));
  const env::Instant silent_until = stream_->clock().monotonic() + limits_->body_silence;
  Result<std::size_t> got = stream_->read(out.first(wanted), std::min(*deadline_, silent_until));
  if (!got.ok()) {
    const env::Instant now = stream_->clock().monotonic();
    if (now >= *deadline_) return broken("the body comes too slowly");
    return broken(now >= silent_until ? "the body has stopped coming" : got.error().message());
  }
  if (got.value() == 0) return broken("the body ended " + std::to_string(remaining_) + " bytes early");
  remaining_ -= got.value();
  return got;
}

Status BodyReader::read_exactly(MutableByteView out) {
  CHECK(out.size() <= remaining_);
  while (!out.empty()) out = out.subspan(TRY(read(out)));
  return {};
}

Result<Bytes> BodyReader::read_all(std::uint64_t limit) {
  if (remaining_ > limit) {
    return Error(Code::Exhausted, "a body of " + std::to_string(remaining_) + " bytes, where at most " +
                                      std::to_string(limit) + " are taken");
  }
  // It grows with what has come: a length is quickly said.
  Bytes body(static_cast<std::size_t>(std::min(remaining_, kFirstPiece)));
  std::size_t filled = 0;
  while (remaining_ > 0) {
    if (filled == body.size())
      body.resize(filled + static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, filled)));
    filled += TRY(read(MutableByteView(body).subspan(filled)));
  }
  return body;
}

}  // namespace exclave::http
