#include "http/detail/head_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "base/text.h"

namespace exclave::http::detail {
namespace {

namespace beast = boost::beast;

constexpr std::size_t kMaxHeaderLines = 64;
constexpr int kHttp11 = 11;

// Collects what Beast finds. Only the header part of the parser is used: bodies are read by BodyReader.
template <bool kIsRequest>
class Collector final : public beast::http::basic_parser<kIsRequest> {
 public:
  std::string method;
  std::string target;
  int status = 0;
  int version = 0;
  Headers headers;

 private:
  using View = beast::string_view;
  using ErrorCode = beast::error_code;

  void on_request_impl(beast::http::verb, View method_text, View target_text, int number, ErrorCode&) override {
    method.assign(method_text.data(), method_text.size());
    target.assign(target_text.data(), target_text.size());
    version = number;
  }
  void on_response_impl(int code, View, int number, ErrorCode&) override {
    status = code;
    version = number;
  }
  void on_field_impl(beast::http::field, View name, View value, ErrorCode& error) override {
    if (headers.lines().size() == kMaxHeaderLines) {
      error = beast::http::error::header_limit;
      return;
    }
    headers.add({name.data(), name.size()}, {value.data(), value.size()});
  }
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(View, ErrorCode&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View, ErrorCode&) override { return 0; }
  void on_finish_impl(ErrorCode&) override {}
};

// What is wrong with the raw bytes of a head, if anything: the rules that parsers disagree about.
std::optional<std::string> fault_of(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (c == '\n' && (i == 0 || head[i - 1] != '\r')) return "LF without CR";
    if (c == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) return "CR without LF";
    if ((c < ' ' || c > '~') && c != '\r' && c != '\n') return "a byte that is not printable ASCII";
  }
  if (!head.ends_with("\r\n\r\n")) return "the head does not end";
  std::string_view rest = head.substr(0, head.size() - 2);
  bool is_first = true;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (line.empty()) return "an empty line before the head ends";
    const std::size_t colon = line.find(':');
    if (!is_first && line.front() == ' ') return "a folded header line";
    if (!is_first && (colon == std::string_view::npos || colon == 0)) return "a header line without a name";
    if (!is_first && line.substr(0, colon).find(' ') != std::string_view::npos) return "a space in a header name";
    is_first = false;
  }
  return std::nullopt;
}

template <bool kIsRequest>
std::optional<std::string> parse_into(Collector<kIsRequest>& collector, std::string_view head) {
  if (std::optional<std::string> fault = fault_of(head)) return fault;
  collector.eager(false);
  collector.header_limit(static_cast<std::uint32_t>(head.size()) + 1);
  collector.body_limit(boost::none);
  collector.skip(true);
  beast::error_code error;
  const std::size_t used = collector.put({head.data(), head.size()}, error);
  if (error) return error.message();
  if (used != head.size() || !collector.is_header_done()) return "the head ends early";
  return std::nullopt;
}

// The declared length; `refusal` says why there is none that can be believed.
struct Framing {
  std::optional<std::uint64_t> length;
  std::optional<Refusal> refusal;
};

Framing framing_of(const Headers& headers, std::uint64_t max_body_bytes) {
  const std::size_t lengths = headers.count("content-length");
  if (headers.count("transfer-encoding") > 0) {
    if (lengths > 0) return {{}, Refusal{400, "both Content-Length and Transfer-Encoding"}};
    return {{}, Refusal{501, "Transfer-Encoding is not supported; declare a Content-Length"}};
  }
  if (headers.count("content-encoding") > 0) return {{}, Refusal{415, "Content-Encoding is not supported"}};
  if (lengths > 1) return {{}, Refusal{400, "more than one Content-Length"}};
  if (lengths == 0) return {};
  const Result<std::uint64_t> length = parse_u64(*headers.find("content-length"));
  if (!length.ok()) return {{}, Refusal{400, "Content-Length is not a number"}};
  if (length.value() > max_body_bytes) {
    return {{}, Refusal{413, "a body of more than " + std::to_string(max_body_bytes) + " bytes"}};
  }
  return {length.value(), {}};
}

std::optional<Refusal> refusal_of(const RequestHead& head, std::optional<std::uint64_t> length) {
  if (head.headers.count("host") != 1) return Refusal{400, "exactly one Host is needed"};
  if (!is_valid_target(head.target)) return Refusal{400, "a target with other characters than [A-Za-z0-9/._~-?&=]"};
  const bool is_upload = head.method == "PUT" || head.method == "POST";
  if (is_upload && !length.has_value()) return Refusal{411, head.method + " needs a Content-Length"};
  if (!is_upload && length.value_or(0) > 0) return Refusal{400, head.method + " with a body"};
  const std::size_t expectations = head.headers.count("expect");
  if (expectations > 1 || (expectations == 1 && !equal_without_case(*head.headers.find("expect"), "100-continue"))) {
    return Refusal{417, "only Expect: 100-continue is understood"};
  }
  return std::nullopt;
}

}  // namespace

std::variant<RequestHead, Refusal> parse_request_head(std::string_view head, std::uint64_t max_body_bytes) {
  Collector<true> collector;
  if (std::optional<std::string> fault = parse_into(collector, head)) return Refusal{400, *std::move(fault)};
  if (collector.version != kHttp11) return Refusal{505, "only HTTP/1.1 is spoken"};
  const Framing framing = framing_of(collector.headers, max_body_bytes);
  if (framing.refusal.has_value()) return *framing.refusal;
  RequestHead request;
  request.method = std::move(collector.method);
  request.target = std::move(collector.target);
  request.headers = std::move(collector.headers);
  request.content_length = framing.length.value_or(0);
  if (std::optional<Refusal> refusal = refusal_of(request, framing.length)) return *std::move(refusal);
  request.expects_continue = request.headers.count("expect") > 0 && request.content_length > 0;
  request.closes = has_token(request.headers, "connection", "close");
  return request;
}

Result<ResponseHead> parse_response_head(std::string_view head, std::string_view method, std::uint64_t max_body_bytes) {
  const auto malformed = [](const std::string& what) { return Error(Code::Corrupt, "malformed answer: " + what); };
  Collector<false> collector;
  if (const std::optional<std::string> fault = parse_into(collector, head)) return malformed(*fault);
  if (collector.version != kHttp11) return malformed("only HTTP/1.1 is spoken");
  if (collector.status < 200 || collector.status > 599) return malformed("status " + std::to_string(collector.status));
  // HEAD carries the length of what is not sent, so the limit on bodies does not apply to it.
  const bool is_head = method == "HEAD";
  const Framing framing = framing_of(collector.headers, is_head ? UINT64_MAX : max_body_bytes);
  if (framing.refusal.has_value()) return malformed(framing.refusal->reason);
  const bool is_bodiless = collector.status == 204 || collector.status == 304;
  if (is_bodiless && framing.length.value_or(0) > 0) return malformed("a body where none may be");
  if (!is_bodiless && !framing.length.has_value()) return malformed("no Content-Length");
  ResponseHead response;
  response.status = collector.status;
  response.headers = std::move(collector.headers);
  response.content_length = framing.length.value_or(0);
  response.closes = has_token(response.headers, "connection", "close");
  return response;
}

}  // namespace exclave::http::detail
