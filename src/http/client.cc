#include "http/client.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "http/detail/head_parser.h"
#include "http/detail/status.h"
#include "http/detail/stream.h"
#include "http/detail/writer.h"

namespace exclave::http {
namespace {

// How long a server that stopped reading is listened to, for the reason it may have given.
constexpr std::chrono::seconds kLastWordTime{1};
constexpr int kMostFillsAtOnce = 4;  // of who listens: a peer that never ends holds nobody

bool is_upload(std::string_view method) {
  return method == "PUT" || method == "POST";
}

Status check_request(std::string_view method, std::string_view target, ByteView body, const Limits& limits) {
  constexpr std::array<std::string_view, 4> kMethods = {"GET", "HEAD", "PUT", "POST"};
  if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
    return Error(Code::InvalidInput, "method " + std::string(method));
  }
  if (!is_valid_target(target)) return Error(Code::InvalidInput, "target " + std::string(target));
  if (!is_upload(method) && !body.empty()) return Error(Code::InvalidInput, std::string(method) + " with a body");
  if (body.size() > limits.body_bytes) {
    return Error(Code::InvalidInput, "a body of " + std::to_string(body.size()) + " bytes");
  }
  return {};
}

}  // namespace

Client::Client(std::unique_ptr<env::Connection> connection, env::Clock& clock, const Limits& limits)
    : connection_(std::move(connection)),
      limits_(std::make_unique<Limits>(limits)),
      stream_(std::make_unique<detail::Stream>(*connection_, clock)) {
  CHECK(limits.head_bytes <= detail::kStreamBufferBytes);
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

bool Client::is_reusable() const {
  return usable_ && body_.is_done();
}
void Client::shutdown() {
  connection_->shutdown();
}

Error Client::lost(std::string_view method, const Error& cause) const {
  if (cause.code() != Code::Unavailable || !is_upload(method)) return cause;
  return {Code::OutcomeUnknown, cause.message()};
}

Result<ResponseHead> Client::read_answer(std::string_view method, env::Instant deadline) {
  const std::optional<std::size_t> size = TRY(detail::read_head_bytes(*stream_, limits_->head_bytes, deadline));
  if (!size.has_value()) return Error(Code::Corrupt, stream_->peer() + " sends a head without end");
  if (*size == 0) return Error(Code::Unavailable, stream_->peer() + " closed the connection without an answer");
  const std::string_view head = stream_->buffered().substr(0, *size);
  ResponseHead answer =
      TRY(detail::parse_response_head(head, method, limits_->body_bytes).in([&] { return stream_->peer(); }));
  stream_->consume(*size);
  body_ = BodyReader();
  if (method != "HEAD" && answer.content_length > 0) {
    body_ = BodyReader(*stream_, *limits_, answer.content_length, BodyReader::Continue::NotAsked);
  }
  return answer;
}

Result<ResponseHead> Client::request(std::string_view method, std::string_view target, const Headers& headers,
                                     ByteView body) {
  env::Clock& clock = stream_->clock();
  TRY(begin(method, target, headers, body, clock.monotonic() + limits_->body_time(body.size())));
  return finish(clock.monotonic() + limits_->answer);
}

Status Client::begin(std::string_view method, std::string_view target, const Headers& headers, ByteView body,
                     env::Instant deadline) {
  TRY(check_request(method, target, body, *limits_));
  detail::HeadWriter writer(std::string(method) + " " + std::string(target) + " HTTP/1.1");
  writer.add("Host", connection_->peer_address());
  if (is_upload(method)) writer.add("Content-Length", std::to_string(body.size()));
  TRY(writer.add_all(headers));
  if (!is_reusable()) return Error(Code::Unavailable, "the connection to " + stream_->peer() + " is used up");
  usable_ = false;  // until a whole answer was read
  if (!stream_->buffered().empty()) {
    return Error(Code::Corrupt, stream_->peer() + " sent bytes that nobody asked for");
  }
  method_ = method;
  sent_ = detail::write_message(*stream_, std::move(writer).finish(), body, deadline);
  return {};
}

Client::Heard Client::listen() {
  if (!sent_.ok()) return Heard::Whole;
  for (int fills = 0; !detail::has_head(*stream_, limits_->head_bytes); ++fills) {
    if (fills == kMostFillsAtOnce) return Heard::Part;
    if (!connection_->is_readable()) return stream_->buffered().empty() ? Heard::Nothing : Heard::Part;
    Result<std::size_t> got = stream_->fill(env::Instant{});
    // What was too little for a byte has left the socket; an error stays. The rest may have come in between.
    if (!got.ok() && connection_->is_readable()) got = stream_->fill(env::Instant{});
    if (!got.ok()) return connection_->is_readable() ? Heard::Whole : Heard::Part;
    if (got.value() == 0) return Heard::Whole;
  }
  return Heard::Whole;
}

Result<ResponseHead> Client::finish(env::Instant deadline) {
  if (!sent_.ok()) deadline = std::min(deadline, stream_->clock().monotonic() + kLastWordTime);
  Result<ResponseHead> answer = read_answer(method_, deadline);
  // A server that refuses a body stops reading it: its reason says more than our broken pipe.
  if (!sent_.ok() && (!answer.ok() || answer.value().is_success())) return lost(method_, sent_.error());
  if (!answer.ok()) return lost(method_, answer.error());
  usable_ = sent_.ok() && !answer.value().closes;
  return answer;
}

Status Client::read_body_into(MutableByteView out) {
  if (body_.remaining() != out.size()) {
    usable_ = false;
    return Error(Code::Corrupt, stream_->peer() + " offers " + std::to_string(body_.remaining()) + " bytes, where " +
                                    std::to_string(out.size()) + " were expected");
  }
  return body_.read_exactly(out);
}

Error Client::read_error(const ResponseHead& head) {
  const Result<Bytes> text = body_.read_all(kMaxErrorBodyBytes);
  if (!text.ok()) usable_ = false;
  return error_of(head, text.ok() ? as_text(text.value()) : std::string_view()).in(stream_->peer());
}

}  // namespace exclave::http
