#include "http/detail/status.h"

#include <array>
#include <string>

#include "base/text.h"

namespace exclave::http {
namespace {

// All that a peer can say. Whether we were told to stop is not for a peer to say: Cancelled goes out as 503, and comes in
// as Unavailable.
constexpr std::array kAllCodes = {Code::InvalidInput, Code::NotFound,       Code::AlreadyExists, Code::Denied,
                                  Code::Corrupt,      Code::Conflict,       Code::Precondition,  Code::Exhausted,
                                  Code::Unavailable,  Code::OutcomeUnknown, Code::Unsupported,   Code::Bug};

Code code_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return Code::Denied;
    case 404:
      return Code::NotFound;
    case 409:
      return Code::Conflict;
    case 412:
      return Code::Precondition;
    case 413:
    case 429:
    case 431:
    case 507:
      return Code::Exhausted;
    case 408:
      return Code::Unavailable;
    case 501:
    case 505:
      return Code::Unsupported;
    case 504:
      return Code::OutcomeUnknown;
    default:
      break;
  }
  if (status >= 500) return Code::Unavailable;
  return status >= 400 ? Code::InvalidInput : Code::Unsupported;  // a redirection is not followed
}

}  // namespace

int status_of(Code code) {
  switch (code) {
    case Code::InvalidInput:
      return 400;
    case Code::NotFound:
      return 404;
    case Code::AlreadyExists:
      return 409;
    case Code::Denied:
      return 403;
    case Code::Corrupt:
      return 500;
    case Code::Conflict:
      return 409;
    case Code::Precondition:
      return 412;
    case Code::Exhausted:
      return 507;
    case Code::Unavailable:
      return 503;
    case Code::OutcomeUnknown:
      return 504;
    case Code::Unsupported:
      return 501;
    case Code::Cancelled:
      return 503;
    case Code::Bug:
      return 500;
  }
  return 500;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

Error error_of(const ResponseHead& head, std::string_view body) {
  Code code = code_of_status(head.status);
  const std::string_view named = head.headers.find(kErrorCodeHeader).value_or("");
  for (const Code candidate : kAllCodes) {
    if (named == name_of(candidate) && status_of(candidate) == head.status) code = candidate;
  }
  body = body.substr(0, kMaxErrorBodyBytes);
  while (body.ends_with('\n')) body.remove_suffix(1);
  const std::size_t line_end = body.find('\n');
  std::string message = printable(body.substr(0, line_end));
  if (message.empty()) message = "answered " + std::to_string(head.status);
  Error error(code, std::move(message));
  if (line_end == std::string_view::npos) return error;
  return std::move(error).hint(printable(body.substr(line_end + 1)));
}

}  // namespace exclave::http
