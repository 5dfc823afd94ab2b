#include "http/server.h"

#include <algorithm>
#include <utility>

#include "http/detail/head_parser.h"
#include "http/detail/status.h"
#include "http/detail/stream.h"
#include "http/detail/writer.h"

namespace exclave::http {
namespace {

using detail::Refusal;
using detail::Stream;

constexpr std::chrono::seconds kStopPollTime{1};

enum class Persistence { KeepAlive, Close };

struct Closed {};
using HeadOutcome = std::variant<RequestHead, Closed, Refusal>;

Status check_response(const Response& response) {
  if (response.status < 200 || response.status > 599) {
    return Error(Code::Bug, "the handler answered with status " + std::to_string(response.status));
  }
  return detail::HeadWriter("").add_all(response.headers);
}

class Server {
 public:
  Server(env::Connection& connection, env::Clock& clock, const Limits& limits, const Handler& handler,
         const std::stop_token& stop)
      : stream_(connection, clock), limits_(limits), handler_(handler), stop_(stop) {}

  Status run();

 private:
  // True once a byte is there; false if the connection should end in peace.
  Result<bool> wait_for_request();
  Result<HeadOutcome> read_head();
  // Answers one request; whether another may follow.
  Result<Persistence> answer(const RequestHead& head);
  Persistence persistence_after(const RequestHead& head, const BodyReader& body, const Response& response) const;
  Status respond(std::string_view method, Response& response, Persistence persistence);
  Status send_source(BodySource& source, std::uint64_t length, std::string head);
  Status skip_rest(BodyReader& body);
  // Swallows what the peer still sends: closing at once would reset the connection, and the answer with it.
  void linger();

  Stream stream_;
  const Limits& limits_;
  const Handler& handler_;
  const std::stop_token& stop_;
  Bytes scratch_;
};

Result<bool> Server::wait_for_request() {
  const env::Instant end = stream_.clock().monotonic() + limits_.idle;
  while (stream_.buffered().empty()) {
    if (stop_.stop_requested() || stream_.is_late(end)) return false;
    const env::Instant slice = std::min(end, stream_.clock().monotonic() + kStopPollTime);
    Result<std::size_t> got = stream_.fill(slice);
    if (!got.ok() && !stream_.is_late(slice)) return got.take_error();
    if (got.ok() && got.value() == 0) return false;
  }
  return true;
}

Result<HeadOutcome> Server::read_head() {
  if (!TRY(wait_for_request())) return HeadOutcome(Closed{});
  const env::Instant deadline = stream_.clock().monotonic() + limits_.head;
  Result<std::optional<std::size_t>> read = detail::read_head_bytes(stream_, limits_.head_bytes, deadline);
  if (!read.ok()) {
    if (!stream_.is_late(deadline)) return read.take_error();
    return HeadOutcome(Refusal{408, "the head comes too slowly"});
  }
  const std::optional<std::size_t> size = read.value();
  if (!size.has_value()) {
    return HeadOutcome(Refusal{431, "a head of more than " + std::to_string(limits_.head_bytes) + " bytes"});
  }
  if (*size == 0) return Error(Code::Unavailable, stream_.peer() + " left in the middle of a head");
  auto parsed = detail::parse_request_head(stream_.buffered().substr(0, *size), limits_.body_bytes);
  stream_.consume(*size);
  if (auto* const refusal = std::get_if<Refusal>(&parsed)) return HeadOutcome(std::move(*refusal));
  return HeadOutcome(std::get<RequestHead>(std::move(parsed)));
}

Persistence Server::persistence_after(const RequestHead& head, const BodyReader& body, const Response& response) const {
  const bool is_skippable = body.is_done() || (!body.is_awaited() && body.remaining() <= limits_.skip_bytes);
  const bool ends = head.closes || response.closes || stop_.stop_requested() || body.is_broken() || !is_skippable;
  return ends ? Persistence::Close : Persistence::KeepAlive;
}

Result<Persistence> Server::answer(const RequestHead& head) {
  const auto asked = head.expects_continue ? BodyReader::Continue::Asked : BodyReader::Continue::NotAsked;
  BodyReader body(stream_, limits_, head.content_length, asked);
  Result<Response> handled = handler_(head, body);
  Response response = handled.ok() ? handled.take() : error_response(handled.error());
  if (const Status sendable = check_response(response); !sendable.ok()) response = error_response(sendable.error());
  if (body.is_broken()) response.status = 408;
  const Persistence persistence = persistence_after(head, body, response);
  TRY(respond(head.method, response, persistence));
  if (body.is_broken()) return Error(Code::Unavailable, stream_.peer() + ": a request's body was slow or cut short");
  if (persistence == Persistence::KeepAlive) {
    TRY(skip_rest(body));
  } else if (!body.is_done()) {
    linger();
  }
  return persistence;
}

Status Server::respond(std::string_view method, Response& response, Persistence persistence) {
  const auto* const bytes = std::get_if<Bytes>(&response.body);
  BodySource* const source = bytes != nullptr ? nullptr : std::get<std::unique_ptr<BodySource>>(response.body).get();
  CHECK(bytes != nullptr || source != nullptr);
  std::uint64_t length = bytes != nullptr ? bytes->size() : source->size();
  const bool is_head = method == "HEAD";
  if (is_head && length == 0) length = response.length_for_head;
  const bool is_bodiless = response.status == 204 || response.status == 304;
  detail::HeadWriter writer("HTTP/1.1 " + std::to_string(response.status) + " " +
                            std::string(reason_of(response.status)));
  if (!is_bodiless) writer.add("Content-Length", std::to_string(length));
  if (persistence == Persistence::Close) writer.add("Connection", "close");
  TRY(writer.add_all(response.headers));
  std::string head = std::move(writer).finish();
  if (is_head || is_bodiless) length = 0;
  if (source != nullptr && length > 0) return send_source(*source, length, std::move(head));
  const ByteView body = length == 0 ? ByteView() : ByteView(*bytes);
  const env::Instant deadline = stream_.clock().monotonic() + limits_.body_time(body.size());
  return detail::write_message(stream_, std::move(head), body, deadline);
}

Status Server::send_source(BodySource& source, std::uint64_t length, std::string head) {
  const env::Instant deadline = stream_.clock().monotonic() + limits_.body_time(length);
  scratch_.resize(detail::kWriteBufferBytes);
  std::memcpy(scratch_.data(), head.data(), head.size());
  std::size_t filled = head.size();
  while (length > 0 || filled > 0) {
    while (length > 0 && filled < scratch_.size()) {
      const MutableByteView room = MutableByteView(scratch_).subspan(filled);
      const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), length));
      const std::size_t got = TRY(source.read(room.first(wanted)));
      if (got == 0) return Error(Code::Bug, "a body source ended " + std::to_string(length) + " bytes early");
      filled += got;
      length -= got;
    }
    TRY(stream_.write(ByteView(scratch_).first(filled), deadline));
    filled = 0;
  }
  return {};
}

Status Server::skip_rest(BodyReader& body) {
  scratch_.resize(detail::kWriteBufferBytes);
  while (!body.is_done()) TRY(body.read(scratch_));
  return {};
}

void Server::linger() {
  const env::Instant end = stream_.clock().monotonic() + limits_.linger;
  scratch_.resize(detail::kWriteBufferBytes);
  while (!stream_.is_late(end)) {
    const Result<std::size_t> got = stream_.read(scratch_, end);
    if (!got.ok() || got.value() == 0) return;
  }
}

Status Server::run() {
  CHECK(limits_.head_bytes <= detail::kStreamBufferBytes);
  for (;;) {
    HeadOutcome outcome = TRY(read_head());
    if (std::holds_alternative<Closed>(outcome)) return {};
    if (const auto* const refusal = std::get_if<Refusal>(&outcome)) {
      Response response = text_response(refusal->status, refusal->reason + "\n");
      const Status told = respond("", response, Persistence::Close);
      if (told.ok()) linger();
      ignore(told, "the refusal is what matters, not whether the peer could be told");
      const Code code = refusal->status == 408 ? Code::Unavailable : Code::InvalidInput;
      return Error(code, stream_.peer() + " was refused: " + refusal->reason);
    }
    if (TRY(answer(std::get<RequestHead>(outcome))) == Persistence::Close) return {};
  }
}

}  // namespace

Response text_response(int status, std::string_view text) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain");
  response.body = to_bytes(text);
  return response;
}

Response error_response(const Error& error) {
  std::string text = error.message() + "\n";
  if (!error.hint_text().empty()) text += error.hint_text() + "\n";
  Response response = text_response(status_of(error.code()), text);
  response.headers.add(std::string(kErrorCodeHeader), std::string(name_of(error.code())));
  return response;
}

Status serve_connection(env::Connection& connection, env::Clock& clock, const Limits& limits, const Handler& handler,
                        const std::stop_token& stop) {
  Status served = Server(connection, clock, limits, handler, stop).run();
  connection.shutdown();
  return served;
}

}  // namespace exclave::http
