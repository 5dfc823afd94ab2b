// HTTP messages: heads of requests and responses, as values.
// Hides: nothing; who reads them from a connection is server.h's and client.h's business.
//
//   target := "/" [A-Za-z0-9/._~-]* [ "?" [A-Za-z0-9/._~&=-]* ]      no "." or ".." segment, no percent-encoding at all
//   name   := token of RFC 9110        value := printable ASCII, trimmed
//
// Units/limits: a head has at most 8 KiB and 64 header lines; a body's length is always declared, at most 64 MiB.
// I1  A head that came from a connection obeys the grammar above; everything else was refused before anyone saw it.
// I2  Framing headers (Content-Length, Transfer-Encoding, Connection, Host, Expect) are the codec's alone.
// Threads: values.
// Errors: none here; the codec refuses what does not fit.
// Source: RFC 9110, RFC 9112; ADR-0020.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace exclave::http {

struct Header {
  std::string name;
  std::string value;
};

// In the order of the wire; names compare without regard to case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> lines) : lines_(lines) {}

  void add(std::string name, std::string value) { lines_.push_back({std::move(name), std::move(value)}); }
  std::optional<std::string_view> find(std::string_view name) const;  // the first one
  std::size_t count(std::string_view name) const;
  const std::vector<Header>& lines() const { return lines_; }

 private:
  std::vector<Header> lines_;
};

// True if a comma-separated list in any line of `name` holds `token`, without regard to case.
bool has_token(const Headers& headers, std::string_view name, std::string_view token);

struct RequestHead {
  std::string method;  // as sent; which ones exist is the handler's business
  std::string target;
  Headers headers;
  std::uint64_t content_length = 0;
  bool expects_continue = false;
  bool closes = false;  // "Connection: close": the last request of this connection

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const;  // without '?'; empty if there is none
};

struct ResponseHead {
  int status = 0;  // 200..599
  Headers headers;
  std::uint64_t content_length = 0;  // of the body that follows; for HEAD, of the body that would
  bool closes = false;

  bool is_success() const { return status >= 200 && status < 300; }
};

bool is_valid_target(std::string_view target);
// Token, or printable ASCII without leading and trailing spaces: what may be written without changing the framing.
bool is_valid_header(const Header& header);
bool equal_without_case(std::string_view a, std::string_view b);

}  // namespace exclave::http
